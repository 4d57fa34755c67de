// The drawer of raw frames: the newest lines as they came, while somebody looks.
const LINES_MAX = 200;
/** A snapshot is long; its beginning tells enough. */
const LINE_CHARACTERS_MAX = 600;

export class Raw {
  readonly #drawer: HTMLElement;
  readonly #lines: HTMLElement;
  readonly #rate: HTMLElement;
  #kept: string[] = [];
  #isDirty = false;
  isHeld = false;

  constructor(drawer: HTMLElement, lines: HTMLElement, rate: HTMLElement) {
    this.#drawer = drawer;
    this.#lines = lines;
    this.#rate = rate;
  }

  get isOpen(): boolean {
    return !this.#drawer.hidden;
  }

  toggle(): boolean {
    this.#drawer.hidden = !this.#drawer.hidden;
    if (this.#drawer.hidden) this.#kept = [];
    return this.isOpen;
  }

  take(text: string): void {
    if (!this.isOpen || this.isHeld) return;
    const cut = text.length > LINE_CHARACTERS_MAX ? `${text.slice(0, LINE_CHARACTERS_MAX)}… ${text.length} characters` : text;
    this.#kept.push(cut);
    if (this.#kept.length > LINES_MAX) this.#kept.splice(0, this.#kept.length - LINES_MAX);
    this.#isDirty = true;
  }

  /** Shows what has come; called a few times a second. */
  refresh(framesPerSecond: number): void {
    if (!this.isOpen) return;
    this.#rate.textContent = `${framesPerSecond} a second, the newest ${LINES_MAX}`;
    if (!this.#isDirty) return;
    this.#isDirty = false;
    this.#lines.textContent = this.#kept.join('\n');
    this.#lines.scrollTop = this.#lines.scrollHeight;
  }
}
