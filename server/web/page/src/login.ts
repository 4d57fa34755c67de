// The form for the token, and the word to those whom another page logs in.
const part = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

export class Login {
  readonly #dialog = part<HTMLDialogElement>('login');
  #hasToken = true;

  /** `enter` is given the token, or nothing when the log-in happens elsewhere; true lets in. */
  constructor(enter: (token: string | undefined) => Promise<boolean>) {
    this.#dialog.addEventListener('cancel', (event) => event.preventDefault());
    this.#dialog.querySelector('form')!.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#submit(enter);
    });
  }

  get isOpen(): boolean {
    return this.#dialog.open;
  }

  open(hasToken: boolean): void {
    this.#hasToken = hasToken;
    part('login-field').hidden = !hasToken;
    part<HTMLInputElement>('token').required = hasToken;
    part('login-words').textContent = hasToken
      ? 'This race is shown to those who have its token.'
      : 'You are not logged in, or your session has ended. Log in on the platform, then come back here.';
    part('login-go').textContent = hasToken ? 'Log in' : 'I have logged in';
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  close(): void {
    part<HTMLInputElement>('token').value = '';
    part('login-error').textContent = '';
    this.#dialog.close();
  }

  async #submit(enter: (token: string | undefined) => Promise<boolean>): Promise<void> {
    const error = part('login-error');
    error.textContent = '';
    try {
      const isIn = await enter(this.#hasToken ? part<HTMLInputElement>('token').value : undefined);
      if (!isIn) error.textContent = 'This token is not the right one.';
    } catch (problem) {
      error.textContent = `${(problem as Error).message}. Try again in a moment.`;
    }
  }
}
