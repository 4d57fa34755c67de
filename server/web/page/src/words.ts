// Numbers as people read them.

/** From these ages on a position counts as ageing, old, and stale. */
export const AGEING_MS = 60_000;
export const OLD_MS = 300_000;
export const STALE_MS = 1_800_000;

/** 0 fresh, 1 ageing, 2 old, 3 stale. */
export type AgeClass = 0 | 1 | 2 | 3;

export function ageClass(ageMs: number): AgeClass {
  return ageMs < AGEING_MS ? 0 : ageMs < OLD_MS ? 1 : ageMs < STALE_MS ? 2 : 3;
}

export function ageWords(ageMs: number): string {
  const seconds = Math.floor(ageMs / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export function latencyWords(ms: number): string {
  return ms < 10_000 ? `${(ms / 1000).toFixed(ms < 1_000 ? 2 : 1)} s` : ageWords(ms);
}

const POINTS = ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'];

export function courseWords(degrees: number): string {
  return `${Math.round(degrees)}° ${POINTS[Math.round(degrees / 45) % 8]}`;
}

export function placeWords(lat: number, lon: number): string {
  const side = (value: number, plus: string, minus: string): string =>
    `${Math.abs(value).toFixed(5)}° ${value < 0 ? minus : plus}`;
  return `${side(lat, 'N', 'S')}  ${side(lon, 'E', 'W')}`;
}
