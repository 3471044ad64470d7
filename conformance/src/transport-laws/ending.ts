import { type CallOptions, compareExchange } from '@exomem/core';
import { fillRegion, snapshot } from './arguments.js';
import { expect, expectBytes, expectEqual, expectRefused, outcome } from './expect.js';
import type { Draft, Trial } from './law.js';
import { controlMethods, type Method, memoryMethods, renewMethod } from './methods.js';
import type { TransportSubject } from './subject.js';

const reach = { offset: 64, length: 8 };

const needsFlight = ({ capabilities }: TransportSubject): string | undefined =>
  capabilities.synchronous ? 'it is synchronous: nothing is ever in flight' : undefined;

const needsBlackHole = (subject: TransportSubject): string | undefined =>
  needsFlight(subject) ?? (subject.faults?.includes('blackHole') ? undefined : 'it declares no fault blackHole');

const everyMethod = ({ capabilities }: Trial): Method[] => [
  ...memoryMethods(capabilities),
  ...controlMethods(capabilities),
  renewMethod,
];

/** Calls each method in a way that is over before it begins, and looks for traces. */
async function overAtOnce(trial: Trial, options: CallOptions, code: 'Aborted' | 'DeadlineExceeded'): Promise<void> {
  const session = await trial.connect();
  const before = await fillRegion(session);
  for (const method of everyMethod(trial)) {
    if (!method.waits) continue;
    await expectRefused(() => method.call(session, reach, options), [code], method.name);
    expectBytes(await snapshot(session), before, `the region after ${method.name}`);
  }
  await expectRefused(() => trial.connect(options), [code], 'connect');
}

/** Ends the wait for each method while its answer can no longer come. */
async function overInFlight(trial: Trial, how: 'abort' | 'deadline'): Promise<void> {
  const code = how === 'abort' ? 'Aborted' : 'DeadlineExceeded';
  for (const method of memoryMethods(trial.capabilities)) {
    if (!method.waits) continue;
    const session = await trial.connect({ silence: 600_000 });
    await session.load(0);
    await trial.region.blackHole!(session);
    const abort = new AbortController();
    const options = how === 'abort' ? { signal: abort.signal } : { timeout: 60 };
    const call = method.call(session, reach, options);
    if (how === 'abort') setTimeout(() => abort.abort(new Error('the law says so')), 20);
    const codes = method.changes ? (['OutcomeUnknown'] as const) : ([code, 'OutcomeUnknown'] as const);
    await expectRefused(() => call, codes, `${method.name} in flight`);
    // The lane goes on in a new epoch.
    const epoch = session.epoch;
    await session.renew();
    expect(session.epoch > epoch, `the epoch stays ${epoch} although a step of it is unsettled`);
    await session.load(0);
  }
}

/** Laws on sessions that are closed and on calls that are given up. */
export const endingLaws: Draft[] = [
  {
    id: 'closed',
    sentence: 'every call of a closed session is refused with Closed, closing again is fine, and others go on',
    check: async (trial) => {
      const session = await trial.connect();
      const other = await trial.connect();
      const before = await fillRegion(session);
      await session.close();
      await session.close();
      for (const method of everyMethod(trial)) {
        await expectRefused(() => method.call(session, reach), ['Closed'], method.name);
        if (method.waits) {
          await expectRefused(() => method.call(session, reach, { timeout: 1_000 }), ['Closed'], method.name);
        }
      }
      await expectRefused(() => session.read(0, new Uint8Array(0)), ['Closed'], 'a read of nothing');
      await expectRefused(() => session.batch([]), ['Closed'], 'a batch of nothing');
      await session.close();
      expectBytes(await snapshot(other), before, 'the region');
      await other.write(0, Uint8Array.of(9));
    },
  },
  {
    id: 'aborted-before',
    sentence: 'a call whose signal is aborted already is refused with Aborted, and changes nothing',
    check: (trial) => overAtOnce(trial, { signal: AbortSignal.abort(new Error('the law says so')) }, 'Aborted'),
  },
  {
    id: 'deadline-before',
    sentence: 'a call whose deadline is over already is refused with DeadlineExceeded, and changes nothing',
    check: async (trial) => {
      await overAtOnce(trial, { timeout: 0 }, 'DeadlineExceeded');
      await overAtOnce(trial, { timeout: -5 }, 'DeadlineExceeded');
      await overAtOnce(trial, { timeout: Number.NaN }, 'DeadlineExceeded');
    },
  },
  {
    id: 'signal-and-timeout',
    sentence: 'a signal that is never aborted and a deadline that is never reached change no answer',
    check: async (trial) => {
      const session = await trial.connect();
      const { signal } = new AbortController();
      for (const timeout of [undefined, 600_000, 2 ** 40, Number.POSITIVE_INFINITY]) {
        const options = { signal, ...(timeout === undefined ? {} : { timeout }) };
        await session.write(0, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8), options);
        expectEqual(await session.load(0, options), 0x0807_0605_0403_0201n, 'load');
        const target = new Uint8Array(3);
        await session.read(1, target, options);
        expectBytes(target, Uint8Array.of(2, 3, 4), 'read');
        if (trial.capabilities.atomics === 'none') continue;
        expectEqual(await session.fetchAdd(0, 1n, options), 0x0807_0605_0403_0201n, 'fetchAdd');
        expectEqual(await session.compareExchange(0, 1n, 2n, options), 0x0807_0605_0403_0202n, 'compareExchange');
      }
    },
  },
  {
    id: 'close-in-flight',
    sentence: 'what is in flight when a session is closed is answered, and what was answered well has happened',
    skip: needsFlight,
    check: async ({ connect }) => {
      const session = await connect();
      const other = await connect();
      const calls = Array.from({ length: 200 }, (_, at) =>
        outcome(() => session.write(at * 8, Uint8Array.of(at + 1)), `write ${at}`),
      );
      await session.close();
      for (const [at, call] of calls.entries()) {
        const { error } = await call;
        if (error !== undefined) {
          expect(['OutcomeUnknown', 'Closed'].includes(error.code), `a write in flight ends with ${error.code}`);
          if (error.code === 'OutcomeUnknown') continue;
        }
        const byte = new Uint8Array(1);
        await other.read(at * 8, byte);
        expectEqual(byte[0], error === undefined ? at + 1 : 0, `byte ${at * 8}, whose write ended with ${error?.code}`);
      }
    },
  },
  {
    id: 'aborted-in-flight',
    sentence: 'a call aborted in flight ends at once: OutcomeUnknown if it may have changed something, else Aborted',
    skip: needsBlackHole,
    check: (trial) => overInFlight(trial, 'abort'),
  },
  {
    id: 'deadline-in-flight',
    sentence: 'a call ends at its deadline: OutcomeUnknown if it may have changed something, else DeadlineExceeded',
    skip: needsBlackHole,
    check: (trial) => overInFlight(trial, 'deadline'),
  },
  {
    id: 'abandoned-read',
    sentence: 'the answer to a read that was given up does not touch its buffer any more',
    skip: needsFlight,
    check: async ({ connect, bytes }) => {
      const session = await connect();
      await fillRegion(session);
      for (let turn = 0; turn < 20; turn += 1) {
        const abort = new AbortController();
        const target = new Uint8Array(bytes);
        const call = outcome(() => session.read(0, target, { signal: abort.signal }), 'read');
        abort.abort();
        const { error } = await call;
        if (error === undefined) continue;
        target.fill(0xee);
        // The answer travels before the answers to these.
        for (let later = 0; later < 3; later += 1) await session.load(0);
        expect(
          target.every((byte) => byte === 0xee),
          'the buffer was written to after the read had been given up',
        );
      }
    },
  },
  {
    id: 'abandoned-batch',
    sentence: 'of a long batch that was given up nothing happens any more once a new epoch has begun',
    skip: (subject) =>
      needsFlight(subject) ?? (subject.capabilities.atomics === 'none' ? 'it has no atomics' : undefined),
    check: async ({ connect, capabilities }) => {
      const other = await connect();
      const length = Math.min(capabilities.maxBatch, 8_000) * 2 + 20;
      for (const stopOnFail of [true, false]) {
        for (let turns = 0; turns < 6; turns += 1) {
          const session = await connect();
          await session.write(0, new Uint8Array(8));
          const steps = Array.from({ length }, (_, at) => compareExchange(0, BigInt(at), BigInt(at + 1)));
          const abort = new AbortController();
          const batch = outcome(() => session.batch(steps, { stopOnFail, signal: abort.signal }), 'batch');
          const behind = outcome(() => session.write(8, Uint8Array.of(1), { signal: abort.signal }), 'write');
          for (let turn = 0; turn < turns; turn += 1) await new Promise(setImmediate);
          abort.abort();
          for (const { error } of [await batch, await behind]) {
            expect(error === undefined || error.code === 'OutcomeUnknown', `it ends with ${error?.code}`);
          }
          await session.renew();
          const before = await snapshot(other);
          for (let turn = 0; turn < 20; turn += 1) await other.load(0);
          await session.load(0);
          expectBytes(await snapshot(other), before, 'the region after the new epoch had begun');
          await session.close();
        }
      }
    },
  },
];
