// Figures of the page: how long its frames take, and how long a position takes to a painted pixel.
//
// They are printed, and judged only so far that a page which has stopped would fail: how fast it is
// says a quiet machine. Without a graphics card the browser draws by the processor.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { logIn, openBrowser, openStage } from './stage.mjs';

const SECONDS = Number(process.env.PITWALL_SECONDS ?? 10);

const quantile = (sorted, part) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))];
const told = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return `p50 ${quantile(sorted, 0.5).toFixed(1)} p90 ${quantile(sorted, 0.9).toFixed(1)} p99 ${quantile(sorted, 0.99).toFixed(1)} most ${sorted.at(-1).toFixed(1)} ms of ${sorted.length}`;
};

/** What the page has measured with so many devices at one position a second each. */
async function measure(devices, options) {
  const stage = await openStage(devices);
  const browser = await openBrowser(options);
  try {
    await logIn(browser.context, stage);
    const page = await browser.context.newPage();
    await stage.say(`once ${devices}`);
    await page.goto(`${stage.url}?event=${stage.event}&measure`);
    await page.waitForFunction((count) => document.querySelector('#figure-cars').textContent === String(count), devices, { timeout: 60_000 });
    await stage.say(`race ${devices} 1`);
    // What the start costs is not what running costs.
    await page.waitForFunction((count) => pitwallMeasured.paints.length >= count, devices * 2, { timeout: 60_000 });
    await page.evaluate(() => {
      pitwallMeasured.paints.length = 0;
      pitwallMeasured.frames.length = 0;
    });
    await page.waitForTimeout(SECONDS * 1_000);
    const measured = await page.evaluate(() => pitwallMeasured);
    await stage.say('quiet');
    return measured;
  } finally {
    await browser.end();
    await stage.end();
  }
}

test('5,000 dots move frame by frame', async () => {
  const { frames, paints } = await measure(5_000, {});
  console.log(`5,000 dots, from frame to frame: ${told(frames.map(({ gapMs }) => gapMs))}`);
  console.log(`5,000 dots, drawing a frame:     ${told(frames.map(({ drawMs }) => drawMs))}`);
  console.log(`5,000 dots, position to pixel:   ${told(paints)}`);
  assert.ok(frames.length > SECONDS * 2, `${frames.length} frames`);
});

test('a position becomes a pixel', async () => {
  // Without gliding a dot is painted where it was measured, with the first frame that knows it.
  const { paints, frames } = await measure(500, { reducedMotion: 'reduce' });
  console.log(`500 devices at 1 Hz, XADD to painted pixel: ${told(paints)}`);
  console.log(`500 devices at 1 Hz, drawing a frame:       ${told(frames.map(({ drawMs }) => drawMs))}`);
  assert.ok(paints.length > 250 * SECONDS, `${paints.length} positions`);
});
