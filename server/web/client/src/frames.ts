// What has come since the last animation frame: of each device only the newest.
import type { Entry } from './v1.js';

/** What has changed in one event since the last call. */
export interface Update {
  event: string;
  /** True when `positions` are all there is: forget every device that is not among them. */
  isSnapshot: boolean;
  positions: Entry[];
}

interface Pending {
  isSnapshot: boolean;
  positions: Map<string, Entry>;
}

/** Keeps the newest of each device and event until it is taken. */
export class Frames {
  #newest = new Map<string, Map<string, number>>();
  #pending = new Map<string, Pending>();

  /** All that is known of an event, in place of what was. */
  snapshot(event: string, entries: Entry[]): void {
    const newest = new Map<string, number>();
    const positions = new Map<string, Entry>();
    for (const entry of entries) {
      newest.set(entry.deviceId, entry.ts);
      positions.set(entry.deviceId, entry);
    }
    this.#newest.set(event, newest);
    this.#pending.set(event, { isSnapshot: true, positions });
  }

  /** A position; false when it is not newer than what is known. */
  position(event: string, entry: Entry): boolean {
    const newest = this.#newest.get(event);
    if (!newest || entry.ts <= (newest.get(entry.deviceId) ?? -Infinity)) return false;
    newest.set(entry.deviceId, entry.ts);
    let pending = this.#pending.get(event);
    if (!pending) this.#pending.set(event, (pending = { isSnapshot: false, positions: new Map() }));
    pending.positions.set(entry.deviceId, entry);
    return true;
  }

  /** The event is not watched any more: what was known of it goes. False when nothing was. */
  forget(event: string): boolean {
    if (!this.#newest.delete(event)) return false;
    this.#pending.set(event, { isSnapshot: true, positions: new Map() });
    return true;
  }

  /** Takes what waits. */
  take(): Update[] {
    const updates: Update[] = [];
    for (const [event, { isSnapshot, positions }] of this.#pending) {
      updates.push({ event, isSnapshot, positions: [...positions.values()] });
    }
    this.#pending.clear();
    return updates;
  }
}
