// The cars: where each is, where it is drawn, and where it was.
//
// A dot glides to where its car was measured and never beyond: what was not measured is not shown.
// Coordinates are those of the Mercator square, 0 to 1, so that drawing costs one multiplication.
import type { Entry, Update } from '@pitwall/client';
import type { Device } from './about.js';

/** Longest glide: about the time to the next fix of a device that reports each second. */
const GLIDE_MS_MAX = 1_100;
/** Further than this (in the Mercator square, some 8 km at the equator) a dot jumps. */
const JUMP = 2e-4;
/** Fixes of a trail. 64 fixes of 16 bytes are a kilobyte for each car. */
const TRAIL_FIXES = 64;

export interface Car {
  readonly id: string;
  name: string;
  number: string;
  label: string;
  /** The newest fix; none yet for a car that is only known by name. */
  fix: Entry | undefined;
  /** Where it is drawn. */
  x: number;
  y: number;
  fromX: number;
  fromY: number;
  toX: number;
  toY: number;
  startMs: number;
  glideMs: number;
  /** Past fixes as x and y in turns; the newest is at `trailEnd - 1`. */
  readonly trail: Float64Array;
  trailLength: number;
  trailEnd: number;
}

export const mercatorX = (lon: number): number => lon / 360 + 0.5;
export const mercatorY = (lat: number): number => {
  const sine = Math.sin((Math.max(-85.05, Math.min(85.05, lat)) * Math.PI) / 180);
  return 0.5 - Math.log((1 + sine) / (1 - sine)) / (4 * Math.PI);
};

export class Fleet {
  /** All cars, those with a number first, in its order. */
  cars: Car[] = [];
  #byId = new Map<string, Car>();
  #members = new Map<string, Set<string>>();
  #named = new Set<string>();
  isGlideWanted = true;
  /** Changes whenever cars come or go. */
  version = 0;

  car(id: string): Car | undefined {
    return this.#byId.get(id);
  }

  get shownCount(): number {
    let count = 0;
    for (const car of this.cars) if (car.fix) count += 1;
    return count;
  }

  /** Who is expected, with names; who is not named any more is called by the IMEI. */
  name(devices: Iterable<Device>): void {
    this.#named.clear();
    for (const car of this.cars) {
      car.name = car.number = '';
      car.label = car.id.slice(-4);
    }
    for (const device of devices) {
      this.#named.add(device.id);
      const car = this.#byId.get(device.id) ?? this.#add(device.id);
      car.number = device.number ?? '';
      car.name = device.name ?? '';
      car.label = car.number || car.name || device.id.slice(-4);
    }
    this.#drop();
    this.#order();
  }

  /** Takes in what has changed. */
  take(update: Update, nowMs: number): void {
    const known = this.#members.get(update.event) ?? new Set<string>();
    const count = this.cars.length;
    if (update.isSnapshot) {
      this.#members.set(update.event, new Set(update.positions.map((entry) => entry.deviceId)));
      this.#drop();
    } else {
      this.#members.set(update.event, known);
    }
    const isNews = this.cars.length !== count;
    let hasNew = isNews;
    for (const entry of update.positions) {
      let car = this.#byId.get(entry.deviceId);
      if (!car) {
        car = this.#add(entry.deviceId);
        hasNew = true;
      }
      known.add(entry.deviceId);
      this.#move(car, entry, nowMs);
    }
    if (hasNew) this.#order();
  }

  /** Moves every dot to where it is drawn now; true while any is on its way. */
  advance(nowMs: number): boolean {
    let isMoving = false;
    for (const car of this.cars) {
      if (car.glideMs === 0) continue;
      const part = (nowMs - car.startMs) / car.glideMs;
      if (part >= 1) {
        car.glideMs = 0;
        car.x = car.toX;
        car.y = car.toY;
      } else {
        isMoving = true;
        car.x = car.fromX + (car.toX - car.fromX) * part;
        car.y = car.fromY + (car.toY - car.fromY) * part;
      }
    }
    return isMoving;
  }

  #move(car: Car, entry: Entry, nowMs: number): void {
    const [x, y] = [mercatorX(entry.lon), mercatorY(entry.lat)];
    const gapMs = car.fix ? entry.ts - car.fix.ts : 0;
    const isNear = car.fix && Math.abs(x - car.x) < JUMP && Math.abs(y - car.y) < JUMP;
    car.fix = entry;
    if (car.trailLength === 0 || x !== car.toX || y !== car.toY) remember(car, x, y);
    car.toX = x;
    car.toY = y;
    if (!isNear || !this.isGlideWanted || gapMs <= 0) {
      car.x = x;
      car.y = y;
      car.glideMs = 0;
      return;
    }
    car.fromX = car.x;
    car.fromY = car.y;
    car.startMs = nowMs;
    car.glideMs = Math.min(gapMs * 1.05, GLIDE_MS_MAX);
  }

  #add(id: string): Car {
    const car: Car = {
      id, name: '', number: '', label: id.slice(-4), fix: undefined,
      x: 0, y: 0, fromX: 0, fromY: 0, toX: 0, toY: 0, startMs: 0, glideMs: 0,
      trail: new Float64Array(TRAIL_FIXES * 2), trailLength: 0, trailEnd: 0,
    };
    this.#byId.set(id, car);
    this.cars.push(car);
    return car;
  }

  /** Forgets cars that no event has any more; those that are expected stay as names. */
  #drop(): void {
    const isShown = (id: string): boolean => [...this.#members.values()].some((it) => it.has(id));
    const kept = this.cars.filter((car) => {
      if (isShown(car.id)) return true;
      car.fix = undefined;
      car.trailLength = 0;
      if (!this.#named.has(car.id)) this.#byId.delete(car.id);
      return this.#named.has(car.id);
    });
    if (kept.length !== this.cars.length) this.version += 1;
    this.cars = kept;
  }

  #order(): void {
    const rank = (car: Car): number => (/^\d+$/.test(car.number) ? Number(car.number) : Infinity);
    this.cars.sort((a, b) => rank(a) - rank(b) || (a.label + a.id < b.label + b.id ? -1 : 1));
    this.version += 1;
  }
}

function remember(car: Car, x: number, y: number): void {
  car.trail[car.trailEnd * 2] = x;
  car.trail[car.trailEnd * 2 + 1] = y;
  car.trailEnd = (car.trailEnd + 1) % TRAIL_FIXES;
  car.trailLength = Math.min(car.trailLength + 1, TRAIL_FIXES);
}

/** Calls `visit` with the points of a trail, oldest first. */
export function walkTrail(car: Car, visit: (x: number, y: number) => void): void {
  for (let back = car.trailLength; back > 0; back -= 1) {
    const at = (car.trailEnd - back + TRAIL_FIXES) % TRAIL_FIXES;
    visit(car.trail[at * 2]!, car.trail[at * 2 + 1]!);
  }
}
