// The source that moves, on a map that only keeps what it is told.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { liveSource } from '../src/maplibre.js';
import { Socket, browser, paint } from './stand.js';

const EVENT = '00000000-0000-4000-8000-000000000001';

test('devices are features that come, move and go', () => {
  browser();
  const diffs: { add: { geometry: object; properties: Record<string, unknown> }[]; remove: string[] }[] = [];
  const added: [string, Record<string, unknown>][] = [];
  const source = { updateData: (diff: never) => diffs.push(diff) };
  const map = {
    addSource: (id: string, description: object) => added.push([id, description as Record<string, unknown>]),
    getSource: (id: string) => (id === 'pitwall' ? source : undefined),
  };
  const connection = liveSource(map, { events: [EVENT] });
  assert.deepEqual([added[0]![0], added[0]![1]['promoteId']], ['pitwall', 'key']);
  const [one, two] = ['356307042400001', '356307042400002'].map((deviceId, at) => ({ deviceId, lat: 41, lon: 20 + at, ts: 5 }));
  const topic = `event:${EVENT}`;
  Socket.last.opens().says({ type: 'subscribed', topic, snapshot: [one, two] });
  paint();
  assert.deepEqual(diffs[0]!.add.map(({ geometry }) => geometry), [20, 21].map((lon) => ({ type: 'Point', coordinates: [lon, 41] })));
  assert.deepEqual(diffs[0]!.add[0]!.properties, { speed: 0, course: 0, deviceId: one!.deviceId, ts: 5, event: EVENT, key: `${EVENT}/${one!.deviceId}` });
  Socket.last.says({ type: 'position', topic, ...one, ts: 6, speed: 50 });
  paint();
  assert.deepEqual([diffs[1]!.add.length, diffs[1]!.add[0]!.properties['speed'], diffs[1]!.remove], [1, 50, []]);
  Socket.last.says({ type: 'subscribed', topic, snapshot: [two] });
  paint();
  assert.deepEqual(diffs[2]!.remove, [`${EVENT}/${one!.deviceId}`]);
  connection.watch([]);
  paint();
  assert.deepEqual([diffs[3]!.add, diffs[3]!.remove], [[], [`${EVENT}/${two!.deviceId}`]], 'an event that is not watched any more');
  connection.close();
});
