// The README of the client, as it is written there, in a browser against the real program.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';
import { complaints, logIn, openBrowser, openStage } from './stage.mjs';

const web = new URL('../../server/web/', import.meta.url);
const MODULES = {
  'maplibre-gl': 'node_modules/maplibre-gl/dist/maplibre-gl.mjs',
  '@pitwall/client': 'client/dist/src/index.js',
  '@pitwall/client/maplibre': 'client/dist/src/maplibre.js',
};

let stage;
let browser;
before(async () => {
  stage = await openStage(20);
  browser = await openBrowser();
  await logIn(browser.context, stage);
});
after(async () => {
  await browser.end();
  await stage.end();
});

/** Somebody else's site: its own page and files, and `/ws-live` passed on to pitwall. */
async function openSite(html) {
  const server = createServer(async ({ url }, answer) => {
    const { pathname } = new URL(url, 'http://site');
    const isPage = pathname === '/';
    answer.setHeader('Content-Type', isPage ? 'text/html' : 'text/javascript');
    answer.end(isPage ? html : await readFile(new URL(`.${pathname}`, web)).catch(() => ''));
  });
  server.on('upgrade', (request, socket) => {
    const lines = [`GET ${request.url} HTTP/1.1`];
    for (let at = 0; at < request.rawHeaders.length; at += 2) lines.push(`${request.rawHeaders[at]}: ${request.rawHeaders[at + 1]}`);
    const pitwall = connect(new URL(stage.url).port, '127.0.0.1');
    pitwall.write(`${lines.join('\r\n')}\r\n\r\n`);
    pitwall.pipe(socket).pipe(pitwall);
    for (const end of [pitwall, socket]) end.on('error', () => end.destroy());
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { url: `http://127.0.0.1:${server.address().port}/`, end: () => server.close() };
}

test('the ten lines of the README make a live map', async () => {
  const readme = await readFile(new URL('client/README.md', web), 'utf8');
  const [, code] = readme.match(/## A live map[\s\S]*?```js\n([\s\S]*?)```/);
  const lines = code.split('\n').filter((line) => line.trim());
  assert.ok(lines.length <= 10, `${lines.length} lines`);
  const other = await readFile(new URL('../../README.md', web), 'utf8');
  assert.ok(other.includes(`\`\`\`js\n${code}\`\`\``), 'the README of the project has the same lines');
  const imports = Object.fromEntries(Object.entries(MODULES).map(([name, path]) => [name, `/${path}`]));
  const html = `<!doctype html><title>map</title><style>#map { height: 400px }</style><div id="map"></div>
    <script type="importmap">${JSON.stringify({ imports })}</script><script type="module">${code}</script>`;
  const page = await browser.context.newPage();
  const heard = complaints(page);
  const site = await openSite(html);
  await stage.say('once 20');
  await stage.say('race 20 1');
  await page.goto(`${site.url}?event=${stage.event}`);
  await page.waitForFunction(() => document.title === 'Live', undefined, { timeout: 30_000 }).catch((error) => {
    throw new Error(`${error.message}: ${heard.join('; ')}`);
  });
  // The dots are painted: their colour is in the picture, and moves.
  const seen = () => page.locator('#map canvas').screenshot().then((bytes) => bytes.toString('base64'));
  const first = await seen();
  const deadline = Date.now() + 30_000;
  while ((await seen()) === first) assert.ok(Date.now() < deadline, 'nothing moves');
  assert.deepEqual(heard.filter((line) => !/GL Driver Message|favicon/.test(line)), []);
  site.end();
});
