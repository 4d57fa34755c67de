// The dots, trails and labels: one canvas above the map, drawn anew whenever something has moved.
//
// Dots are pictures drawn once per age and copied, or stamped when they are many; labels are drawn with the system's own font, so
// that no font is fetched, and only as many as have room.
import type { Map as MapLibre } from 'maplibre-gl';
import type { FeatureCollection } from 'geojson';
import { type Car, type Fleet, mercatorX, mercatorY, walkTrail } from './fleet.js';
import { Stamps } from './stamps.js';
import { type AgeClass, ageClass } from './words.js';

/** Labels drawn at most, and cars looked at for one. */
const LABELS_MAX = 90;
const LABELS_TRIED_MAX = 900;
/** With more cars than this in sight only the chosen one has a trail. */
const TRAILS_MAX = 150;
const TILE_PX = 512;
/** A dot with its edge. */
const DOT_PX = 16;
/** With more dots than this nobody sees half a pixel, and they are stamped. */
const STAMPED_DOTS_MIN = 600;
/** A finer picture costs more than it shows. */
const DENSITY_MAX = 2;
const OPACITY: Record<AgeClass, number> = { 0: 1, 1: 0.75, 2: 0.55, 3: 0.35 };

export interface View {
  chosen: string | undefined;
  hasLabels: boolean;
  hasTrails: boolean;
}

export class Overlay {
  readonly #canvas: HTMLCanvasElement;
  readonly #map: MapLibre;
  readonly #fleet: Fleet;
  readonly #pen: CanvasRenderingContext2D;
  #density = 1;
  #sprites: { picture: ImageBitmap; pixels: ImageData }[] = [];
  #stamps = new Stamps();
  #plates = new Map<string, ImageBitmap>();
  #colours = { ink: '', paper: '', accent: '', old: '', muted: '' };
  #marks: { x: number; y: number; name: string }[] = [];
  /** In sight after the last drawing, with their place on the screen. */
  #seen: { car: Car; x: number; y: number }[] = [];

  constructor(canvas: HTMLCanvasElement, map: MapLibre, fleet: Fleet) {
    this.#canvas = canvas;
    this.#map = map;
    this.#fleet = fleet;
    this.#pen = canvas.getContext('2d')!;
    this.recolour();
  }

  /** Named places of the course. */
  setMarks(course: FeatureCollection): void {
    this.#marks = course.features.flatMap(({ geometry, properties }) => {
      if (geometry.type !== 'Point' || typeof properties?.['name'] !== 'string') return [];
      const [lon = 0, lat = 0] = geometry.coordinates;
      return [{ x: mercatorX(lon), y: mercatorY(lat), name: properties['name'] }];
    });
  }

  recolour(): void {
    const style = getComputedStyle(document.documentElement);
    const value = (name: string): string => style.getPropertyValue(name).trim();
    this.#colours = { ink: value('--ink'), paper: value('--paper'), accent: value('--accent'), old: value('--old'), muted: value('--muted') };
    this.#sprites = [];
    this.#plates.clear();
  }

  /** Draws everything as it is now. */
  draw(nowMs: number, ageMs: (ts: number) => number, view: View): void {
    this.#fit();
    const pen = this.#pen;
    const { width, height } = this.#canvas;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, width, height);
    pen.scale(this.#density, this.#density);
    this.#look(width / this.#density, height / this.#density);
    const isStamped = this.#seen.length > STAMPED_DOTS_MIN;
    if (isStamped) this.#stampDots(ageMs);
    this.#drawMarks();
    const chosen = this.#seen.find(({ car }) => car.id === view.chosen);
    if (view.hasTrails && this.#seen.length <= TRAILS_MAX) {
      for (const { car } of this.#seen) this.#drawTrail(car, car === chosen?.car);
    } else if (chosen) {
      this.#drawTrail(chosen.car, true);
    }
    if (!isStamped) this.#drawDots(ageMs);
    if (chosen) this.#drawChosen(chosen.x, chosen.y, chosen.car, nowMs);
    if (view.hasLabels) this.#drawLabels(chosen, ageMs);
  }

  #drawDots(ageMs: (ts: number) => number): void {
    const pen = this.#pen;
    for (const { car, x, y } of this.#seen) {
      const { picture } = this.#sprite(ageClass(ageMs(car.fix!.ts)));
      pen.drawImage(picture, x - DOT_PX / 2, y - DOT_PX / 2, DOT_PX, DOT_PX);
    }
  }

  #stampDots(ageMs: (ts: number) => number): void {
    const [density, half] = [this.#density, (DOT_PX * this.#density) / 2];
    this.#stamps.begin(this.#canvas.width, this.#canvas.height);
    const cut: [ImageBitmap, number, number][] = [];
    for (const { car, x, y } of this.#seen) {
      const { picture, pixels } = this.#sprite(ageClass(ageMs(car.fix!.ts)));
      const [left, top] = [Math.round(x * density - half), Math.round(y * density - half)];
      if (!this.#stamps.stamp(pixels, left, top)) cut.push([picture, x, y]);
    }
    this.#stamps.put(this.#pen);
    for (const [picture, x, y] of cut) {
      this.#pen.drawImage(picture, x - DOT_PX / 2, y - DOT_PX / 2, DOT_PX, DOT_PX);
    }
  }

  /** The car nearest to a point of the screen, if one is near. */
  carAt(x: number, y: number, withinPx: number): Car | undefined {
    let nearest: Car | undefined;
    let least = withinPx ** 2;
    for (const seen of this.#seen) {
      const distance = (seen.x - x) ** 2 + (seen.y - y) ** 2;
      if (distance < least) [least, nearest] = [distance, seen.car];
    }
    return nearest;
  }

  #fit(): void {
    const density = Math.min(devicePixelRatio || 1, DENSITY_MAX);
    const width = Math.round(this.#canvas.clientWidth * density);
    const height = Math.round(this.#canvas.clientHeight * density);
    if (density !== this.#density) {
      this.#sprites = [];
      this.#plates.clear();
    }
    this.#density = density;
    if (this.#canvas.width === width && this.#canvas.height === height) return;
    this.#canvas.width = width;
    this.#canvas.height = height;
  }

  #scale = 1;
  #left = 0;
  #top = 0;

  /** Finds who is in sight. */
  #look(width: number, height: number): void {
    const centre = this.#map.getCenter();
    this.#scale = TILE_PX * 2 ** this.#map.getZoom();
    const centreX = mercatorX(centre.lng);
    // Not always the middle: something may cover a part of the map.
    const middle = this.#map.project(centre);
    this.#left = centreX - middle.x / this.#scale;
    this.#top = mercatorY(centre.lat) - middle.y / this.#scale;
    this.#seen.length = 0;
    const edge = 12;
    for (const car of this.#fleet.cars) {
      if (!car.fix) continue;
      // The copy of the world that is nearest.
      const wrapped = car.x + Math.round(centreX - car.x);
      const x = (wrapped - this.#left) * this.#scale;
      const y = (car.y - this.#top) * this.#scale;
      if (x > -edge && y > -edge && x < width + edge && y < height + edge) this.#seen.push({ car, x, y });
    }
  }

  #drawMarks(): void {
    const pen = this.#pen;
    pen.font = '600 12px system-ui, sans-serif';
    pen.textBaseline = 'middle';
    for (const { x: markX, y: markY, name } of this.#marks) {
      const [x, y] = [(markX - this.#left) * this.#scale, (markY - this.#top) * this.#scale];
      pen.fillStyle = this.#colours.paper;
      pen.strokeStyle = this.#colours.ink;
      pen.lineWidth = 2;
      pen.fillRect(x - 5, y - 5, 10, 10);
      pen.strokeRect(x - 5, y - 5, 10, 10);
      pen.lineWidth = 4;
      pen.strokeStyle = this.#colours.paper;
      pen.strokeText(name, x + 11, y);
      pen.fillStyle = this.#colours.muted;
      pen.fillText(name, x + 11, y);
    }
  }

  #drawTrail(car: Car, isChosen: boolean): void {
    const pen = this.#pen;
    pen.beginPath();
    let isFirst = true;
    let lastX = 0;
    let lastY = 0;
    walkTrail(car, (x, y) => {
      // The newest point is where the dot glides to; the trail ends at the dot.
      if (!isFirst) pen.lineTo(lastX, lastY);
      lastX = (x - this.#left) * this.#scale;
      lastY = (y - this.#top) * this.#scale;
      if (isFirst) pen.moveTo(lastX, lastY);
      isFirst = false;
    });
    pen.lineTo((car.x - this.#left) * this.#scale, (car.y - this.#top) * this.#scale);
    pen.strokeStyle = this.#colours.accent;
    pen.globalAlpha = isChosen ? 0.9 : 0.3;
    pen.lineWidth = isChosen ? 3 : 2;
    pen.lineJoin = 'round';
    pen.stroke();
    pen.globalAlpha = 1;
  }

  #drawChosen(x: number, y: number, car: Car, nowMs: number): void {
    const pen = this.#pen;
    pen.strokeStyle = this.#colours.ink;
    pen.lineWidth = 2.5;
    pen.beginPath();
    pen.arc(x, y, 11, 0, 2 * Math.PI);
    pen.stroke();
    // A ring runs out from a car that has just reported.
    const part = (nowMs - car.startMs) / 700;
    if (car.glideMs > 0 && part < 1) {
      pen.globalAlpha = 1 - part;
      pen.beginPath();
      pen.arc(x, y, 11 + part * 10, 0, 2 * Math.PI);
      pen.stroke();
      pen.globalAlpha = 1;
    }
  }

  #drawLabels(chosen: { car: Car; x: number; y: number } | undefined, ageMs: (ts: number) => number): void {
    const pen = this.#pen;
    const taken: { x: number; y: number; width: number }[] = [];
    const height = 17;
    const place = ({ car, x, y }: { car: Car; x: number; y: number }): void => {
      const age = ageClass(ageMs(car.fix!.ts));
      const plate = this.#plate(car.label, car === chosen?.car, age > 1);
      const width = plate.width / this.#density;
      const [left, top] = [x + 9, y - height - 3];
      for (const other of taken) {
        if (Math.abs(other.y - top) < height && left < other.x + other.width && other.x < left + width) return;
      }
      taken.push({ x: left, y: top, width });
      pen.drawImage(plate, left, top, width, plate.height / this.#density);
    };
    if (chosen) place(chosen);
    const tried = Math.min(this.#seen.length, LABELS_TRIED_MAX);
    for (let at = 0; at < tried && taken.length < LABELS_MAX; at += 1) {
      const seen = this.#seen[at]!;
      if (seen !== chosen) place(seen);
    }
  }

  /** The picture of a dot of an age: full while fresh, hollow when old. */
  #sprite(age: AgeClass): { picture: ImageBitmap; pixels: ImageData } {
    const known = this.#sprites[age];
    if (known) return known;
    const size = DOT_PX;
    const [canvas, pen] = this.#picture(size, size);
    pen.globalAlpha = OPACITY[age];
    pen.beginPath();
    pen.arc(size / 2, size / 2, 6, 0, 2 * Math.PI);
    pen.fillStyle = this.#colours.paper;
    pen.fill();
    pen.beginPath();
    pen.arc(size / 2, size / 2, age > 1 ? 4 : 4.6, 0, 2 * Math.PI);
    pen.fillStyle = pen.strokeStyle = age === 0 ? this.#colours.accent : this.#colours.old;
    pen.lineWidth = 2;
    if (age > 1) pen.stroke();
    else pen.fill();
    const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
    return (this.#sprites[age] = { picture: canvas.transferToImageBitmap(), pixels });
  }

  /** An empty picture of this size and its pen. Once drawn it is kept as pixels, which copy fastest. */
  #picture(width: number, height: number): [OffscreenCanvas, OffscreenCanvasRenderingContext2D] {
    const canvas = new OffscreenCanvas(Math.ceil(width * this.#density), Math.ceil(height * this.#density));
    const pen = canvas.getContext('2d')!;
    pen.scale(this.#density, this.#density);
    return [canvas, pen];
  }

  #plate(label: string, isChosen: boolean, isOld: boolean): ImageBitmap {
    const key = `${isChosen ? '!' : isOld ? '~' : ' '}${label}`;
    const known = this.#plates.get(key);
    if (known) return known;
    const font = '700 12px system-ui, sans-serif';
    const text = label.length > 14 ? `${label.slice(0, 13)}…` : label;
    this.#pen.font = font;
    const width = Math.ceil(this.#pen.measureText(text).width) + 10;
    const [canvas, pen] = this.#picture(width, 17);
    pen.globalAlpha = isOld && !isChosen ? 0.6 : 0.94;
    pen.fillStyle = isChosen ? this.#colours.accent : this.#colours.ink;
    pen.beginPath();
    pen.roundRect(0, 0, width, 17, 3);
    pen.fill();
    pen.globalAlpha = 1;
    pen.font = font;
    pen.textBaseline = 'middle';
    pen.textAlign = 'center';
    pen.fillStyle = isChosen ? '#fff' : this.#colours.paper;
    pen.fillText(text, width / 2, 9);
    // Bounded: a label is some kilobytes.
    if (this.#plates.size > 1_000) this.#plates.clear();
    const plate = canvas.transferToImageBitmap();
    this.#plates.set(key, plate);
    return plate;
  }
}
