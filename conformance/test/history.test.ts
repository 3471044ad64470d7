import { checkHistory, type HistoryEvent, HistoryRecorder, parseHistory } from '@exomem/conformance';
import { ExomemError, isExomemError } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import { bruteForce } from './fixtures/brute-force.js';

const test = suite('histories');

type Part = Partial<HistoryEvent> & Pick<HistoryEvent, 'op'>;

/** An event from `start` to `end`; without an end its outcome is unknown. */
const event = (client: string, start: number, end: number | null, part: Part): HistoryEvent => ({
  client,
  offset: 64,
  result: null,
  outcome: end === null ? 'unknown' : 'ok',
  ...part,
  start: String(start),
  end: end === null ? null : String(end),
});
const reads = (result: number): Part => ({ op: 'read', result: String(result) });
const writes = (value: number): Part => ({ op: 'write', value: String(value) });
const puts = (expected: number, desired: number, result?: number): Part => ({
  op: 'compareExchange',
  expected: String(expected),
  desired: String(desired),
  result: result === undefined ? null : String(result),
});
const adds = (delta: number, result?: number): Part => ({
  op: 'fetchAdd',
  delta: String(delta),
  result: result === undefined ? null : String(result),
});
const takes = (length: number, result: number): Part => ({ op: 'allocate', offset: undefined, length, result });
const frees = (offset: number, length?: number): Part => ({ op: 'free', offset, length });

/** Noise that explains nothing: others who go on with a word of their own and, in between, read this one. */
const convicted: [what: string, history: HistoryEvent[], events: number, says: RegExp][] = [
  ['a read of what was never written', [event('A', 0, 9, writes(1)), event('B', 2, 5, reads(7))], 1, /B reads 7/],
  [
    'a read that is stale',
    [event('A', 0, 1, writes(1)), event('A', 2, 3, writes(2)), event('B', 4, 5, reads(1)), event('B', 6, 7, reads(2))],
    2,
    /the word is 2 when B reads 1/,
  ],
  [
    'a read that goes back',
    [event('A', 0, 9, writes(1)), event('B', 1, 2, reads(1)), event('C', 3, 4, reads(0)), event('C', 5, 6, reads(1))],
    2,
    /the word is 1 when C reads 0/,
  ],
  [
    'two who get the same word by compareExchange',
    [event('A', 0, 5, puts(0, 1, 0)), event('B', 1, 6, puts(0, 2, 0)), event('B', 7, 8, reads(2))],
    2,
    /puts 2 where 0 is, and does/,
  ],
  [
    'a compareExchange that was done twice',
    [
      event('A', 0, 1, puts(0, 1, 0)),
      event('B', 2, 3, puts(1, 0, 1)),
      event('C', 4, 5, reads(1)),
      event('C', 6, 7, reads(1)),
    ],
    2,
    /the word is 0 when C reads 1/,
  ],
  ['a sum that is lost', [event('A', 0, 5, adds(1, 0)), event('B', 1, 6, adds(1, 0))], 2, /adds 1 to 0/],
  [
    'a sum that was added twice',
    [event('A', 0, 1, adds(1, 0)), event('B', 2, 3, reads(2))],
    2,
    /the word is 1 when B reads 2/,
  ],
  [
    'an outcome that is unknown, seen and then gone',
    [event('A', 0, null, writes(5)), event('B', 1, 2, reads(5)), event('B', 3, 4, reads(0))],
    2,
    /B reads 0/,
  ],
  [
    'memory that two have at a time',
    [
      event('A', 0, 1, takes(8192, 4096)),
      event('B', 2, 3, takes(4096, 8192)),
      event('A', 4, 5, frees(4096, 8192)),
      event('C', 6, 7, takes(4096, 4096)),
    ],
    2,
    /about the memory from 8192 to 12288:[\s\S]*it is held from 4096 on when B is given 4096 bytes at 8192/,
  ],
  [
    'memory that is freed twice',
    [event('A', 0, 1, takes(64, 0)), event('A', 2, 3, frees(0, 64)), event('B', 4, 5, frees(0, 64))],
    2,
    /it is free when B frees 64 bytes at 0/,
  ],
];

for (const [what, history, events, says] of convicted) {
  test(`convicts ${what}`, () => {
    // Whatever happens beside it, it is the same few events that are told.
    const beside: HistoryEvent[] = [];
    for (let at = 0; at < 30; at++) {
      beside.push(event('X', at * 10 + 20, at * 10 + 25, { ...adds(1, at), offset: 128 }));
    }
    for (const all of [history, [...history, ...beside]]) {
      const report = checkHistory(all);
      assert.is(report.linearizable, false);
      assert.is(report.violations.length, 1, JSON.stringify(report.violations));
      const [violation] = report.violations;
      assert.match(violation!.message, says);
      assert.is(violation!.events.length, events, violation!.message);
      const again = checkHistory(violation!.events.map((one) => JSON.stringify(one)));
      assert.is(again.linearizable, false, 'the part that is told contradicts itself');
    }
  });
}

test('outcomes that nobody knows may come at any later time, or never; what failed never', () => {
  const fine: HistoryEvent[][] = [
    [event('A', 0, null, writes(5)), event('B', 1, 2, reads(0)), event('B', 3, 4, reads(5))],
    [event('A', 0, null, writes(5)), event('B', 1, 2, reads(0))],
    [event('A', 0, null, adds(1)), event('B', 1, 2, adds(1, 0)), event('B', 3, 4, adds(1, 2))],
    [event('A', 0, null, puts(3, 4)), event('B', 1, 2, writes(3)), event('B', 3, 4, reads(4))],
    [event('A', 0, 1, takes(64, 0)), event('S', 1, null, frees(0, 64)), event('B', 5, 6, takes(64, 0))],
    [event('A', 0, 1, takes(64, 0)), event('S', 1, null, frees(0, 64))],
    [event('A', 0, 1, takes(64, 0)), event('A', 2, 3, frees(0)), event('B', 5, 6, takes(8, 0))],
    [{ ...event('A', 0, 1, writes(5)), outcome: 'failed' }, event('B', 1, 2, reads(0))],
  ];
  for (const history of fine) assert.is(checkHistory(history).linearizable, true, JSON.stringify(history));
  const failed: HistoryEvent[] = [{ ...event('A', 0, 1, writes(5)), outcome: 'failed' }, event('B', 1, 2, reads(5))];
  assert.is(checkHistory(failed).linearizable, false);
});

test('a range is as many words', () => {
  const both = event('A', 0, 1, { op: 'write', length: 16, value: ['1', '2'] });
  const read = (one: string, other: string) => event('B', 2, 3, { op: 'read', length: 16, result: [one, other] });
  assert.is(checkHistory([both, read('1', '2')]).linearizable, true);
  const report = checkHistory([both, read('1', '0')]);
  assert.is(report.violations[0]!.object, 'the word at 72');
  assert.is(report.words, 2);
});

test('what it began with may be something else than zero', () => {
  const initial = (offset: number): bigint => BigInt(offset);
  assert.is(checkHistory([event('A', 0, 1, reads(64))], { initial }).linearizable, true);
});

/** Random events of a few clients on one word or one small store, as a memory would answer them that takes one at a time. */
const histories = fc
  .record({
    seed: fc.array(
      fc.record({
        kind: fc.nat(5),
        a: fc.nat(2),
        b: fc.nat(2),
        client: fc.nat(2),
        fate: fc.nat(9),
        before: fc.nat(30),
        after: fc.nat(30),
      }),
      { minLength: 1, maxLength: 40, size: 'max' },
    ),
  })
  .map(({ seed }) => {
    let word = 0;
    const held = new Map<number, number>();
    const events: HistoryEvent[] = [];
    for (const [at, { kind, a, b, client, fate, before, after }] of seed.entries()) {
      // It takes effect at 100 x, somewhere between its start and its end.
      const moment = 100 + at * 10;
      const unknown = fate === 0;
      const happens = !unknown || a === 0;
      const make = (part: Part): void => {
        events.push(
          event(
            'ABC'[client]!,
            moment - before,
            unknown ? null : moment + after,
            unknown ? { ...part, result: null } : part,
          ),
        );
      };
      if (kind === 0) {
        if (!unknown) make(reads(word));
      } else if (kind === 1) {
        make(writes(a));
        if (happens) word = a;
      } else if (kind === 2) {
        make(puts(a, b, word));
        if (happens && word === a) word = b;
      } else if (kind === 3) {
        make(adds(a, word));
        if (happens) word += a;
      } else if (kind === 4) {
        if (!held.has(a) && !unknown) {
          make(takes(64, a * 64));
          held.set(a, 1);
        }
      } else if (held.has(a)) {
        make(frees(a * 64, 64));
        if (happens) held.delete(a);
      }
    }
    return events;
  });

test('what a memory answers that takes one at a time always passes', () => {
  fc.assert(
    fc.property(histories, (history) => {
      const report = checkHistory(history);
      assert.equal(report.undecided, []);
      assert.equal(report.violations, []);
    }),
    { numRuns: 1_000 },
  );
});

test('of histories with something changed it says what going through all orders says', () => {
  let wrong = 0;
  const changed = fc.record({
    history: histories,
    which: fc.nat(),
    value: fc.nat(3),
    shift: fc.integer({ min: -40, max: 40 }),
  });
  fc.assert(
    fc.property(changed, ({ history, which, value, shift }) => {
      // As many as all orders of can be gone through.
      const few = history.slice(0, 7);
      if (few.length === 0) return;
      const at = which % few.length;
      const one = few[at]!;
      const moved = (time: string | null): string | null =>
        time === null ? null : String(BigInt(time) + BigInt(shift));
      few[at] = {
        ...one,
        start: moved(one.start)!,
        end: moved(one.end),
        ...(typeof one.result === 'string' ? { result: String(value) } : {}),
        ...(typeof one.result === 'number' ? { result: value * 64 } : {}),
      };
      const expected = bruteForce(few);
      const report = checkHistory(few);
      assert.is(report.linearizable, expected, JSON.stringify(few));
      if (expected) return;
      wrong += 1;
      for (const { events } of report.violations) {
        assert.is(bruteForce(events), false, `told: ${JSON.stringify(events)} of ${JSON.stringify(few)}`);
      }
    }),
    { numRuns: 3_000 },
  );
  assert.ok(wrong > 300, `only ${wrong} were wrong`);
});

test('long histories of many clients are judged in one go', () => {
  const events: HistoryEvent[] = [];
  let word = 0n;
  for (let at = 0; at < 20_000; at++) {
    const moment = at * 100;
    // One of them is held up for a long time now and then.
    const length = at % 997 === 0 ? 30_000 : 350;
    const start = Math.max(0, moment - (at % 3) * 90);
    events.push(event(`C${at % 8}`, start, moment + length, { op: 'fetchAdd', delta: '3', result: String(word) }));
    word += 3n;
  }
  assert.is(checkHistory(events).linearizable, true);
  const broken = [...events];
  broken[15_000] = { ...broken[15_000]!, result: broken[14_000]!.result };
  const report = checkHistory(broken);
  assert.is(report.violations.length, 1);
  assert.match(report.violations[0]!.message, 'no order of these explains');
});

test('a search that goes too far says so, and calls nothing right or wrong', () => {
  const events = Array.from({ length: 12 }, (_, at) => event(`C${at}`, 0, 100, writes(at)));
  const report = checkHistory([...events, event('R', 200, 201, reads(50))], { limit: 100 });
  assert.equal(report.undecided, ['the word at 64']);
  assert.is(report.linearizable, false);
  assert.equal(report.violations, []);
});

test('lines that are no events are refused with their number', () => {
  const fine = event('A', 0, 1, writes(1));
  const cases: [unknown, RegExp][] = [
    [3, /line 2 .* no object/],
    [{ ...fine, client: '' }, /client/],
    [{ ...fine, op: 'load' }, /there is no op load/],
    [{ ...fine, outcome: 'fine' }, /outcome/],
    [{ ...fine, start: 1 }, /start/],
    [{ ...fine, end: null }, /it is ok, and has no end/],
    [{ ...fine, start: '5' }, /ends before it starts/],
    [{ ...fine, offset: 4 }, /multiples of 8/],
    [{ ...fine, offset: -8 }, /offset/],
    [{ ...fine, length: 0 }, /length/],
    [{ ...fine, length: 16 }, /value/],
    [{ ...fine, value: '18446744073709551616' }, /value/],
    [{ ...fine, value: '-1' }, /value/],
    [{ ...fine, op: 'read' }, /result/],
    [{ ...fine, op: 'compareExchange' }, /expected/],
    [{ ...fine, op: 'fetchAdd' }, /delta/],
    [{ ...fine, op: 'allocate' }, /length/],
    [{ ...fine, op: 'allocate', length: 8 }, /no offset/],
  ];
  for (const [wrong, says] of cases) {
    try {
      parseHistory(`\n${JSON.stringify(wrong)}\n`);
      assert.unreachable(JSON.stringify(wrong));
    } catch (error) {
      assert.ok(isExomemError(error, 'InvalidArgument'), String(error));
      assert.match((error as Error).message, says);
    }
  }
  assert.throws(() => parseHistory(['{']), /line 1 is no event/);
});

test('a recorder takes down what was done, what nobody knows, and what failed', async () => {
  const session = sharedArrayBuffer({ r: createRegion(4096) }).open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const events: HistoryEvent[] = [];
  const begun: string[] = [];
  const recorder = new HistoryRecorder(
    'A',
    (one) => events.push(one),
    ({ op }) => begun.push(op),
  );
  const words = recorder.words(session);
  await words.write(8, 5n);
  assert.is(await words.compareExchange(8, 5n, 7n), 5n);
  assert.is(await words.fetchAdd(8, 2n ** 64n - 1n), 7n);
  assert.is(await words.read(8), 6n);
  await words.read(4).catch(() => undefined);
  const lost = () => Promise.reject(new ExomemError('OutcomeUnknown', 'lost'));
  await recorder.record({ op: 'write', offset: 8, value: '9' }, lost, () => null).catch(() => undefined);
  assert.equal(
    events.map(({ outcome }) => outcome),
    ['ok', 'ok', 'ok', 'ok', 'failed', 'unknown'],
  );
  assert.is(events[4]!.error, 'Unaligned');
  assert.equal(begun, ['write', 'compareExchange', 'fetchAdd', 'read', 'read', 'write']);
  const sound = events.filter(({ outcome }) => outcome !== 'failed');
  assert.is(checkHistory(sound.map((one) => JSON.stringify(one))).linearizable, true);
});

test.run();
