// The live page: learns what there is to see, connects, and lets the parts draw it.
import { connect, type Connection, type State, type Update } from '@pitwall/client';
import { type About, eventsToShow, learn, type Learned, logIn } from './about.js';
import { Base } from './base.js';
import { Card } from './card.js';
import { type Car, Fleet } from './fleet.js';
import { List, say } from './list.js';
import { Login } from './login.js';
import { Measure } from './measure.js';
import { Overlay } from './overlay.js';
import { Raw } from './raw.js';
import { Sign } from './sign.js';
import { nextTheme, watchTheme } from './theme.js';
import { latencyWords } from './words.js';

/** A car that has got a name, or a course that has changed, is seen after so long: a quarter more or
 * less, so that a crowd does not ask at one moment. */
const LEARN_AGAIN_MS = 60_000;
/** A first question that was not answered is put again after so long; half of it is chance as well. */
const BEGIN_AGAIN_MS = 6_000;
/** Lists and figures are written so often; dots move with every frame. */
const REFRESH_MS = 500;
const FIT = { padding: 56, maxZoom: 15, duration: 600 } as const;

const part = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;
const address = new URLSearchParams(location.search);

class Page {
  readonly #fleet = new Fleet();
  readonly #list = new List(part('rows'), part('canvas-of-rows'), this.#fleet, (car) => this.#choose(car, true));
  readonly #card = new Card((wanted) => this.#follow(wanted), () => this.#choose(undefined));
  readonly #raw = new Raw(part('raw'), part('raw-lines'), part('raw-rate'));
  readonly #sign = new Sign(() => this.#connection?.retry());
  readonly #measure = address.has('measure') ? new Measure() : undefined;
  readonly #login = new Login(async (token) => (token === undefined || (await logIn(token))) && (await this.#begin()));
  readonly #view = { chosen: undefined as string | undefined, hasLabels: true, hasTrails: true };
  #base: Base | undefined;
  #overlay: Overlay | undefined;
  #connection: Connection | undefined;
  #about: About | undefined;
  #tag: string | null = null;
  #learnAgainMs = 0;
  #isFollowing = false;
  #isFitted = false;
  #isDrawPlanned = false;
  #latencies: number[] = [];
  #lastCount = 0;

  constructor() {
    const still = matchMedia('(prefers-reduced-motion: reduce)');
    this.#fleet.isGlideWanted = !still.matches;
    still.addEventListener('change', () => (this.#fleet.isGlideWanted = !still.matches));
    watchTheme(() => {
      this.#base?.recolour();
      this.#overlay?.recolour();
      this.#plan();
    });
    this.#listen();
    setInterval(() => this.#refresh(), REFRESH_MS);
    void this.#begin();
  }

  /** Learns what there is and connects; false when a token is asked for. */
  async #begin(): Promise<boolean> {
    let learned;
    try {
      learned = await learn();
    } catch {
      const pauseMs = BEGIN_AGAIN_MS * (0.5 + Math.random() / 2);
      this.#sign.show({ status: 'waiting', reason: 'The server cannot be reached', retryAtMs: Date.now() + pauseMs, refused: [] });
      setTimeout(() => void this.#begin(), pauseMs);
      return true;
    }
    if (learned === 'login') {
      this.#sign.show({ status: 'login', reason: 'Log in to see this race', refused: [] });
      this.#login.open(true);
      return false;
    }
    this.#login.close();
    // It was not said that anything is known, so this cannot be.
    if (learned === 'known') return true;
    const events = this.#learned(learned);
    if (this.#connection) {
      this.#connection.watch(events);
      this.#connection.retry();
      return true;
    }
    this.#connection = connect({
      events,
      clockOffsetMs: learned.clockOffsetMs,
      onFrame: (updates) => this.#take(updates),
      onState: (state) => this.#said(state),
      onMessage: (text) => this.#raw.take(text),
    });
    return true;
  }

  /** Shows what was learned; these are the events to watch. */
  #learned({ about, tag }: Exclude<Learned, string>): string[] {
    this.#about = about;
    this.#tag = tag;
    this.#learnLater();
    const events = eventsToShow(about, address);
    this.#show(about, events);
    return events;
  }

  /** Names, courses and events may have changed. What cannot be learned now stays as it is. */
  async #learnAgain(): Promise<void> {
    const isDue = Date.now() >= this.#learnAgainMs;
    if (!isDue || document.hidden || !this.#connection || this.#login.isOpen) return;
    this.#learnLater();
    const learned = await learn(this.#tag).catch(() => 'away' as const);
    if (typeof learned !== 'string') this.#connection.watch(this.#learned(learned));
  }

  #learnLater(): void {
    this.#learnAgainMs = Date.now() + LEARN_AGAIN_MS * (0.75 + Math.random() / 2);
  }

  #hasEvents = false;

  #show(about: About, events: string[]): void {
    this.#hasEvents = events.length > 0;
    this.#notice('');
    const shown = about.events.filter((event) => events.includes(event.id));
    const title = shown.map((event) => event.name).join(' · ') || (events.length === 1 ? `Event ${events[0]!.slice(0, 8)}` : `${events.length} events`);
    say(part('title'), events.length ? title : 'No event');
    document.title = events.length ? `${title} · pitwall` : 'pitwall';
    this.#fleet.name(shown.flatMap((event) => event.devices));
    if (!this.#base) {
      this.#base = new Base(part('map'), about.style);
      const { map } = this.#base;
      this.#overlay = new Overlay(part<HTMLCanvasElement>('dots'), map, this.#fleet);
      map.on('render', () => {
        if (map.isMoving() || !this.#isDrawPlanned) this.#draw();
      });
      map.on('move', () => this.#plan());
      map.on('dragstart', () => this.#follow(false));
      map.on('click', ({ point }) => {
        const isFine = matchMedia('(pointer: fine)').matches;
        this.#choose(this.#overlay!.carAt(point.x, point.y, isFine ? 14 : 26));
      });
      map.on('mousemove', ({ point }) => {
        map.getCanvas().style.cursor = this.#overlay!.carAt(point.x, point.y, 14) ? 'pointer' : '';
      });
    }
    this.#base.setCourse(shown.flatMap((event) => (event.course ? [event.course] : [])));
    this.#overlay!.setMarks(this.#base.course);
    if (this.#base.course.features.length && !this.#isFitted) {
      this.#isFitted = true;
      this.#fitAll(false);
    }
  }

  #said(state: State): void {
    this.#sign.show(state);
    const [refused] = state.refused;
    if (state.status === 'login') this.#login.open(this.#about?.login === 'token');
    if (state.status === 'live') this.#notice(refused?.message ?? '');
    this.#plan();
  }

  #notice(problem: string): void {
    const notice = part('notice');
    const words = problem || (this.#hasEvents ? '' : 'No event yet. Name one in the address: ?event=<uuid>');
    notice.hidden = !words;
    say(notice, words);
  }

  #take(updates: Update[]): void {
    const nowMs = performance.now();
    for (const update of updates) {
      this.#fleet.take(update, nowMs);
      if (update.isSnapshot) continue;
      for (const { ts } of update.positions) {
        this.#measure?.taken(ts);
        if (this.#latencies.length < 5_000) this.#latencies.push(this.#connection?.ageMs(ts) ?? 0);
      }
    }
    if (!this.#isFitted && this.#fleet.shownCount) {
      this.#isFitted = true;
      this.#fitAll(false);
    }
    // Already in an animation frame: drawn now, it is painted with this one.
    if (!this.#isDrawPlanned) this.#draw();
  }

  #plan(): void {
    if (this.#isDrawPlanned) return;
    this.#isDrawPlanned = true;
    requestAnimationFrame(() => {
      // Before the drawing, so that what has come is painted with this frame.
      this.#connection?.flush();
      this.#isDrawPlanned = false;
      // A map on the move draws by itself, and the dots with it.
      if (this.#base?.map.isMoving()) this.#base.map.triggerRepaint();
      else this.#draw();
    });
  }

  #drawnAt: unknown;

  #draw(): void {
    if (!this.#overlay || !this.#base) return;
    const nowMs = performance.now();
    if (this.#fleet.advance(nowMs)) this.#plan();
    const chosen = this.#chosenCar();
    if (this.#isFollowing && chosen?.fix) {
      const [lng, lat] = [(chosen.x - 0.5) * 360, (Math.atan(Math.exp((0.5 - chosen.y) * 2 * Math.PI)) * 360) / Math.PI - 90];
      const centre = this.#base.map.getCenter();
      // Only what is seen moves the map: a hundredth of a pixel would draw it for nothing.
      const pixel = 360 / (512 * 2 ** this.#base.map.getZoom());
      if (!this.#base.map.isMoving() && (Math.abs(centre.lng - lng) > pixel / 4 || Math.abs(centre.lat - lat) > pixel / 4)) {
        this.#base.map.jumpTo({ center: [lng, lat] });
      }
    }
    this.#overlay.draw(nowMs, (ts) => this.#ageMs(ts), this.#view);
    const frame = document.timeline.currentTime;
    if (frame !== this.#drawnAt) this.#measure?.drawn(Number(frame), performance.now() - nowMs);
    this.#drawnAt = frame;
  }

  #ageMs(ts: number): number {
    return this.#connection?.ageMs(ts) ?? 0;
  }

  #refresh(): void {
    void this.#learnAgain();
    const count = this.#connection?.frameCount ?? 0;
    const rate = Math.max(0, Math.round((count - this.#lastCount) * (1_000 / REFRESH_MS)));
    this.#lastCount = count;
    this.#smoothRate = this.#smoothRate * 0.6 + rate * 0.4;
    const shown = this.#smoothRate < 0.5 ? 0 : Math.round(this.#smoothRate);
    say(part('figure-cars'), String(this.#fleet.shownCount));
    say(part('figure-rate'), String(shown));
    if (this.#latencies.length) {
      const middle = this.#latencies.sort((a, b) => a - b)[this.#latencies.length >> 1]!;
      say(part('figure-latency'), latencyWords(middle));
      this.#latencies = [];
    } else if (shown === 0) {
      say(part('figure-latency'), '–');
    }
    this.#list.refresh((ts) => this.#ageMs(ts));
    this.#card.refresh(this.#chosenCar(), (ts) => this.#ageMs(ts), this.#isFollowing);
    this.#raw.refresh(shown);
    this.#sign.refresh();
    this.#drawScale();
    // Ages fade while nothing moves.
    this.#plan();
  }

  #smoothRate = 0;

  #drawScale(): void {
    if (!this.#base) return;
    const { map } = this.#base;
    const metresPerPixel = (40_075_017 * Math.cos((map.getCenter().lat * Math.PI) / 180)) / (512 * 2 ** map.getZoom());
    const most = metresPerPixel * 110;
    const step = 10 ** Math.floor(Math.log10(most));
    const metres = step * (most / step >= 5 ? 5 : most / step >= 2 ? 2 : 1);
    const [bar, words] = part('scale').children as unknown as [HTMLElement, HTMLElement];
    bar.style.width = `${metres / metresPerPixel}px`;
    say(words, metres >= 1_000 ? `${metres / 1_000} km` : `${metres} m`);
  }

  #chosenCar(): Car | undefined {
    return this.#view.chosen === undefined ? undefined : this.#fleet.car(this.#view.chosen);
  }

  #choose(car: Car | undefined, isGoing = false): void {
    this.#view.chosen = this.#list.chosen = car?.id;
    if (!car) this.#isFollowing = false;
    this.#card.refresh(car, (ts) => this.#ageMs(ts), this.#isFollowing);
    if (car?.fix && this.#base && (isGoing || this.#isFollowing)) {
      const { map } = this.#base;
      const padding = { top: 0, left: 0, right: 0, bottom: this.#covered() };
      map.easeTo({ center: [car.fix.lon, car.fix.lat], duration: 400, zoom: Math.max(map.getZoom(), 12), padding });
    }
    this.#list.refresh((ts) => this.#ageMs(ts));
    this.#list.reveal();
    this.#card.refresh(car, (ts) => this.#ageMs(ts), this.#isFollowing);
    this.#plan();
  }

  /** What the card covers on a narrow screen is no place for the car it tells of. */
  #covered(): number {
    const [card, field] = [part('card').getBoundingClientRect(), part('map').getBoundingClientRect()];
    return card.width > field.width * 0.8 ? Math.max(0, field.bottom - card.top) : 0;
  }

  #follow(wanted: boolean): void {
    this.#isFollowing = wanted && this.#chosenCar()?.fix !== undefined;
    if (this.#isFollowing) this.#choose(this.#chosenCar(), true);
    else this.#card.refresh(this.#chosenCar(), (ts) => this.#ageMs(ts), false);
  }

  #fitAll(isSmooth = true): void {
    this.#isFollowing = false;
    const points: [number, number][] = this.#fleet.cars.flatMap((car) => (car.fix ? [[car.fix.lon, car.fix.lat] as [number, number]] : []));
    const collect = (value: unknown): void => {
      if (!Array.isArray(value)) return;
      if (typeof value[0] === 'number') points.push([value[0], value[1] as number]);
      else value.forEach(collect);
    };
    for (const { geometry } of this.#base?.course.features ?? []) if ('coordinates' in geometry) collect(geometry.coordinates);
    if (!points.length || !this.#base) return;
    let [west, south, east, north] = [180, 90, -180, -90];
    for (const [lon, lat] of points) {
      [west, east] = [Math.min(west, lon), Math.max(east, lon)];
      [south, north] = [Math.min(south, lat), Math.max(north, lat)];
    }
    const { map } = this.#base;
    const padding = Math.min(FIT.padding, map.getContainer().clientWidth / 5, map.getContainer().clientHeight / 5);
    map.setPadding({ top: 0, left: 0, right: 0, bottom: this.#covered() });
    map.fitBounds([[west, south], [east, north]], { ...FIT, padding, duration: isSmooth ? FIT.duration : 0 });
  }

  #press(key: string): boolean {
    const toggle = (name: 'hasLabels' | 'hasTrails'): void => {
      this.#view[name] = !this.#view[name];
      this.#mark(key, this.#view[name]);
    };
    const step = (by: number): void => {
      const car = this.#list.neighbour(by);
      if (car) this.#choose(car, this.#isFollowing);
    };
    switch (key) {
      case '/': part<HTMLInputElement>('search').select(); break;
      case 'ArrowDown': step(1); break;
      case 'ArrowUp': step(-1); break;
      case 'f': case 'Enter': this.#follow(!this.#isFollowing); break;
      case 'a': this.#fitAll(); break;
      case '+': case '=': this.#base?.map.zoomIn(); break;
      case '-': this.#base?.map.zoomOut(); break;
      case 'l': toggle('hasLabels'); break;
      case 't': toggle('hasTrails'); break;
      case 'r': this.#mark(key, this.#raw.toggle()); this.#base?.map.resize(); break;
      case 'd': nextTheme(); break;
      case 'Escape': this.#choose(undefined); break;
      default: return false;
    }
    this.#plan();
    return true;
  }

  #mark(key: string, isOn: boolean): void {
    document.querySelector(`[data-key="${key}"]`)?.setAttribute('aria-pressed', String(isOn));
  }

  #listen(): void {
    addEventListener('keydown', (event) => {
      const isTyping = (event.target as HTMLElement).closest('input, dialog') !== null;
      if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
      const isOnButton = event.key === 'Enter' && (event.target as HTMLElement).closest('button') !== null;
      if (!isOnButton && this.#press(event.key.length === 1 ? event.key.toLowerCase() : event.key)) event.preventDefault();
    });
    for (const button of document.querySelectorAll<HTMLElement>('[data-key]')) {
      button.addEventListener('click', () => this.#press(button.dataset['key']!));
    }
    const search = part<HTMLInputElement>('search');
    search.addEventListener('input', () => {
      this.#list.query = search.value;
      this.#list.refresh((ts) => this.#ageMs(ts));
    });
    search.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') {
        const { first } = this.#list;
        if (first) this.#choose(first, true);
        search.blur();
      } else if (event.key === 'Escape') {
        search.value = '';
        this.#list.query = '';
        search.blur();
      }
    });
    const fold = part('fold');
    fold.addEventListener('click', () => {
      const isOpen = part('cars').toggleAttribute('data-folded') === false;
      fold.setAttribute('aria-expanded', String(isOpen));
      this.#base?.map.resize();
    });
    part('raw-close').addEventListener('click', () => this.#press('r'));
    part('raw-hold').addEventListener('click', () => {
      this.#raw.isHeld = !this.#raw.isHeld;
      part('raw-hold').setAttribute('aria-pressed', String(this.#raw.isHeld));
    });
    new ResizeObserver(() => this.#plan()).observe(part('dots'));
  }
}

new Page();
