// Starts the platform and the program for a test (`tests/src/bin/stage.rs`), and a browser.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const program = process.env.PITWALL_STAGE;

/** The platform with so many devices. `say` sends a command, and gives what is answered when it has been obeyed. */
export async function openStage(devices = 60) {
  const child = spawn(program, [String(devices)], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done) throw new Error('the stage has ended');
    return JSON.parse(value);
  };
  const about = await next();
  return {
    ...about,
    async say(command) {
      child.stdin.write(`${command}\n`);
      return next();
    },
    async end() {
      const ended = once(child, 'exit');
      child.stdin.end('end\n');
      await ended;
    },
  };
}

const FLAGS = ['--no-sandbox', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
  // Containers have little shared memory.
  '--disable-dev-shm-usage'];

/** A browser with a profile of its own. */
export async function openBrowser(options = {}) {
  const profile = await mkdtemp(join(tmpdir(), 'pitwall-browser-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.PITWALL_CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: FLAGS,
    viewport: { width: 1280, height: 800 },
    ...options,
  });
  return {
    context,
    async end() {
      await context.close();
      await rm(profile, { recursive: true, force: true });
    },
  };
}

/** Logs the browser in as the user of the stage. */
export async function logIn(context, stage) {
  const cookies = stage.cookie.split('; ').map((pair) => {
    const [name, value] = pair.split('=');
    return { name, value, url: stage.url };
  });
  await context.addCookies(cookies);
}

/** What the page says of itself on the console, and what its policy forbade. */
export function complaints(page) {
  const heard = [];
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) heard.push(message.text());
  });
  page.on('pageerror', (error) => heard.push(String(error)));
  return heard;
}
