// What `?measure` in the address keeps for whoever measures this page: when fixes were painted, and
// how long frames took. Nothing is kept without it.

/** Figures kept; the oldest go. */
const FIGURES_MAX = 200_000;

export interface Measured {
  /** For each fix: from its device time to the paint that shows it, in milliseconds. */
  paints: number[];
  /** From one drawn frame to the next, and what drawing took. */
  frames: { gapMs: number; drawMs: number }[];
}

declare global {
  var pitwallMeasured: Measured | undefined;
}

export class Measure {
  #measured: Measured = { paints: [], frames: [] };
  #waiting: number[] = [];
  #lastMs = 0;
  #channel = new MessageChannel();

  constructor() {
    globalThis.pitwallMeasured = this.#measured;
    // A task behind the frame's callbacks runs once the frame has gone to be painted.
    this.#channel.port1.onmessage = () => {
      const paintedMs = Date.now();
      for (const ts of this.#waiting) this.#measured.paints.push(paintedMs - ts);
      this.#waiting.length = 0;
      if (this.#measured.paints.length > FIGURES_MAX) this.#measured.paints.splice(0, FIGURES_MAX / 2);
    };
  }

  /** A fix has been taken in; the next drawing shows it. */
  taken(ts: number): void {
    this.#waiting.push(ts);
  }

  drawn(frameMs: number, drawMs: number): void {
    if (this.#lastMs) this.#measured.frames.push({ gapMs: frameMs - this.#lastMs, drawMs });
    if (this.#measured.frames.length > FIGURES_MAX) this.#measured.frames.splice(0, FIGURES_MAX / 2);
    this.#lastMs = frameMs;
    if (this.#waiting.length) this.#channel.port2.postMessage(0);
  }
}
