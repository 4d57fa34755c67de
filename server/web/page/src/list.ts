// The list of cars: only the rows in sight exist, whatever the number of cars.
import type { Car, Fleet } from './fleet.js';
import { ageClass, ageWords } from './words.js';

const ROW_PX = 36;

interface Row {
  element: HTMLElement;
  number: HTMLElement;
  name: HTMLElement;
  speed: HTMLElement;
  age: HTMLElement;
}

export class List {
  readonly #scroller: HTMLElement;
  readonly #inner: HTMLElement;
  readonly #fleet: Fleet;
  readonly #rows: Row[] = [];
  #query = '';
  #shown: Car[] = [];
  #version = -1;
  chosen: string | undefined;

  constructor(scroller: HTMLElement, inner: HTMLElement, fleet: Fleet, choose: (car: Car) => void) {
    this.#scroller = scroller;
    this.#inner = inner;
    this.#fleet = fleet;
    scroller.addEventListener('scroll', () => this.#fill(), { passive: true });
    inner.addEventListener('click', (event) => {
      const row = (event.target as HTMLElement).closest<HTMLElement>('.row');
      const car = row && this.#shown[Number(row.dataset['index'])];
      if (car) choose(car);
    });
  }

  set query(text: string) {
    this.#query = text.trim().toLowerCase();
    this.#version = -1;
    this.#scroller.scrollTop = 0;
  }

  /** The car so many places after the chosen one. */
  neighbour(step: number): Car | undefined {
    const at = this.#shown.findIndex((car) => car.id === this.chosen);
    const next = at < 0 ? (step > 0 ? 0 : this.#shown.length - 1) : at + step;
    return this.#shown[Math.max(0, Math.min(this.#shown.length - 1, next))];
  }

  get first(): Car | undefined {
    return this.#shown[0];
  }

  /** Brings the chosen car into sight. */
  reveal(): void {
    const at = this.#shown.findIndex((car) => car.id === this.chosen);
    if (at < 0) return;
    const [top, height] = [at * ROW_PX, this.#scroller.clientHeight];
    if (top < this.#scroller.scrollTop) this.#scroller.scrollTop = top;
    else if (top + ROW_PX > this.#scroller.scrollTop + height) this.#scroller.scrollTop = top + ROW_PX - height;
  }

  #ageMs: (ts: number) => number = () => 0;

  /** Shows what is known now. */
  refresh(ageMs: (ts: number) => number): void {
    this.#ageMs = ageMs;
    this.#scroller.removeAttribute('aria-activedescendant');
    if (this.#version !== this.#fleet.version) {
      this.#version = this.#fleet.version;
      const matches = (car: Car): boolean =>
        car.number.toLowerCase() === this.#query || car.label.toLowerCase().startsWith(this.#query) ||
        car.name.toLowerCase().includes(this.#query) || car.id.includes(this.#query);
      this.#shown = this.#query ? this.#fleet.cars.filter(matches) : this.#fleet.cars.slice();
      this.#inner.style.height = `${this.#shown.length * ROW_PX}px`;
      this.#inner.dataset['empty'] = this.#shown.length ? '' : this.#query ? 'No car is called that' : 'No cars yet';
    }
    this.#fill();
  }

  #fill(): void {
    const first = Math.floor(this.#scroller.scrollTop / ROW_PX);
    const count = Math.min(Math.ceil(this.#scroller.clientHeight / ROW_PX) + 1, this.#shown.length - first);
    for (let at = 0; at < count; at += 1) this.#write(this.#row(at), this.#shown[first + at]!, first + at);
    for (let at = Math.max(0, count); at < this.#rows.length; at += 1) this.#rows[at]!.element.hidden = true;
  }

  #row(at: number): Row {
    const known = this.#rows[at];
    if (known) return known;
    const element = document.createElement('div');
    element.className = 'row';
    element.id = `row-${at}`;
    element.setAttribute('role', 'option');
    const cell = (name: string): HTMLElement => {
      const span = document.createElement('span');
      span.className = name;
      element.append(span);
      return span;
    };
    const row = { element, number: cell('number'), name: cell('name'), speed: cell('speed'), age: cell('age') };
    this.#inner.append(element);
    this.#rows[at] = row;
    return row;
  }

  #write(row: Row, car: Car, index: number): void {
    const ageMs = car.fix ? this.#ageMs(car.fix.ts) : undefined;
    row.element.hidden = false;
    row.element.style.transform = `translateY(${index * ROW_PX}px)`;
    row.element.dataset['index'] = String(index);
    row.element.dataset['age'] = ageMs === undefined ? 'none' : String(ageClass(ageMs));
    const isChosen = car.id === this.chosen;
    row.element.setAttribute('aria-selected', String(isChosen));
    if (isChosen) this.#scroller.setAttribute('aria-activedescendant', row.element.id);
    say(row.number, car.label);
    say(row.name, car.name || car.id);
    row.name.classList.toggle('is-imei', !car.name);
    say(row.speed, car.fix ? String(Math.round(car.fix.speed ?? 0)) : '');
    say(row.age, ageMs === undefined ? '–' : ageWords(ageMs));
  }
}

/** Writes text where it has changed. */
export function say(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
