import type { CallOptions, ErrorCode, MemoryStep, Session } from '@exomem/core';
import { compareExchange, fetchAdd, load, read, write } from '@exomem/core';
import fc from 'fast-check';
import { attempt, awaitedLater, expect, expectBytes, expectEqual, expectRefused, outcome } from './expect.js';
import type { Draft } from './law.js';
import { controlMethods, memoryMethods, type Reach } from './methods.js';

/** The largest region that a law asks for. */
const roomiest = 2 ** 26;

/** Everything that the region holds. */
export async function snapshot(session: Session): Promise<Uint8Array> {
  const bytes = new Uint8Array(session.size);
  await session.read(0, bytes);
  return bytes;
}

/** Fills the region with bytes that no zeroing and no shifting leaves as they are. */
export async function fillRegion(session: Session): Promise<Uint8Array> {
  const bytes = new Uint8Array(session.size).map((_, at) => (at * 167 + (at >> 8) + 1) & 0xff);
  await session.write(0, bytes);
  return bytes;
}

/** Laws on what is refused before it is tried, and on the edges of what is not. */
export const argumentLaws: Draft[] = [
  {
    id: 'out-of-range',
    sentence: 'a step that reaches outside the region, or nowhere, is refused with OutOfRange and changes nothing',
    check: async ({ connect, capabilities, bytes }) => {
      const session = await connect();
      const before = await fillRegion(session);
      const words = [-8, bytes, bytes + 8, 2 ** 32, 2 ** 53, -(2 ** 53), Number.NaN, Infinity, 0.5, 8.5];
      const ranges: Reach[] = [
        ...words.map((offset) => ({ offset, length: 8 })),
        ...[bytes - 7, bytes - 1].map((offset) => ({ offset, length: 8 })),
        { offset: 0, length: bytes + 1 },
        { offset: 1, length: bytes },
        { offset: -1, length: 1 },
        { offset: bytes, length: 1 },
        { offset: bytes + 1, length: 0 },
        { offset: Number.MAX_SAFE_INTEGER, length: 8 },
      ];
      for (const method of [...memoryMethods(capabilities), ...controlMethods(capabilities)]) {
        const reaches = method.word ? words.map((offset) => ({ offset, length: 8 })) : ranges;
        for (const reach of reaches) {
          const what = `${method.name} of ${reach.length} bytes at ${reach.offset}`;
          await expectRefused(() => method.call(session, reach), ['OutOfRange'], what);
        }
        // Beyond the end and at no word: which of the two it is called does not matter.
        if (method.word) {
          const codes: ErrorCode[] = ['OutOfRange', 'Unaligned'];
          await expectRefused(() => method.call(session, { offset: bytes - 4, length: 8 }), codes, method.name);
        }
        expectBytes(await snapshot(session), before, `the region after ${method.name} was refused`);
      }
    },
  },
  {
    id: 'edges',
    sentence: 'the first and the last byte and word of the region can be reached, and nothing beside them changes',
    check: async ({ connect, capabilities, bytes }) => {
      const session = await connect();
      for (const method of memoryMethods(capabilities)) {
        const reaches = method.word
          ? [0, bytes - 8].map((offset) => ({ offset, length: 8 }))
          : [
              { offset: 0, length: 1 },
              { offset: bytes - 1, length: 1 },
              { offset: bytes - 13, length: 13 },
              { offset: 0, length: bytes },
            ];
        for (const reach of reaches) {
          const before = await fillRegion(session);
          // A view is one buffer: it need not reach over the edge of a segment.
          const { error } = await outcome(() => method.call(session, reach), method.name);
          if (error !== undefined && !(method.name === 'view' && error.code === 'Fragmented')) throw error;
          const after = await snapshot(session);
          // A batch that changes something writes the first byte, too.
          for (let at = method.changes ? 1 : 0; at < bytes; at += 1) {
            if (at >= reach.offset && at < reach.offset + reach.length && method.changes) continue;
            expectEqual(after[at], before[at], `byte ${at} after ${method.name} of ${reach.length} at ${reach.offset}`);
          }
        }
      }
    },
  },
  {
    id: 'unaligned',
    sentence: 'a word that does not lie at a multiple of 8 is refused with Unaligned, and nothing changes',
    check: async ({ connect, capabilities }) => {
      const session = await connect();
      const before = await fillRegion(session);
      for (const method of [...memoryMethods(capabilities), ...controlMethods(capabilities)]) {
        if (!method.word) continue;
        for (const offset of [1, 2, 3, 4, 5, 6, 7, 9, 20, 63]) {
          await expectRefused(
            () => method.call(session, { offset, length: 8 }),
            ['Unaligned'],
            `${method.name} at ${offset}`,
          );
        }
      }
      expectBytes(await snapshot(session), before, 'the region');
    },
  },
  {
    id: 'word-values',
    sentence: 'words take every unsigned 64-bit value, and what is none is refused with OutOfRange and changes nothing',
    skip: ({ capabilities }) => (capabilities.atomics === 'none' ? 'it has no atomics' : undefined),
    check: async ({ connect }) => {
      const session = await connect();
      for (const bad of [-1n, 2n ** 64n, -(2n ** 63n), 2n ** 70n, 5 as unknown as bigint, '5' as unknown as bigint]) {
        const calls: [string, () => unknown][] = [
          ['compareExchange that expects', () => session.compareExchange(0, bad, 1n)],
          ['compareExchange that desires', () => session.compareExchange(0, 0n, bad)],
          ['fetchAdd of', () => session.fetchAdd(0, bad)],
          ['batch of compareExchange that expects', () => session.batch([compareExchange(0, bad, 1n)])],
          ['batch of compareExchange that desires', () => session.batch([compareExchange(0, 0n, bad)])],
          ['batch of fetchAdd of', () => session.batch([fetchAdd(0, bad)])],
        ];
        for (const [what, call] of calls) await expectRefused(call, ['OutOfRange'], `${what} ${String(bad)}`);
      }
      expectEqual(await session.load(0), 0n, 'the word');
      let last = 0n;
      for (const value of [1n, 2n ** 31n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n]) {
        expectEqual(await session.compareExchange(0, last, value), last, 'compareExchange');
        expectEqual(await session.load(0), value, 'load');
        expectEqual(
          await session.compareExchange(0, value ^ (2n ** 63n), 7n),
          value,
          'a compareExchange that must fail',
        );
        last = value;
      }
      expectEqual(await session.fetchAdd(0, 2n), 2n ** 64n - 1n, 'fetchAdd');
      expectEqual(await session.load(0), 1n, 'the word after fetchAdd passed 2^64');
      expectEqual(await session.fetchAdd(0, 2n ** 64n - 1n), 1n, 'fetchAdd');
      expectEqual(await session.load(0), 0n, 'the word after fetchAdd of 2^64 - 1');
      expectEqual(await session.load(8), 0n, 'the word behind it');
      const bytes = new Uint8Array(8);
      await session.compareExchange(0, 0n, 0x0807_0605_0403_0201n);
      await session.read(0, bytes);
      expectBytes(bytes, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), 'a word in memory, which is little-endian');
    },
  },
  {
    id: 'zero-length',
    sentence: 'a step of zero bytes and a batch of no steps are legal and do nothing',
    check: async ({ connect, bytes }) => {
      const session = await connect();
      const before = await fillRegion(session);
      const none = new Uint8Array(0);
      for (const options of [undefined, { timeout: 600_000 } satisfies CallOptions]) {
        for (const offset of [0, 3, 8, bytes - 1, bytes]) {
          await attempt(() => session.read(offset, none, options));
          await attempt(() => session.write(offset, none, options));
          const steps: MemoryStep[] = [read(offset, none), write(offset, none), load(0)];
          const answers = await attempt(() => session.batch(steps, options));
          expectEqual(answers.length, 3, 'the number of answers');
          expectEqual(answers[0], undefined, 'the answer to a read of nothing');
          expectEqual(answers[1], undefined, 'the answer to a write of nothing');
        }
        expectEqual((await attempt(() => session.batch([], options))).length, 0, 'the answers to no steps');
      }
      expectBytes(await snapshot(session), before, 'the region');
    },
  },
  {
    id: 'illegal-batch',
    sentence: 'a batch with one illegal step is refused whole: none of its steps happens',
    check: async ({ connect, property, capabilities, bytes }) => {
      const session = await connect();
      const illegal: (() => MemoryStep)[] = [
        () => load(bytes),
        () => read(bytes - 3, new Uint8Array(4)),
        () => write(-1, new Uint8Array(1)),
        () => load(4),
        ...(capabilities.atomics === 'none' ? [] : [() => compareExchange(0, 0n, 2n ** 64n), () => fetchAdd(12, 1n)]),
      ];
      const arbitrary = fc.record({ which: fc.nat(5), at: fc.nat(5), stop: fc.boolean() });
      await property(arbitrary, async ({ which, at, stop }) => {
        const before = await fillRegion(session);
        const steps: MemoryStep[] = Array.from({ length: 5 }, (_, index) => write(index * 8, Uint8Array.of(1, 2, 3)));
        steps.splice(at, 0, illegal[which % illegal.length]!());
        const options = stop ? { stopOnFail: true } : undefined;
        await expectRefused(() => session.batch(steps, options), ['OutOfRange', 'Unaligned'], 'the batch');
        expectBytes(await snapshot(session), before, 'the region');
      });
    },
  },
  {
    id: 'longest-transfer',
    sentence: 'reads and writes up to the declared maxTransfer and beyond it arrive whole',
    bytes: ({ maxTransfer }) => (maxTransfer * 2 + 4_096 <= roomiest ? maxTransfer * 2 + 4_096 : 2 ** 24),
    check: async ({ connect, capabilities, bytes }) => {
      const session = await connect();
      const other = await connect();
      const pattern = new Uint8Array(bytes + 8).map((_, at) => (at * 131 + (at >> 8) * 7 + (at >> 16)) & 0xff);
      const { maxTransfer } = capabilities;
      const lengths = [maxTransfer - 1, maxTransfer, maxTransfer + 1, maxTransfer * 2 + 5, bytes, bytes - 9];
      for (const [turn, length] of lengths.filter((wanted) => wanted > 0 && wanted <= bytes).entries()) {
        const offset = Math.min(bytes - length, turn * 3);
        const source = pattern.subarray(turn + 1, turn + 1 + length);
        const target = new Uint8Array(length + 8).subarray(5, 5 + length);
        await session.write(offset, source);
        await other.read(offset, target);
        expectBytes(target, source, `${length} bytes at ${offset}`);
        const steps = [write(offset, pattern.subarray(0, length)), read(offset, target), load(0)];
        const answers = await session.batch(steps);
        expectEqual(answers.length, 3, 'the number of answers');
        expectBytes(target, pattern.subarray(0, length), `${length} bytes at ${offset} in a batch`);
      }
    },
  },
  {
    id: 'longest-batch',
    sentence: 'batches up to the declared maxBatch and beyond it run whole and in order',
    bytes: 2 ** 16,
    check: async ({ connect, capabilities, bytes }) => {
      const session = await connect();
      const { maxBatch, atomics } = capabilities;
      const lengths = [1, maxBatch - 1, maxBatch, maxBatch + 1, maxBatch * 2 + 3, 3_000];
      for (const length of new Set(lengths.filter((wanted) => wanted > 0 && wanted <= 100_000))) {
        await session.write(0, new Uint8Array(bytes));
        const steps = Array.from({ length }, (_, at): MemoryStep => {
          if (atomics === 'none') return write((at % 1_000) * 8, Uint8Array.of(at & 0xff));
          // Each expects what the one before has put there.
          return compareExchange(8, BigInt(at), BigInt(at + 1));
        });
        const after = awaitedLater(session.batch([load(8)]));
        const answers = await session.batch(steps);
        const last = awaitedLater(session.load(8));
        await after;
        expectEqual(answers.length, length, 'the number of answers');
        if (atomics === 'none') continue;
        expect(
          answers.every((answer, at) => answer === BigInt(at)),
          `a batch of ${length} steps did not run in order`,
        );
        expectEqual(await last, BigInt(length), `the word after a batch of ${length}`);
      }
    },
  },
  {
    id: 'long-stopping-batch',
    sentence: 'a batch that stops does so however long it is, and calls behind it wait for its end',
    skip: ({ capabilities }) => (capabilities.atomics === 'none' ? 'it has no atomics' : undefined),
    check: async ({ connect, capabilities }) => {
      const session = await connect();
      const length = Math.min(capabilities.maxBatch, 2_000) + 25;
      for (const failing of [0, 1, length - 7, length - 1, length]) {
        await session.write(0, new Uint8Array(16));
        const steps = Array.from({ length }, (_, at) =>
          compareExchange(0, BigInt(at === failing ? at + 9_999_999 : at), BigInt(at + 1)),
        );
        const batch = awaitedLater(session.batch(steps, { stopOnFail: true }));
        const behind = awaitedLater(session.compareExchange(0, BigInt(failing), 77n));
        const answers = await batch;
        expectEqual(answers.length, length, 'the number of answers');
        const ran = answers.filter((answer) => typeof answer === 'bigint').length;
        expectEqual(ran, Math.min(failing + 1, length), `the steps that ran of ${length} where ${failing} fails`);
        expectEqual(await behind, BigInt(failing), 'what the call behind the batch found');
        expectEqual(await session.load(0), 77n, 'what the call behind the batch left');
      }
    },
  },
];
