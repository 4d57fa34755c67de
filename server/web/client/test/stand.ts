// A browser for tests without one: sockets that do what the test says, a clock, animation frames.
import { mock } from 'node:test';

export class Socket {
  static all: Socket[] = [];
  static get last(): Socket {
    return Socket.all.at(-1)!;
  }
  readyState = 0;
  sent: { type: string; topic: string }[] = [];
  isClosedByUs = false;
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  constructor(readonly url: URL) {
    Socket.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  close(): void {
    this.isClosedByUs = true;
    this.readyState = 3;
  }
  opens(): this {
    this.readyState = 1;
    this.onopen?.();
    return this;
  }
  says(message: object | string): this {
    this.onmessage?.({ data: typeof message === 'string' ? message : JSON.stringify(message) });
    return this;
  }
  ends(code: number): void {
    this.readyState = 3;
    this.onclose?.({ code });
  }
}

const frames: (() => void)[] = [];

/** Paints: everything that waits for an animation frame runs. */
export function paint(): number {
  const waiting = frames.splice(0);
  waiting.forEach((work) => work?.());
  return waiting.length;
}

export const START_MS = 1_800_000_000_000;

/** A fresh browser, whose dice show `dice`. */
export function browser(dice = 0.5): void {
  mock.timers.reset();
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: START_MS });
  mock.method(Math, 'random', () => dice);
  Socket.all = [];
  frames.length = 0;
  Object.assign(globalThis, {
    WebSocket: Socket,
    location: { href: 'https://race.example/live?event=1' },
    requestAnimationFrame: (work: () => void) => frames.push(work),
    cancelAnimationFrame: (handle: number) => delete frames[handle - 1],
  });
}

export const pass = (ms: number): void => mock.timers.tick(ms);
