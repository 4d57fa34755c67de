// Positions as a GeoJSON source of a MapLibre map: a source that moves.
//
// Each device is one point feature; its properties are those of its newest position, and its event.
// What it looks like is for the layers to say.
import { connect, type Connection, type Options, type Update } from './index.js';
import type { Entry } from './v1.js';

/** The map, as far as it is needed here. */
export interface MapLike {
  addSource(id: string, source: object): unknown;
  getSource(id: string): unknown;
}

export interface SourceOptions extends Omit<Options, 'onFrame'> {
  /** The name of the source; `pitwall` when nothing is said. */
  id?: string;
  /** What else should happen with each frame. */
  onFrame?: (updates: Update[]) => void;
}

/** Adds the source to a map whose style has been loaded, and keeps it up to date. */
export function liveSource(map: MapLike, options: SourceOptions): Connection {
  const id = options.id ?? 'pitwall';
  const known = new Map<string, Set<string>>();
  map.addSource(id, {
    type: 'geojson',
    promoteId: 'key',
    data: { type: 'FeatureCollection', features: [] },
  });
  return connect({
    ...options,
    onFrame(updates) {
      const add: object[] = [];
      const remove: string[] = [];
      for (const { event, isSnapshot, positions } of updates) {
        const features = positions.map((position) => feature(event, position));
        const keys = new Set(features.map(({ properties }) => properties.key));
        const before = known.get(event) ?? new Set<string>();
        if (isSnapshot) {
          for (const key of before) if (!keys.has(key)) remove.push(key);
          if (keys.size) known.set(event, keys);
          else known.delete(event);
        } else {
          keys.forEach((key) => before.add(key));
          known.set(event, before);
        }
        // Adding what is there already replaces it.
        add.push(...features);
      }
      const source = map.getSource(id) as { updateData(diff: object): void } | undefined;
      source?.updateData({ add, remove });
      options.onFrame?.(updates);
    },
  });
}

function feature(event: string, position: Entry) {
  const { lat, lon, ...rest } = position;
  return {
    type: 'Feature',
    geometry: { type: 'Point', coordinates: [lon, lat] },
    // Layers can then ask for both without asking whether they are there.
    properties: { speed: 0, course: 0, ...rest, event, key: `${event}/${position.deviceId}` },
  };
}
