// The map below the dots: background, graticule and course, drawn by MapLibre without any tile.
import { Map as MapLibre, setWorkerUrl, type StyleSpecification } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?url';
import type { Feature, FeatureCollection, LineString } from 'geojson';

// A file of our own origin: the content security policy allows nothing else.
setWorkerUrl(new URL(workerUrl, location.href).href);

const NOTHING: FeatureCollection = { type: 'FeatureCollection', features: [] };
/** Lines of the graticule across the wider side of the screen, about. */
const LINES = 6;
const STEPS_DEGREES = [30, 10, 5, 2, 1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001];

function colours(): Record<'ground' | 'grid' | 'course' | 'edge', string> {
  const style = getComputedStyle(document.documentElement);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return { ground: value('--ground'), grid: value('--grid'), course: value('--course'), edge: value('--course-edge') };
}

function ownStyle(): StyleSpecification {
  return {
    version: 8,
    sources: {},
    layers: [{ id: 'ground', type: 'background', paint: { 'background-color': colours().ground } }],
  };
}

/** The map and what lies on its ground. */
export class Base {
  readonly map: MapLibre;
  #course: FeatureCollection = NOTHING;
  #isOwn: boolean;

  constructor(container: HTMLElement, styleUrl: string | null) {
    this.#isOwn = styleUrl === null;
    this.map = new MapLibre({
      container,
      style: styleUrl ?? ownStyle(),
      center: [10, 30],
      zoom: 1.5,
      maxZoom: 19,
      // What a style's owner wants to be named for stands there; our own ground has no owner.
      attributionControl: styleUrl === null ? false : { compact: true },
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      // The page has keys of its own, the same wherever the focus is.
      keyboard: false,
      renderWorldCopies: true,
      fadeDuration: 0,
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.on('style.load', () => this.#dress());
    this.map.on('moveend', () => this.#drawGrid());
    this.map.on('resize', () => this.#drawGrid());
  }

  /** Shows these courses. */
  setCourse(courses: FeatureCollection[]): void {
    this.#course = { type: 'FeatureCollection', features: courses.flatMap((course) => course.features) };
    this.#source('course')?.setData(this.#course);
  }

  get course(): FeatureCollection {
    return this.#course;
  }

  /** Light has become dark, or the other way round. */
  recolour(): void {
    const { ground, grid, course, edge } = colours();
    if (!this.map.getLayer('course')) return;
    if (this.#isOwn) this.map.setPaintProperty('ground', 'background-color', ground);
    if (this.#isOwn) this.map.setPaintProperty('grid', 'line-color', grid);
    this.map.setPaintProperty('course-edge', 'line-color', edge);
    this.map.setPaintProperty('course', 'line-color', course);
  }

  #source(id: string): { setData(data: FeatureCollection): void } | undefined {
    return this.map.getSource(id) as unknown as { setData(data: FeatureCollection): void } | undefined;
  }

  #dress(): void {
    const { grid, course, edge } = colours();
    const { map } = this;
    if (this.#isOwn) {
      map.addSource('grid', { type: 'geojson', data: NOTHING });
      map.addLayer({ id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': grid, 'line-width': 1 } });
    }
    map.addSource('course', { type: 'geojson', data: this.#course, tolerance: 0.2 });
    const layout = { 'line-join': 'round', 'line-cap': 'round' } as const;
    map.addLayer({ id: 'course-edge', type: 'line', source: 'course', layout, paint: { 'line-color': edge, 'line-width': 9 } });
    map.addLayer({ id: 'course', type: 'line', source: 'course', layout, paint: { 'line-color': course, 'line-width': 5 } });
    this.#drawGrid();
  }

  #drawGrid(): void {
    const source = this.#source('grid');
    if (!source) return;
    const bounds = this.map.getBounds();
    const width = bounds.getEast() - bounds.getWest();
    const step = STEPS_DEGREES.find((step) => width / step >= LINES) ?? STEPS_DEGREES.at(-1)!;
    const [south, north] = [Math.max(-85, bounds.getSouth()), Math.min(85, bounds.getNorth())];
    const line = (...coordinates: [number, number][]): Feature<LineString> => ({
      type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates },
    });
    const features: Feature<LineString>[] = [];
    const margin = width / 2;
    const [west, east] = [bounds.getWest() - margin, bounds.getEast() + margin];
    for (let lon = Math.ceil(west / step) * step; lon <= east; lon += step) {
      features.push(line([lon, Math.max(-85, south - margin)], [lon, Math.min(85, north + margin)]));
    }
    for (let lat = Math.ceil((south - margin) / step) * step; lat <= north + margin; lat += step) {
      if (Math.abs(lat) <= 85) features.push(line([west, lat], [east, lat]));
    }
    source.setData({ type: 'FeatureCollection', features });
  }
}
