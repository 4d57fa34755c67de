// The live page in a browser, against the real program.
import assert from 'node:assert/strict';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { inflateSync } from 'node:zlib';
import { about } from './about.mjs';
import { isFrame } from './schema.mjs';
import { complaints, logIn, openBrowser, openStage } from './stage.mjs';

const DEVICES = 60;
/** How long anything may take to come true. */
const PATIENCE_MS = 30_000;
/** The page asks again what it is told, at the latest after so long. */
const LEARN_AGAIN_MS_MAX = 75_000;
const TOKEN = 'the-token-of-tonight';

let stage;
let browser;
let page;
let heard;
let frames;
before(async () => {
  stage = await openStage(DEVICES);
});
after(() => stage.end());
beforeEach(async () => {
  browser = await openBrowser();
  await logIn(browser.context, stage);
  await fresh();
});
afterEach(async () => {
  await browser.end();
  await stage.say('quiet');
  // Whatever a test has left behind.
  await stage.say('heal');
  await stage.say('start');
  await stage.say('login');
});

/** A new page of the browser, everything of which is listened to. */
async function fresh() {
  page = await browser.context.newPage();
  heard = complaints(page);
  frames = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(String(payload))));
}

const status = () => page.locator('#state').getAttribute('data-status');
const words = () => page.locator('#state-words').textContent();
const cars = async () => Number(await page.locator('#figure-cars').textContent());

async function until(what, isTrue, patienceMs = PATIENCE_MS) {
  const deadline = Date.now() + patienceMs;
  for (;;) {
    if (await isTrue()) return;
    if (Date.now() >= deadline) {
      const said = await page.locator('#state-words').textContent({ timeout: 1_000 }).catch(() => 'nothing');
      assert.fail(`it did not come true in time that ${what}; the sign says "${said}"`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Opens the page for the event and waits until it is live. */
async function visit(more = '', event = stage.event, url = stage.url) {
  await page.goto(`${url}?event=${event}${more}`);
  await until('the page is live', async () => (await status()) === 'live');
}

/** The picture of the dots, as a text that differs when they do. */
const picture = () => page.evaluate(() => document.querySelector('#dots').toDataURL());

/** The colour of a point of the page, in hexadecimal digits. */
async function pixel(x, y) {
  const png = await page.screenshot({ clip: { x, y, width: 1, height: 1 } });
  const parts = [];
  // Behind the signature: length, name, data and checksum of each chunk.
  for (let at = 8, length; at < png.length; at += length + 12) {
    length = png.readUInt32BE(at);
    if (png.toString('latin1', at + 4, at + 8) === 'IDAT') parts.push(png.subarray(at + 8, at + 8 + length));
  }
  const data = inflateSync(Buffer.concat(parts));
  // Behind the byte that names the filter, which one point alone does not need.
  return data.subarray(1, 4).toString('hex');
}

/** The browser has nothing to complain about, and every frame was as the schema says. */
function nothingWasWrong() {
  const real = heard.filter((line) => !/GL Driver Message|WebSocket connection to/.test(line));
  assert.deepEqual(real, []);
  for (const frame of frames) isFrame(frame);
}

test('dots move', async () => {
  await stage.say(`race ${DEVICES} 1`);
  await visit();
  await until('all cars are there', async () => (await cars()) === DEVICES);
  const before = await picture();
  await until('the picture has changed', async () => (await picture()) !== before);
  await until('frames are counted', async () => Number(await page.locator('#figure-rate').textContent()) > 20);
  assert.match(await page.locator('#figure-latency').textContent(), /^[0-9.]+ s$/);
  assert.ok(frames.length > DEVICES / 2);
  nothingWasWrong();
});

test('names, numbers and the course of the event are shown', async () => {
  await page.route('**/page.json', (route) => route.fulfill({ json: about(stage.event, DEVICES + 2) }));
  await stage.say(`once ${DEVICES}`);
  await page.goto(stage.url);
  await until('the page is live', async () => (await status()) === 'live');
  await until('all cars are there', async () => (await cars()) === DEVICES);
  assert.equal(await page.title(), 'Night Stage, Lake Loop · pitwall');
  const first = page.locator('.row').first();
  assert.match(await first.textContent(), /^1Ana Kelmendi/);
  await page.keyboard.press('/');
  await page.keyboard.type('62');
  await until('the car without a position is found', async () => (await page.locator('.row:visible').count()) === 1);
  assert.match(await page.locator('.row:visible').textContent(), /–$/);
  await page.keyboard.press('Escape');
  nothingWasWrong();
});

test('names that change are shown without a reload', async () => {
  const told = about(stage.event, DEVICES);
  await page.route('**/page.json', (route) => route.fulfill({ json: told }));
  await page.clock.install();
  await page.goto(stage.url);
  await until('the page is live', async () => (await status()) === 'live');
  told.events[0].devices[0].name = 'Somebody Else';
  await page.clock.fastForward(LEARN_AGAIN_MS_MAX);
  await until('the other name is there', async () => {
    await page.clock.fastForward(1_000);
    return /Somebody Else/.test(await page.locator('.row').first().textContent());
  });
});

test('an event that is not told of any more goes from the screen', async () => {
  const told = about(stage.event, DEVICES);
  await page.route('**/page.json', (route) => route.fulfill({ json: told }));
  await stage.say(`once ${DEVICES}`);
  await page.clock.install();
  await page.goto(stage.url);
  await until('all cars are there', async () => (await cars()) === DEVICES);
  told.events = [{ ...told.events[0], id: stage.empty, name: 'Day Stage', devices: [] }];
  await page.clock.fastForward(LEARN_AGAIN_MS_MAX);
  await until('the cars have gone', async () => {
    await page.clock.fastForward(1_000);
    return (await cars()) === 0 && (await page.locator('.row:visible').count()) === 0;
  });
  assert.equal(await page.title(), 'Day Stage · pitwall');
  nothingWasWrong();
});

test('a style of the operator lies below the dots', async () => {
  const style = { version: 8, sources: {}, layers: [{ id: 'ground', type: 'background', paint: { 'background-color': '#123456' } }] };
  await page.route('**/own/style.json', (route) => route.fulfill({ json: style }));
  await page.route('**/page.json', (route) => route.fulfill({ json: { ...about(stage.event, DEVICES), style: `${stage.url}own/style.json` } }));
  await page.goto(stage.url);
  await until('the page is live', async () => (await status()) === 'live');
  // Where neither dot nor course is.
  await until('the style is painted', async () => (await pixel(1_200, 700)) === '123456');
  nothingWasWrong();
});

test('a car is chosen, followed and left by the keyboard', async () => {
  await stage.say(`race ${DEVICES} 1`);
  await visit();
  await until('cars are there', async () => (await cars()) === DEVICES);
  const card = page.locator('#card');
  assert.ok(await card.isHidden());
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await until('the card is open', () => card.isVisible());
  assert.equal(await page.locator('#card-imei').textContent(), '356307042400002');
  await page.keyboard.press('f');
  assert.equal(await page.locator('#follow').getAttribute('aria-pressed'), 'true');
  await page.keyboard.press('Escape');
  await until('the card is closed', () => card.isHidden());
  await page.keyboard.press('r');
  await until('raw frames are shown', async () => (await page.locator('#raw-lines').textContent()).includes('"type":"position"'));
  nothingWasWrong();
});

test('a restart of the program is survived', async () => {
  await stage.say(`race ${DEVICES} 1`);
  await visit();
  const seen = [];
  await page.exposeFunction('noted', (text) => seen.push(text));
  await page.evaluate(() => {
    const words = document.querySelector('#state-words');
    new MutationObserver(() => noted(words.textContent)).observe(words, { childList: true, characterData: true, subtree: true });
  });
  await stage.say('stop');
  await stage.say('start');
  await until('it has said why', () => seen.some((text) => /^The server restarts/.test(text)));
  await until('the page is live again', async () => (await status()) === 'live');
  const before = await picture();
  await until('dots move again', async () => (await picture()) !== before);
  nothingWasWrong();
});

test('a crash of the program is survived', async () => {
  await stage.say(`race ${DEVICES} 1`);
  await visit();
  await stage.say('crash');
  await stage.say('start');
  const before = await picture();
  await until('dots move again', async () => (await status()) === 'live' && (await picture()) !== before);
});

test('a session that ends asks for a log-in, and the page goes on after it', async () => {
  await stage.say(`race ${DEVICES} 1`);
  await visit();
  await stage.say('logout');
  const dialog = page.locator('#login');
  await until('the dialog is open', () => dialog.isVisible());
  assert.equal(await status(), 'login');
  assert.match(await page.locator('#login-words').textContent(), /your session has ended/);
  await stage.say('login');
  await page.locator('#login-go').click();
  await until('the page is live again', async () => (await status()) === 'live');
  assert.ok(await dialog.isHidden());
  nothingWasWrong();
});

test('in the embedded mode who has the token sees names, course and dots', async () => {
  const { url, folder } = await stage.say(`embed ${TOKEN}`);
  const { course } = about(stage.event, 1).events[0];
  await writeFile(join(folder, 'course.geojson'), JSON.stringify(course));
  await writeFile(join(folder, 'roster.toml'), roster(stage.event, 3));
  const ask = (headers) => fetch(`${url}page.json`, { headers: { Cookie: `pitwall_token=${TOKEN}`, ...headers } });
  let tag;
  await until('the roster has been read', async () => {
    const answer = await ask({});
    tag = answer.headers.get('etag');
    return /Mira Hoxha/.test(await answer.text());
  });
  assert.equal((await ask({ 'If-None-Match': tag })).status, 304);
  assert.equal((await ask({ Cookie: 'pitwall_token=wrong' })).status, 401);

  const asked = [];
  page.on('response', (answer) => {
    if (answer.url().endsWith('/page.json')) asked.push(answer.status());
  });
  await page.clock.install();
  await page.goto(url);
  await until('the form is open', () => page.locator('#token').isVisible());
  await page.locator('#token').fill('wrong');
  await page.keyboard.press('Enter');
  await until('it says so', async () => /not the right one/.test(await page.locator('#login-error').textContent()));
  await page.locator('#token').fill(TOKEN);
  await page.keyboard.press('Enter');
  await until('the page is live', async () => (await status()) === 'live');
  assert.ok(await page.locator('#login').isHidden());
  assert.equal(await page.locator('#token').inputValue(), '');
  assert.equal(await page.title(), 'Night Stage · pitwall');
  assert.match(await page.locator('.row').first().textContent(), /^1Mira Hoxha/);
  // No car has been heard of, so what is painted are the marks of the course.
  const isPainted = () => page.evaluate(() => {
    const dots = document.querySelector('#dots');
    return dots.getContext('2d').getImageData(0, 0, dots.width, dots.height).data.some((part) => part > 0);
  });
  await until('the marks of the course are painted', isPainted);

  for (let fix = 0; fix < 2; fix += 1) {
    const before = await picture();
    await stage.say('report 3');
    await until('the cars are where they say', async () => {
      await page.clock.fastForward(1_000);
      return (await cars()) === 3 && (await picture()) !== before;
    });
  }
  assert.deepEqual(asked.slice(0, 2), [401, 200]);
  await page.clock.fastForward(LEARN_AGAIN_MS_MAX);
  await until('it has asked again, and knows it already', async () => {
    await page.clock.fastForward(1_000);
    return asked.includes(304);
  });
  // Who asks without the token is refused, which the browser writes down.
  heard = heard.filter((line) => !/status of 401/.test(line));
  nothingWasWrong();
  await stage.say('fold');
});

/** A roster of one event with a course, and this many cars. */
function roster(event, count) {
  const names = ['Mira Hoxha', 'Paul Girard', 'Ida Solberg'];
  const devices = about(event, count).events[0].devices.map(({ id, number }, at) =>
    `[[device]]\nimei = "${id}"\nname = "${names[at]}"\nnumber = ${number}\nevents = ["Night Stage"]\n`);
  return `[[event]]\nname = "Night Stage"\nuuid = "${event}"\ncourse = "course.geojson"\n${devices.join('')}`;
}

test('a quiet event stays live', async () => {
  // Ten minutes in which nobody drives: the page's clock runs ahead, the server's does not.
  let [sockets, asked] = [0, 0];
  page.on('websocket', (socket) => {
    sockets += 1;
    socket.on('framesent', () => (asked += 1));
  });
  await page.clock.install();
  await visit('', stage.empty);
  for (let step = 0; step < 150; step += 1) {
    await page.clock.fastForward(4_000);
    await until('what was asked is answered', () => frames.length === asked);
  }
  assert.equal(sockets, 1, 'it never had to connect again');
  assert.ok(asked > 5, 'it has asked whether somebody is there');
  assert.equal(await words(), 'Live');
});

test('without an event the page says what to do', async () => {
  await page.goto(stage.url);
  await until('it is said', () => page.locator('#notice').isVisible());
  assert.match(await page.locator('#notice').textContent(), /Name one in the address/);
  nothingWasWrong();
});

test('an event that may not be seen is said so', async () => {
  await page.goto(`${stage.url}?event=00000000-0000-4000-8000-000000000003`);
  await until('it is said', async () => (await page.locator('#notice').isVisible()));
  assert.match(await words(), /No event can be shown/);
});

test('over a slow line the page stays live, and is fresh again as soon as the line is', async () => {
  await stage.say(`race ${DEVICES} 5`);
  await visit('', stage.event, stage.wire);
  await until('cars are there', async () => (await cars()) === DEVICES);
  // The positions of all cars need 48 kB a second.
  await stage.say('slow 5000');
  const [count, slowedMs] = [frames.length, Date.now()];
  const before = await picture();
  await until('dots move', async () => (await picture()) !== before);
  await until('less comes over it than is sent', () => {
    const [came, sent] = [frames.length - count, (DEVICES * 5 * (Date.now() - slowedMs)) / 1_000];
    return came > DEVICES && came < sent / 2;
  });
  assert.equal(await status(), 'live');
  await stage.say('heal');
  await until('it is fresh', async () => parseFloat(await page.locator('#figure-latency').textContent()) < 1);
  const newest = new Map();
  for (const { type, deviceId, ts } of frames.map((frame) => JSON.parse(frame))) {
    if (type !== 'position') continue;
    assert.ok(ts >= (newest.get(deviceId) ?? 0), 'no dot goes back');
    newest.set(deviceId, ts);
  }
  nothingWasWrong();
});

test('a wire that falls silent is noticed, and the page comes back', async () => {
  await stage.say('once 1');
  await page.clock.install();
  await visit('', stage.event, stage.wire);
  await stage.say('silence');
  await until('it is noticed', async () => {
    await page.clock.fastForward(4_000);
    return (await status()) === 'waiting';
  });
  assert.match(await words(), /^The server does not answer|^Nothing has been heard/);
  await stage.say('heal');
  await until('it is live', async () => {
    await page.clock.fastForward(1_000);
    return (await status()) === 'live';
  });
});

test('while the server is away the page says so, and when it tries again', async () => {
  await stage.say(`race ${DEVICES} 1`);
  await visit();
  await until('all cars are there', async () => (await cars()) === DEVICES);
  await stage.say('crash');
  await until('it waits', async () => /^The connection is lost\. Again in \d+ s$/.test(await words()));
  assert.ok((await cars()) === DEVICES, 'what was known stays in sight');
  await stage.say('start');
  await until('the pause is a long one, or over', async () => (await status()) !== 'connecting');
  // Who does not want to wait presses the sign.
  if ((await status()) === 'waiting') await page.locator('#state').click();
  await until('it is live', async () => (await status()) === 'live');
});

test('old positions fade, and say how old they are', async () => {
  await stage.say(`once ${DEVICES}`);
  await page.clock.install();
  await visit();
  await until('cars are there', async () => (await cars()) === DEVICES);
  const row = page.locator('.row').first();
  for (const [ms, age, said] of [[0, '0', / s$/], [90_000, '1', /1 min$/], [360_000, '2', /7 min$/], [1_500_000, '3', /32 min$/]]) {
    await page.clock.fastForward(ms);
    await until(`the age is ${said}`, async () => (await row.getAttribute('data-age')) === age && said.test(await row.textContent()));
  }
});

test('the policy forbids what the page does not need', async () => {
  await visit();
  await page.evaluate(() => {
    globalThis.violations = [];
    document.addEventListener('securitypolicyviolation', ({ effectiveDirective }) => violations.push(effectiveDirective));
    const script = document.createElement('script');
    script.textContent = 'globalThis.wasRun = true';
    document.head.append(script);
    fetch('https://elsewhere.example/').catch(() => {});
    const frame = document.createElement('iframe');
    frame.src = 'https://elsewhere.example/';
    document.body.append(frame);
  });
  for (const directive of ['script-src-elem', 'connect-src', 'frame-src']) {
    await until(`${directive} forbids it`, () => page.evaluate((name) => violations.includes(name), directive));
  }
  assert.equal(await page.evaluate(() => globalThis.wasRun), undefined);
});

test('the layout holds on a desktop and a phone, by day and by night', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'pitwall-pictures-'));
  await browser.end();
  await stage.say(`race ${DEVICES - 8} 1`);
  const phone = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };
  for (const [name, options] of [['desktop', {}], ['phone', phone]]) {
    for (const colorScheme of ['light', 'dark']) {
      browser = await openBrowser({ ...options, colorScheme });
      await logIn(browser.context, stage);
      await fresh();
      await page.route('**/page.json', (route) => route.fulfill({ json: about(stage.event, DEVICES) }));
      await page.goto(stage.url);
      await until('it is live', async () => (await status()) === 'live');
      await until('cars are there', async () => (await cars()) > 0);
      await page.locator('.row').nth(4).click();
      await page.screenshot({ path: join(folder, `${name}-${colorScheme}.png`) });
      const { width, height } = page.viewportSize();
      for (const id of ['state', 'search', 'map', 'card', 'follow']) {
        const box = await page.locator(`#${id}`).boundingBox();
        assert.ok(box.x >= 0 && box.y >= 0 && box.x + box.width <= width + 1 && box.y + box.height <= height + 1, `${id} on ${name}`);
      }
      nothingWasWrong();
      if (name !== 'phone' || colorScheme !== 'dark') await browser.end();
    }
  }
  console.log(`pictures are in ${folder}`);
});
