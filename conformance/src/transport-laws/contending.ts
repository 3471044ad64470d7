import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import type { Contender } from './contender.js';
import { expect, expectEqual } from './expect.js';
import type { Draft, Trial } from './law.js';
import type { TransportSubject } from './subject.js';
import type { Task } from './tasks.js';
import { loneliness, startTasks } from './workers.js';

const needsAtomics = (subject: TransportSubject): string | undefined =>
  subject.capabilities.atomics === 'none' ? 'it has no atomics' : loneliness(subject);

/** Has as many workers as wanted increment one word, and looks whether all of them count. */
async function contendFor(trial: Trial, by: Contender['by']): Promise<void> {
  const { workers: of, increments: count, incrementsPerBatch: perBatch } = trial.effort;
  const offset = 128;
  const laborers = await startTasks(
    trial,
    Array.from({ length: of }, (_, index) => ({
      kind: 'contend',
      by,
      perBatch,
      offset,
      count,
      index,
      of,
      meeting: 1_024,
    })),
  );
  const results = await Promise.all(laborers.map(({ ended }) => ended));
  const total = results.reduce((sum, result) => sum + result.count, 0n);
  const session = await trial.connect();
  expect(total >= BigInt(of * count), `${of} workers have incremented it ${total} times only`);
  expectEqual(await session.load(offset), total, `the word that ${of} workers have incremented ${total} times`);
  const sum = results.reduce((all, result) => all + result.sum, 0n);
  expectEqual(sum, (total * (total - 1n)) / 2n, 'the sum of all that was there before an increment');
  expectEqual(await session.load(offset - 8), 0n, 'the word before it');
  expectEqual(await session.load(offset + 8), 0n, 'the word behind it');
}

/** Laws on several clients that change the same words at the same time. */
export const contendingLaws: Draft[] = [
  {
    id: 'contended-increments',
    sentence: 'of increments that several clients make by compareExchange none is lost and none happens twice',
    skip: needsAtomics,
    check: (trial) => contendFor(trial, 'compareExchange'),
  },
  {
    id: 'contended-adds',
    sentence: 'of what several clients add by fetchAdd nothing is lost, and no two see the same word before',
    skip: needsAtomics,
    check: (trial) => contendFor(trial, 'fetchAdd'),
  },
  {
    id: 'resolved-increments',
    sentence: 'increments stay exact where connections are cut and lost answers are resolved: renew, read, decide',
    skip: (subject) =>
      needsAtomics(subject) ??
      (subject.capabilities.synchronous
        ? 'it is synchronous: no answer can be lost'
        : subject.faults?.includes('cut')
          ? undefined
          : 'it declares no fault cut'),
    check: async (trial) => {
      const { increments, incrementsPerBatch: perBatch, cuts, workers: wished } = trial.effort;
      const workers = Math.min(wished, 4);
      const task = (field: number): Task => ({
        kind: 'resolved',
        offset: 256,
        field,
        count: increments,
        perBatch,
      });
      const laborers = await startTasks(
        trial,
        Array.from({ length: workers }, (_, field) => task(field)),
      );
      let reached = false;
      const all = Promise.all(laborers.map((laborer) => laborer.reached)).then(() => {
        reached = true;
      });
      all.catch(() => undefined);
      // Whatever fails first ends the wait for all.
      const failed = Promise.race(laborers.map(({ ended }) => ended.then(() => new Promise<never>(() => undefined))));
      for (let cut = 0; (cut < cuts || !reached) && !trial.over.aborted; cut += 1) {
        await Promise.race([sleep(3 + Math.random() * 30), failed]);
        // Who has just woken up, by the same clock, has sent something by now: it breaks on its way there, or on its way back.
        for (let turns = Math.floor(Math.random() * 4); turns > 0; turns -= 1) await turn();
        await trial.region.cut!();
      }
      await all;
      for (const laborer of laborers) laborer.stop();
      const results = await Promise.all(laborers.map(({ ended }) => ended));
      const session = await trial.connect();
      const word = await session.load(256);
      for (const [field, { count }] of results.entries()) {
        expect(count >= BigInt(increments), `worker ${field} made ${count} increments only`);
        expectEqual(
          (word >> BigInt(field * 16)) & 0xffffn,
          count & 0xffffn,
          `field ${field} after ${count} increments`,
        );
      }
    },
  },
  {
    id: 'no-torn-words',
    sentence: 'no aligned 8-byte word of a range is ever seen half old and half new, whatever the offsets and buffers',
    bytes: 2 ** 16,
    skip: loneliness,
    check: async (trial) => {
      const ranges = [
        { offset: 0, length: 64 },
        { offset: 3, length: 61 },
        { offset: 4, length: 40 },
        { offset: 1, length: 1_007 },
        { offset: 6, length: 40_000 },
      ];
      for (const { offset, length } of ranges) {
        const slice = trial.effort.tearing / ranges.length;
        await searchTornWords(trial, offset, length, slice);
      }
    },
  },
];

/** Two writers cover the same range with bytes of their own; here the range is read in every way there is. */
async function searchTornWords(trial: Trial, offset: number, length: number, milliseconds: number): Promise<void> {
  const session = await trial.connect();
  const { atomics } = trial.capabilities;
  const first = Math.ceil(offset / 8) * 8;
  const words = Math.floor((offset + length) / 8) - first / 8;
  const whole = `words of ${length} bytes at ${offset}`;
  await session.write(offset, new Uint8Array(length));
  const task = (bytes: readonly number[]): Task => ({ kind: 'ranges', offset, length, bytes });
  const writers = await startTasks(trial, [task([0x11, 0x5a]), task([0xee, 0x80])]);
  await Promise.all(writers.map(({ reached }) => reached));
  const even = (word: bigint, what: string): void =>
    expect(word === (word & 0xffn) * 0x0101_0101_0101_0101n, () => `${whole}: ${what} gives 0x${word.toString(16)}`);
  const until = performance.now() + milliseconds;
  for (let turn = 0; performance.now() < until; turn += 1) {
    const at = first + (turn % words) * 8;
    const phase = turn % 8;
    const target = new Uint8Array(length + 8).subarray(phase, phase + length);
    const [loaded] = await Promise.all([session.load(at), session.read(offset, target)]);
    even(loaded, `load at ${at}`);
    const view = new DataView(target.buffer, target.byteOffset + first - offset);
    for (let word = 0; word < words; word += 1) even(view.getBigUint64(word * 8, true), `read at ${first + word * 8}`);
    // Puts back what is there, so that the range stays even.
    if (atomics !== 'none') even(await session.compareExchange(at, loaded, loaded), `compareExchange at ${at}`);
  }
  for (const writer of writers) writer.stop();
  await Promise.all(writers.map(({ ended }) => ended));
}
