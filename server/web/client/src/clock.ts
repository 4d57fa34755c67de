// How far the clock of this device is from those of the GPS receivers.

/** So many live fixes are seen before anything is concluded from them. */
const FIXES_MIN = 8;
/** A fix that is on its way for less than this is not late: it is no sign of a wrong clock. */
const USUAL_DELAY_MS = 5_000;

/**
 * Learns from fixes that come live how far our clock is ahead (or, negative, behind).
 *
 * The smallest difference between our clock and a fix's time is the clock's error and the shortest
 * way of a fix together. Within a usual delay nothing is corrected, for then the age shown is the
 * true one; beyond it, or below zero, the clock is taken to be wrong by that much. Snapshots teach
 * nothing: what they hold may be old. A page that knows the server's time sets it instead.
 */
export class Offset {
  #known: number | undefined;
  #least = Infinity;
  #fixes = 0;

  /** `knownMs`: our clock less the server's, when the page has learned that elsewhere. */
  constructor(knownMs?: number) {
    this.#known = knownMs;
  }

  /** A live fix of this time has come at `nowMs`. */
  see(ts: number, nowMs: number): void {
    this.#fixes += 1;
    this.#least = Math.min(this.#least, nowMs - ts);
  }

  /** Our clock less the true time. */
  get ms(): number {
    if (this.#known !== undefined) return this.#known;
    if (this.#least < 0) return this.#least;
    return this.#fixes >= FIXES_MIN && this.#least > USUAL_DELAY_MS && this.#least < Infinity
      ? this.#least
      : 0;
  }
}
