// How a connection lives, ends and comes back.
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { connect, type Connection, type Options, type State, type Update } from '../src/index.js';
import { Socket, START_MS, browser, paint, pass } from './stand.js';

const EVENT = '00000000-0000-4000-8000-000000000001';
const OTHER = '00000000-0000-4000-8000-000000000002';
const TOPIC = `event:${EVENT}`;
const IMEI = '356307042400001';

let connection: Connection | undefined;
afterEach(() => connection?.close());

function open(more: Partial<Options> = {}, dice?: number): { states: State[]; updates: Update[][]; last: () => State } {
  browser(dice);
  const states: State[] = [];
  const updates: Update[][] = [];
  connection = connect({
    events: [EVENT],
    onFrame: (update) => updates.push(update),
    onState: (state) => states.push(state),
    ...more,
  });
  return { states, updates, last: () => states.at(-1)! };
}

const subscribed = (event = EVENT, snapshot: object[] = []): object => ({ type: 'subscribed', topic: `event:${event}`, snapshot });
const position = (ts: number, more: object = {}): object => ({ type: 'position', topic: TOPIC, deviceId: IMEI, lat: 41, lon: 20, ts, ...more });

test('the address is relative to the page, over TLS where the page is', () => {
  open();
  assert.equal(Socket.last.url.href, 'wss://race.example/ws-live');
});

test('it is live when everything asked for is there', () => {
  const { last } = open({ events: [EVENT, OTHER] });
  assert.equal(last().status, 'connecting');
  Socket.last.opens();
  assert.deepEqual(Socket.last.sent, [EVENT, OTHER].map((event) => ({ type: 'subscribe', topic: `event:${event}` })));
  Socket.last.says(subscribed());
  assert.equal(last().status, 'connecting');
  Socket.last.says(subscribed(OTHER));
  assert.deepEqual(last(), { status: 'live', reason: 'Live', refused: [] });
});

test('the close-code table is obeyed', () => {
  // Code, what becomes of it, and the shortest and longest first pause.
  const table: [number, string, number, number][] = [
    [1001, 'waiting', 500, 1_000],
    [1006, 'waiting', 500, 1_000],
    [1011, 'waiting', 500, 1_000],
    [1013, 'waiting', 500, 1_000],
    [1012, 'waiting', 200, 3_200],
    [1008, 'waiting', 60_000, 60_000],
    [1002, 'stopped', 0, 0],
    [1003, 'stopped', 0, 0],
    [1007, 'stopped', 0, 0],
    [1009, 'stopped', 0, 0],
    [4401, 'login', 0, 0],
  ];
  for (const [code, status, least, most] of table) {
    for (const [dice, pauseMs] of [[0, least], [1, most]] as const) {
      const { last } = open({}, dice);
      Socket.last.opens().says(subscribed()).ends(code);
      assert.equal(last().status, status, `${code}`);
      assert.equal(last().code, code);
      assert.match(last().reason, /^[A-Z].*[^.]$/);
      if (status === 'waiting') {
        assert.equal(last().retryAtMs, START_MS + pauseMs, `${code} with dice ${dice}`);
        pass(pauseMs - 1);
        assert.equal(Socket.all.length, 1);
        pass(1);
        assert.equal(Socket.all.length, 2, `${code} comes back`);
      } else {
        pass(3_600_000);
        assert.equal(Socket.all.length, 1, `${code} does not come back by itself`);
      }
      connection?.close();
    }
  }
});

test('4401 waits for a log-in and comes back when told', () => {
  const { last } = open();
  Socket.last.opens().ends(4401);
  assert.match(last().reason, /not logged in/);
  connection!.retry();
  assert.equal(last().status, 'connecting');
  Socket.last.opens().says(subscribed());
  assert.equal(last().status, 'live');
});

test('pauses double up to half a minute, and begin anew after a good connection', () => {
  const { last } = open({}, 1);
  const pauses: number[] = [];
  for (let attempt = 0; attempt < 8; attempt += 1) {
    const now = Date.now();
    Socket.last.ends(1006);
    pauses.push(last().retryAtMs! - now);
    pass(pauses.at(-1)!);
  }
  assert.deepEqual(pauses, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  Socket.last.opens().says(subscribed());
  pass(10_000);
  const now = Date.now();
  Socket.last.ends(1006);
  assert.equal(last().retryAtMs! - now, 1_000);
});

test('a connection that is lost at once again does not begin anew', () => {
  const { last } = open({}, 1);
  for (const expected of [1_000, 2_000, 4_000]) {
    Socket.last.opens().says(subscribed());
    const now = Date.now();
    Socket.last.ends(1001);
    assert.equal(last().retryAtMs! - now, expected);
    pass(expected);
  }
});

test('after a loss everything is subscribed to again, and the snapshot comes anew', () => {
  const { updates } = open();
  Socket.last.opens().says(subscribed(EVENT, [{ deviceId: IMEI, lat: 1, lon: 2, ts: 10 }])).ends(1012);
  paint();
  pass(10_000);
  Socket.last.opens();
  assert.deepEqual(Socket.last.sent, [{ type: 'subscribe', topic: TOPIC }]);
  // Older than before: an operator has taken the newest away meanwhile. The snapshot is right.
  Socket.last.says(subscribed(EVENT, [{ deviceId: IMEI, lat: 1, lon: 1, ts: 5 }]));
  paint();
  assert.deepEqual(updates.at(-1), [{ event: EVENT, isSnapshot: true, positions: [{ deviceId: IMEI, lat: 1, lon: 1, ts: 5 }] }]);
});

test('a reply that does not come in five seconds is a loss, and the next wait is longer', () => {
  const { last } = open();
  Socket.last.opens();
  pass(4_999);
  assert.equal(last().status, 'connecting');
  pass(1);
  assert.equal(last().reason, 'The server does not answer');
  assert.ok(Socket.all[0]!.isClosedByUs);
  pass(1_000);
  Socket.last.opens();
  pass(9_999);
  assert.equal(last().status, 'connecting');
  Socket.last.says(subscribed());
  assert.equal(last().status, 'live');
});

test('a connection that does not open is given up', () => {
  const { last } = open();
  pass(15_000);
  assert.equal(last().reason, 'The server cannot be reached');
});

test('a quiet server is asked, and a silent one given up after a minute', () => {
  const { last } = open();
  Socket.last.opens().says(subscribed());
  pass(52_000);
  assert.equal(Socket.last.sent.length, 2, 'it is asked once');
  assert.equal(last().status, 'live');
  pass(8_000);
  assert.equal(last().status, 'waiting');
  assert.match(last().reason, /for a minute/);
});

test('without an event it is live, and stays so', () => {
  const { last } = open({ events: [] });
  Socket.last.opens();
  pass(3_600_000);
  assert.deepEqual([last().reason, Socket.all.length, Socket.last.sent.length], ['Live', 1, 0]);
  connection!.watch([EVENT]);
  assert.equal(Socket.last.sent.length, 1);
});

test('a quiet event stays live for hours', () => {
  const { last, states } = open();
  Socket.last.opens().says(subscribed());
  for (let minute = 0; minute < 180; minute += 1) {
    pass(45_000);
    // What the server repeats is no news.
    Socket.last.says(position(START_MS));
  }
  for (let minute = 0; minute < 180; minute += 1) {
    const asked = Socket.last.sent.length;
    pass(52_000);
    if (Socket.last.sent.length > asked) Socket.last.says(subscribed());
  }
  assert.equal(last().status, 'live');
  assert.deepEqual([Socket.all.length, states.length], [1, 2]);
});

test('of each device only the newest comes, once per animation frame', () => {
  const { updates } = open();
  Socket.last.opens().says(subscribed(EVENT, [{ deviceId: IMEI, lat: 41, lon: 20, ts: 100 }]));
  Socket.last.says(position(101, { speed: 3 })).says(position(103, { speed: 5 })).says(position(102));
  assert.equal(updates.length, 0);
  assert.equal(paint(), 1);
  assert.deepEqual(updates, [[{ event: EVENT, isSnapshot: true, positions: [{ deviceId: IMEI, lat: 41, lon: 20, ts: 103, speed: 5 }] }]]);
  Socket.last.says(position(103)).says(position(99));
  assert.equal(paint(), 0, 'what is known or older is nothing new');
  Socket.last.says(position(104));
  paint();
  assert.deepEqual(updates[1], [{ event: EVENT, isSnapshot: false, positions: [{ deviceId: IMEI, lat: 41, lon: 20, ts: 104 }] }]);
  assert.equal(connection!.frameCount, 6);
});

test('a page that draws every frame takes what waits when it wants it', () => {
  const { updates } = open();
  connection!.flush();
  assert.equal(updates.length, 0, 'nothing waits');
  Socket.last.opens().says(subscribed()).says(position(5));
  connection!.flush();
  assert.equal(updates.length, 1);
  paint();
  pass(2_000);
  assert.equal(updates.length, 1, 'once');
});

test('in a hidden page, where nothing is painted, a timer hands over', () => {
  const { updates } = open();
  Socket.last.opens().says(subscribed()).says(position(5));
  pass(1_000);
  assert.equal(updates.length, 1);
  paint();
  assert.equal(updates.length, 1, 'once');
});

test('an event that may not be seen is named, and not asked for again', () => {
  const { last } = open({ events: [EVENT, OTHER] });
  Socket.last.opens().says(subscribed());
  Socket.last.says({ type: 'error', code: 'forbidden', topic: `event:${OTHER}`, message: 'No.' });
  assert.equal(last().status, 'live');
  assert.deepEqual(last().refused, [{ event: OTHER, code: 'forbidden', message: 'No.' }]);
  pass(30_000);
  assert.equal(Socket.last.sent.length, 2);
});

test('a page whose events are all refused for good stays connected, and asks no more', () => {
  const { last } = open({ events: [EVENT, OTHER] });
  Socket.last.opens();
  for (const [event, code] of [[EVENT, 'forbidden'], [OTHER, 'not-found']] as const) {
    Socket.last.says({ type: 'error', code, topic: `event:${event}`, message: 'No.' });
  }
  pass(3_600_000);
  assert.deepEqual([last().reason, Socket.all.length, Socket.last.sent.length], ['No event can be shown', 1, 2]);
  // With one that may be seen it has to hear something again.
  connection!.watch([EVENT, '00000000-0000-4000-8000-000000000003']);
  Socket.last.says(subscribed('00000000-0000-4000-8000-000000000003'));
  pass(60_000);
  assert.match(last().reason, /for a minute/);
});

test('an event that could not be decided about is asked for again', () => {
  const { last } = open();
  Socket.last.opens().says({ type: 'error', code: 'error', topic: TOPIC, message: 'Later.' });
  assert.equal(last().reason, 'No event can be shown');
  pass(5_000);
  assert.equal(Socket.last.sent.length, 2);
  Socket.last.says(subscribed());
  assert.deepEqual(last(), { status: 'live', reason: 'Live', refused: [] });
});

test('an event that is taken away goes from the screen', () => {
  const { updates, last } = open();
  Socket.last.opens().says(subscribed(EVENT, [{ deviceId: IMEI, lat: 1, lon: 1, ts: 1 }]));
  paint();
  Socket.last.says({ type: 'error', code: 'forbidden', topic: TOPIC, message: 'Not any more.' });
  Socket.last.says({ type: 'unsubscribed', topic: TOPIC });
  paint();
  assert.deepEqual(updates.at(-1), [{ event: EVENT, isSnapshot: true, positions: [] }]);
  assert.equal(last().refused[0]!.message, 'Not any more.');
});

test('subscribes keep within the limits of the server', () => {
  open({ events: Array.from({ length: 32 }, (_, at) => `00000000-0000-4000-8000-${String(at).padStart(12, '0')}`) });
  Socket.last.opens();
  pass(0);
  assert.equal(Socket.last.sent.length, 16);
  pass(1_000);
  assert.equal(Socket.last.sent.length, 20);
  pass(3_000);
  assert.equal(Socket.last.sent.length, 32);
});

test('other events can be watched on the same connection', () => {
  const { last } = open();
  Socket.last.opens().says(subscribed());
  connection!.watch([OTHER]);
  pass(0);
  assert.deepEqual(Socket.last.sent.slice(1), [{ type: 'unsubscribe', topic: TOPIC }, { type: 'subscribe', topic: `event:${OTHER}` }]);
  Socket.last.says({ type: 'unsubscribed', topic: TOPIC }).says(subscribed(OTHER));
  assert.deepEqual([last().status, last().refused.length, Socket.all.length], ['live', 0, 1]);
});

test('an event that is not watched any more goes from the screen', () => {
  const { updates } = open({ events: [EVENT, OTHER] });
  const fix = { deviceId: IMEI, lat: 1, lon: 1, ts: 5 };
  Socket.last.opens().says(subscribed(EVENT, [fix]));
  paint();
  // A position that has come, and has not been handed over yet, goes as well.
  Socket.last.says(position(6));
  connection!.watch([OTHER]);
  Socket.last.says(position(7));
  paint();
  assert.deepEqual(updates.at(-1), [{ event: EVENT, isSnapshot: true, positions: [] }]);
  connection!.watch([]);
  assert.equal(paint(), 0, 'of what was never there nothing goes');
  connection!.watch([EVENT]);
  Socket.last.says(subscribed(EVENT, [fix]));
  paint();
  assert.deepEqual(updates.at(-1), [{ event: EVENT, isSnapshot: true, positions: [fix] }], 'it comes back as it was');
});

test('ages are right on a phone with a wrong clock', () => {
  open();
  Socket.last.opens().says(subscribed());
  // Right, and a usual delay: the age is what it is.
  for (let at = 0; at < 20; at += 1) Socket.last.says(position(Date.now() - 900 + at));
  assert.ok(Math.abs(connection!.ageMs(Date.now() - 60_000) - 60_000) < 1);
  connection!.close();
  // Ten minutes ahead.
  open();
  Socket.last.opens().says(subscribed());
  for (let at = 0; at < 20; at += 1) Socket.last.says(position(Date.now() - 600_400 + at));
  assert.ok(connection!.ageMs(Date.now() - 600_400) < 100);
  connection!.close();
  // Ten minutes behind: one fix from the future is enough.
  open();
  Socket.last.opens().says(subscribed()).says(position(Date.now() + 600_000));
  assert.equal(connection!.ageMs(Date.now() + 600_000 - 5_000), 5_000);
  connection!.close();
  // The page knows better.
  open({ clockOffsetMs: 3_000 });
  assert.equal(connection!.ageMs(Date.now() - 10_000), 7_000);
});

test('an old snapshot or one late burst does not make old positions young', () => {
  open();
  const old = Date.now() - 900_000;
  Socket.last.opens().says(subscribed(EVENT, [{ deviceId: IMEI, lat: 1, lon: 1, ts: old }]));
  Socket.last.says(position(old + 1)).says(position(old + 2));
  assert.ok(connection!.ageMs(old) > 890_000);
});

test('what is no message is passed over', () => {
  const { last } = open();
  Socket.last.opens().says('{').says('null').says('[]').says('"a"').says({ type: 'news' }).says(subscribed());
  assert.equal(last().status, 'live');
});

test('closed is closed', () => {
  const { last } = open();
  Socket.last.opens().says(subscribed()).says(position(1));
  connection!.close();
  paint();
  pass(3_600_000);
  assert.deepEqual([Socket.all.length, last().reason, Socket.last.isClosedByUs], [1, 'Closed', true]);
});
