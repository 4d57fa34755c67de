// What is known of the chosen car.
import type { Car } from './fleet.js';
import { say } from './list.js';
import { ageClass, ageWords, courseWords, placeWords } from './words.js';

const part = (id: string): HTMLElement => document.getElementById(id)!;

export class Card {
  #isFollowing = false;

  constructor(follow: (wanted: boolean) => void, close: () => void) {
    part('follow').addEventListener('click', () => follow(!this.#isFollowing));
    part('card-close').addEventListener('click', close);
  }

  refresh(car: Car | undefined, ageMs: (ts: number) => number, isFollowing: boolean): void {
    this.#isFollowing = isFollowing;
    part('card').hidden = car === undefined;
    if (!car) return;
    const { fix } = car;
    say(part('card-number'), car.number || car.label);
    say(part('card-name'), car.name || 'Without a name');
    say(part('card-speed'), fix ? `${Math.round(fix.speed ?? 0)} km/h` : '–');
    say(part('card-course'), fix ? courseWords(fix.course ?? 0) : '–');
    say(part('card-age'), fix ? ageWords(ageMs(fix.ts)) : 'no position yet');
    part('card-age').dataset['age'] = fix ? String(ageClass(ageMs(fix.ts))) : '3';
    say(part('card-place'), fix ? placeWords(fix.lat, fix.lon) : '–');
    say(part('card-imei'), car.id);
    part('follow').setAttribute('aria-pressed', String(isFollowing));
  }
}
