// What the page is told once: events, names, the course, and whether a token is asked for.
import type { FeatureCollection } from 'geojson';

export interface Device {
  id: string;
  name?: string;
  number?: string;
}

export interface EventAbout {
  id: string;
  name: string;
  course: FeatureCollection | null;
  devices: Device[];
}

export interface About {
  login: 'token' | null;
  style: string | null;
  events: EventAbout[];
}

/** What was learned, that it is known already, or that a token is asked for. */
export type Learned = { about: About; tag: string | null; clockOffsetMs: number | undefined } | 'known' | 'login';

/** Asks for `/page.json`, unless it is still what `known` stands for: nothing of it is kept on disk. */
export async function learn(known?: string | null): Promise<Learned> {
  const askedMs = Date.now();
  const headers: HeadersInit = known ? { 'If-None-Match': known } : {};
  const answer = await fetch('/page.json', { headers, credentials: 'same-origin', cache: 'no-store' });
  if (answer.status === 401) return 'login';
  if (answer.status === 304) return 'known';
  if (!answer.ok) throw new Error(`The server answers ${answer.status}`);
  const about = (await answer.json()) as About;
  // Between question and answer the server looked at its clock.
  const serverMs = Number(answer.headers.get('pitwall-time-ms') ?? NaN);
  const middleMs = (askedMs + Date.now()) / 2;
  const tag = answer.headers.get('etag');
  return { about, tag, clockOffsetMs: Number.isFinite(serverMs) ? middleMs - serverMs : undefined };
}

/** Shows the token; true when it is the right one. */
export async function logIn(token: string): Promise<boolean> {
  const headers = { Authorization: `Bearer ${token}` };
  const answer = await fetch('/page/login', { headers, credentials: 'same-origin', cache: 'no-store' });
  if (answer.status === 401) return false;
  if (!answer.ok) throw new Error(`The server answers ${answer.status}`);
  return true;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The events to show: those of the address, or else all that the server tells of. */
export function eventsToShow(about: About, address: URLSearchParams): string[] {
  const asked = address.getAll('event').map((id) => id.toLowerCase()).filter((id) => UUID.test(id));
  return asked.length ? [...new Set(asked)] : about.events.map((event) => event.id);
}
