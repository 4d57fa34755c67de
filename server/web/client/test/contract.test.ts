// The golden frames that the server's tests read, the schema, the types and the size.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { Ajv } from 'ajv';
import asyncapiSchemas from '@asyncapi/specs';
import { connect, type Update } from '../src/index.js';
import { Socket, browser, paint } from './stand.js';

const client = new URL('../../', import.meta.url);
const data = new URL('../../../tests/data/', client);
const read = (path: string, base = client): string => readFileSync(new URL(path, base), 'utf8');
const schema = JSON.parse(read('schema/v1.schema.json'));
const ajv = new Ajv({ strict: true, allErrors: true });
ajv.addSchema(schema, 'v1');
const isServers = ajv.compile({ $ref: 'v1#/definitions/serverMessage' });
const isClients = ajv.compile({ $ref: 'v1#/definitions/clientMessage' });

interface Golden {
  name: string;
  request?: string;
  message: string;
}

const frames: Golden[] = read('contract/frames.tsv', data).trim().split('\n').map((line) => {
  const [name = '', message = ''] = line.split('\t');
  return { name, message: message.replaceAll('{ts}', '1765000000123') };
});
const requests: Golden[] = read('protocol/requests.jsonl', data).trim().split('\n').map((line) => {
  const { name, request, reply } = JSON.parse(line);
  return { name, request, message: reply };
});

test('every golden message of the server is what the schema says', () => {
  assert.ok(frames.length >= 10 && requests.length >= 10);
  for (const { name, message } of [...frames, ...requests]) {
    if (message === undefined) continue;
    assert.ok(isServers(JSON.parse(message)), `${name}: ${message}\n${ajv.errorsText(isServers.errors)}`);
  }
});

test('what the server accepts is what the schema says, and nothing that it refuses', () => {
  for (const { name, request, message } of requests) {
    if (request === undefined || message === undefined) continue;
    const isAccepted = JSON.parse(message).type !== 'error';
    let parsed: unknown;
    try {
      parsed = JSON.parse(request);
    } catch {
      assert.ok(!isAccepted, name);
      continue;
    }
    // The server is not strict about everything: what it refuses may still be well formed.
    if (isAccepted) assert.ok(isClients(parsed), `${name}: ${request}\n${ajv.errorsText(isClients.errors)}`);
  }
});

test('the schema is strict: a field more, less or of another kind is refused', () => {
  const position: Record<string, unknown> = JSON.parse(frames.find(({ name }) => name === 'position')!.message);
  assert.ok(isServers(position));
  const wrong = [
    { ...position, accuracy: 3 }, { ...position, ts: '1' }, { ...position, speed: 0 }, { ...position, lat: 91 },
    { ...position, deviceId: '00000000-0000-4000-8000-000000000001' }, { ...position, ts: undefined },
    { ...position, topic: 'event:1' }, { ...position, type: 'positions' },
  ];
  for (const message of wrong) assert.ok(!isServers(JSON.parse(JSON.stringify(message))), JSON.stringify(message));
});

test('the client takes every golden frame as it is meant', () => {
  browser();
  const updates: Update[] = [];
  const event = '00000000-0000-4000-8000-000000000001';
  const connection = connect({ events: [event], onFrame: (all) => updates.push(...all) });
  Socket.last.opens();
  let ts = 1_765_000_000_000;
  for (const { name, message } of frames) {
    const parsed = JSON.parse(message);
    if (parsed.topic !== `event:${event}` || !['subscribed', 'position'].includes(parsed.type)) continue;
    const entry = parsed.type === 'position' ? parsed : parsed.snapshot[0];
    if (entry) entry.ts = ts += 1_000;
    Socket.last.says(parsed);
    paint();
    const { type: _, topic: __, ...expected } = entry ?? {};
    const update = updates.at(-1)!;
    assert.equal(update.isSnapshot, parsed.type === 'subscribed', name);
    assert.deepEqual(update.positions, entry ? [expected] : [], name);
  }
  assert.ok(updates.length >= 7);
  connection.close();
});

test('the description of the channel is valid AsyncAPI 3 and leads to the schema', () => {
  const document = JSON.parse(read('schema/asyncapi.json'));
  const version = document.asyncapi as keyof typeof asyncapiSchemas.schemas;
  const judge = new Ajv({ strict: false, logger: false, validateFormats: false, meta: false, validateSchema: false });
  const meta = asyncapiSchemas.schemas[version] as Record<string, unknown>;
  assert.ok(judge.validate(meta, document), judge.errorsText());
  const references = JSON.stringify(document).match(/v1\.schema\.json#[^"]*/g) ?? [];
  assert.ok(references.length >= 6);
  for (const reference of references) {
    const name = reference.split('/').at(-1)!;
    assert.ok(name in schema.definitions, reference);
  }
  const named = new Set(references.map((reference) => reference.split('/').at(-1)));
  for (const side of ['serverMessage', 'clientMessage']) {
    for (const { $ref } of schema.definitions[side].oneOf) assert.ok(named.has($ref.split('/').at(-1)), $ref);
  }
});

test('the types are made from the schema', () => {
  execFileSync(process.execPath, [new URL('../tools/types.mjs', client).pathname, '--check']);
});

test('the client is at most 4 kB, compressed, and needs nothing', () => {
  const bytes = gzipSync(readFileSync(new URL('dist/pitwall-client.min.js', client)), { level: 9 }).length;
  assert.ok(bytes <= 4_096, `${bytes} bytes`);
  assert.equal(JSON.parse(read('package.json')).dependencies, undefined);
  console.log(`the client has ${bytes} bytes compressed`);
});
