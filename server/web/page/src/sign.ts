// The sign in the bar: where the connection stands, why, and when it is tried again.
import type { State } from '@pitwall/client';
import { say } from './list.js';

export class Sign {
  readonly #element = document.getElementById('state')!;
  readonly #words = document.getElementById('state-words')!;
  #state: State = { status: 'connecting', reason: 'Connecting', refused: [] };

  /** `retry` is called when somebody does not want to wait. */
  constructor(retry: () => void) {
    this.#element.addEventListener('click', () => {
      if (this.#state.status !== 'live') retry();
    });
  }

  show(state: State): void {
    this.#state = state;
    this.#element.dataset['status'] = state.status;
    this.refresh();
  }

  refresh(): void {
    const { status, reason, retryAtMs } = this.#state;
    const seconds = retryAtMs === undefined ? 0 : Math.max(0, Math.ceil((retryAtMs - Date.now()) / 1000));
    const next = status === 'waiting' ? (seconds ? `. Again in ${seconds} s` : '. Trying again') : '';
    say(this.#words, `${reason}${next}`);
    this.#element.title = status === 'live' ? reason : `${reason}${next}. Press to try at once.`;
  }
}
