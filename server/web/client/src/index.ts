// Live positions from pitwall: one connection that heals itself, and one callback a frame.
//
// It keeps the newest position of each device and nothing else; what is shown, and how, is the
// page's business. It never parses cookies: the session travels by itself with a relative address.
import { Offset } from './clock.js';
import { Frames, type Update } from './frames.js';
import { pauseMs, reaction, sentence, type Reaction } from './policy.js';
import type { Entry, ServerMessage } from './v1.js';

export type { Update } from './frames.js';
export type * from './v1.js';

/** Where a connection stands. */
export type Status = 'connecting' | 'live' | 'waiting' | 'login' | 'stopped';

/** Where a connection stands, and why, in words for a user. */
export interface State {
  status: Status;
  /** A sentence without its full stop, such as "The server restarts". */
  reason: string;
  /** When the next attempt is made (epoch milliseconds of this device); only while waiting. */
  retryAtMs?: number;
  /** The close code that led here, if one did. */
  code?: number;
  /** Events that are not shown, and why. */
  refused: ReadonlyArray<{ event: string; code: string; message: string }>;
}

export interface Options {
  /** Uuids of the events to watch. */
  events: readonly string[];
  /** At most once per animation frame: what has changed since the last time. */
  onFrame: (updates: Update[]) => void;
  /** Whenever the state changes. */
  onState?: (state: State) => void;
  /** Every message as it came, for who wants to look. */
  onMessage?: (text: string) => void;
  /** Where pitwall is; relative to the page by default, so that the cookie goes along. */
  url?: string;
  /** Our clock less the server's in milliseconds, if the page knows it; else it is learned. */
  clockOffsetMs?: number | undefined;
}

export interface Connection {
  /** Watches these events from now on; of one that is not among them an empty snapshot comes. */
  watch(events: readonly string[]): void;
  /** Tries at once: somebody has logged in, or does not want to wait. */
  retry(): void;
  /** Hands over at once what waits for the next animation frame; for pages that draw every frame. */
  flush(): void;
  /** Ends it for good. */
  close(): void;
  /** How old something of this device time is, corrected for a wrong clock of this device. */
  ageMs(ts: number): number;
  /** Messages of positions so far. */
  readonly frameCount: number;
}

/** So long a connection may take to open, and a reply to come. */
const OPEN_MS = 15_000;
const REPLY_MS = 5_000;
/** A long snapshot over a slow line needs more: the wait doubles with each that was too short. */
const REPLY_MS_MAX = 60_000;
/** After so long without a message we ask; so long after that the connection is given up. */
const QUIET_MS = 52_000;
const SILENCE_MS = 60_000;
/** Live for so long, a connection counts as good, and the next loss begins with a short pause. */
const SETTLED_MS = 10_000;
/** Subscribes at once, and the time between further ones: within pitwall's limits. */
const BURST = 16;
const PACE_MS = 250;
/** An event that could not be decided about is asked for again. */
const ASK_AGAIN_MS = 5_000;
/** Frames are handed over so often while nothing is painted. */
const HIDDEN_MS = 1_000;
const REFUSALS_FOR_GOOD = ['forbidden', 'not-found', 'unknown-topic', 'too-many-topics'];

type Timer = ReturnType<typeof setTimeout>;
type Refused = { event: string; code: string; message: string };

/** Connects, and stays connected until it is closed or told to stop. */
export function connect(options: Options): Connection {
  const url = new URL(options.url ?? '/ws-live', globalThis.location?.href);
  url.protocol = url.protocol.replace('http', 'ws');
  const frames = new Frames();
  const offset = new Offset(options.clockOffsetMs);
  let events = new Set(options.events);
  let socket: WebSocket | undefined;
  let attempt = 0;
  let replyMs = REPLY_MS;
  let frameCount = 0;
  let lastMessageMs = 0;
  let isOver = false;
  let timers = new Set<Timer>();
  let retryTimer: Timer | undefined;
  let settled: Timer | undefined;
  let state: State | undefined;
  /** Subscribes that wait for their reply. */
  let awaited = new Map<string, Timer>();
  const live = new Set<string>();
  const refused = new Map<string, Refused>();

  function say(status: Status, reason: string, more?: { retryAtMs?: number; code?: number }): void {
    const said = JSON.stringify(state);
    state = { status, reason, ...more, refused: [...refused.values()] };
    if (JSON.stringify(state) !== said) options.onState?.(state);
  }

  function after(ms: number, work: () => void): Timer {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, ms);
    timers.add(timer);
    return timer;
  }

  function stopTimers(): void {
    timers.forEach(clearTimeout);
    timers = new Set();
    clearTimeout(retryTimer);
    awaited = new Map();
    live.clear();
  }

  function open(): void {
    drop();
    if (isOver) return;
    refused.clear();
    say('connecting', 'Connecting');
    const own = new WebSocket(url);
    socket = own;
    own.onopen = () => {
      heard();
      [...events].forEach((event, at) => subscribe(event, at));
      // Without anything to watch there is nothing to wait for.
      judge();
    };
    own.onmessage = ({ data }) => {
      heard();
      take(String(data));
    };
    own.onclose = ({ code }) => lost(code);
    after(OPEN_MS, () => {
      if (own.readyState !== 1) lost(1006, 'The server cannot be reached');
    });
  }

  /** Forgets the socket; whatever still comes over it is not heard. */
  function drop(): void {
    stopTimers();
    clearTimeout(settled);
    settled = undefined;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
    socket = undefined;
  }

  function lost(code: number, why = sentence(code)): void {
    drop();
    const asked: Reaction = reaction(code);
    if (asked === 'login' || asked === 'stop') {
      return say(asked === 'login' ? 'login' : 'stopped', why, { code });
    }
    const ms = Math.round(pauseMs(asked, attempt, Math.random));
    attempt += 1;
    retryTimer = setTimeout(open, ms);
    const reason = globalThis.navigator?.onLine === false ? 'This device is offline' : why;
    say('waiting', reason, { retryAtMs: Date.now() + ms, code });
  }

  let watcher: Timer | undefined;
  function heard(): void {
    lastMessageMs = Date.now();
    if (watcher && timers.has(watcher)) return;
    watcher = after(QUIET_MS, watchSilence);
  }

  /** Asks a quiet server for something; gives a silent one up. */
  function watchSilence(): void {
    // Who watches nothing, or nothing that may be seen, is told nothing.
    if ([...events].every(isRefusedForGood)) lastMessageMs = Date.now();
    const silentMs = Date.now() - lastMessageMs;
    if (silentMs >= SILENCE_MS) {
      return lost(1006, 'Nothing has been heard from the server for a minute');
    }
    if (silentMs >= QUIET_MS) {
      // Twice is the same as once: an event without devices has nothing else to say.
      const [event] = live;
      if (event) send('subscribe', event);
    }
    watcher = after(silentMs >= QUIET_MS ? SILENCE_MS - silentMs : QUIET_MS - silentMs, watchSilence);
  }

  function send(type: 'subscribe' | 'unsubscribe', event: string): void {
    if (socket?.readyState === 1) socket.send(JSON.stringify({ type, topic: `event:${event}` }));
  }

  function subscribe(event: string, index = 0): void {
    if (index >= BURST) {
      after((index - BURST + 1) * PACE_MS, () => subscribe(event));
    } else if (events.has(event)) {
      answered(event);
      const late = (): void => {
        replyMs = Math.min(replyMs * 2, REPLY_MS_MAX);
        lost(1006, 'The server does not answer');
      };
      awaited.set(event, after(replyMs, late));
      send('subscribe', event);
    }
  }

  /** The reply for an event is there, or is not waited for any more. */
  function answered(event: string): void {
    const timer = awaited.get(event);
    clearTimeout(timer);
    if (timer) timers.delete(timer);
    awaited.delete(event);
  }

  function take(text: string): void {
    options.onMessage?.(text);
    let message: ServerMessage;
    try {
      message = JSON.parse(text);
    } catch {
      return;
    }
    const event = message?.topic?.slice('event:'.length) ?? '';
    if (!events.has(event)) return;
    if (message.type === 'position') {
      frameCount += 1;
      const { type: _, topic: __, ...entry } = message;
      if (frames.position(event, entry as Entry)) {
        offset.see(entry.ts, Date.now());
        plan();
      }
    } else if (message.type === 'subscribed') {
      answered(event);
      live.add(event);
      refused.delete(event);
      frames.snapshot(event, message.snapshot);
      plan();
      judge();
    } else if (message.type === 'error') {
      answered(event);
      refuse(event, message.code, message.message);
    } else if (message.type === 'unsubscribed' && live.has(event)) {
      refuse(event, 'forbidden', 'This event is not shown to you any more.');
    }
  }

  function isRefusedForGood(event: string): boolean {
    return REFUSALS_FOR_GOOD.includes(refused.get(event)?.code ?? '');
  }

  function refuse(event: string, code: string, message: string): void {
    const isForGood = REFUSALS_FOR_GOOD.includes(code);
    // What could not be decided again stays as it was decided.
    if (live.has(event) && !isForGood) return;
    refused.set(event, { event, code, message });
    if (live.delete(event)) {
      // What may not be seen any more goes from the screen.
      frames.snapshot(event, []);
      plan();
    }
    if (!isForGood) after(ASK_AGAIN_MS * (0.5 + Math.random()), () => subscribe(event));
    judge();
  }

  /** Says it when everything asked for is there, or refused. */
  function judge(): void {
    if (live.size + refused.size < events.size || socket?.readyState !== 1) return;
    settled ??= setTimeout(() => (attempt = 0), SETTLED_MS);
    say('live', live.size || !events.size ? 'Live' : 'No event can be shown');
  }

  let paint: number | undefined;
  let fallback: Timer | undefined;
  function plan(): void {
    if (fallback !== undefined) return;
    // Nothing is painted in a hidden page; the timer alone comes then.
    fallback = setTimeout(flush, HIDDEN_MS);
    paint = globalThis.requestAnimationFrame?.(flush);
  }

  function flush(): void {
    if (fallback === undefined) return;
    clearTimeout(fallback);
    fallback = undefined;
    if (paint !== undefined) cancelAnimationFrame(paint);
    const updates = frames.take();
    if (updates.length && !isOver) options.onFrame(updates);
  }

  /** The network, or the user, is back. */
  function back(): void {
    const isStale = state?.status === 'live' && Date.now() - lastMessageMs > SILENCE_MS;
    const isWaiting = state?.status === 'waiting' && state.code !== 1008;
    if (!globalThis.document?.hidden && (isWaiting || isStale)) open();
  }
  globalThis.addEventListener?.('online', back);
  globalThis.document?.addEventListener('visibilitychange', back);

  open();
  return {
    watch(wanted) {
      const old = events;
      events = new Set(wanted);
      for (const event of old) {
        if (events.has(event)) continue;
        answered(event);
        live.delete(event);
        refused.delete(event);
        if (frames.forget(event)) plan();
        send('unsubscribe', event);
      }
      if (socket?.readyState === 1) {
        [...events].filter((event) => !old.has(event)).forEach((event, at) => subscribe(event, at));
        judge();
      }
    },
    retry: open,
    flush,
    close() {
      isOver = true;
      drop();
      globalThis.removeEventListener?.('online', back);
      globalThis.document?.removeEventListener('visibilitychange', back);
      say('stopped', 'Closed');
    },
    ageMs: (ts) => Math.max(0, Date.now() - offset.ms - ts),
    get frameCount() {
      return frameCount;
    },
  };
}
