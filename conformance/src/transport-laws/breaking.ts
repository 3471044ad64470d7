import { setTimeout as sleep } from 'node:timers/promises';
import type { ErrorCode } from '@exomem/core';
import fc from 'fast-check';
import { snapshot } from './arguments.js';
import { connectOptions } from './case.js';
import { expect, expectBytes, expectEqual, expectRefused, type Outcome, outcome } from './expect.js';
import type { Draft } from './law.js';
import { type Method, memoryMethods } from './methods.js';
import type { Fault, TransportSubject } from './subject.js';

const needs =
  (fault: Fault) =>
  ({ capabilities, faults }: TransportSubject): string | undefined => {
    if (capabilities.synchronous) return 'it is synchronous: it has no connection to lose';
    return faults?.includes(fault) ? undefined : `it declares no fault ${fault}`;
  };

const needsFence = ({ capabilities }: TransportSubject): string | undefined =>
  capabilities.sessionFence ? undefined : 'it declares no sessionFence';

/** How a step may end whose connection was lost. */
const lost: readonly ErrorCode[] = ['OutcomeUnknown', 'Disconnected'];

/** Laws on connections that break, and on the epochs that follow. */
export const breakingLaws: Draft[] = [
  {
    id: 'cut-answers-everything',
    sentence: 'a lost connection answers every step: what it calls done is done, what it calls not sent never happens',
    skip: needs('cut'),
    check: async ({ connect, property, region, bytes }) => {
      const session = await connect();
      const other = await connect();
      const count = 200;
      const arbitrary = fc.record({ answered: fc.nat(count - 1), pause: fc.nat(3), behind: fc.nat(20) });
      await property(arbitrary, async ({ answered, pause, behind }) => {
        await session.renew();
        await session.write(0, new Uint8Array(bytes));
        const writes = Array.from({ length: count }, (_, at) =>
          outcome(() => session.write(at * 16, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8)), `write ${at}`),
        );
        const reads: Promise<Outcome<unknown>>[] = Array.from({ length: 20 }, (_, at) =>
          outcome(() => session.read(at * 16, new Uint8Array(16)), `read ${at}`),
        );
        if (pause > 0) await writes[answered];
        await region.cut!(session);
        // The session may not have noticed yet.
        for (let at = 0; at < behind; at += 1) reads.push(outcome(() => session.load(8), 'load'));
        const results = await Promise.all(writes);
        for (const { error } of await Promise.all(reads)) {
          expect(
            error === undefined || lost.includes(error.code),
            `a read on a lost connection ends with ${error?.code}`,
          );
        }
        await session.renew();
        const held = await snapshot(other);
        let last = -1;
        for (const [at, { error }] of results.entries()) {
          const code = error?.code;
          const happened = held[at * 16] === 1;
          expect(code === undefined || lost.includes(code), `write ${at} on a lost connection ends with ${code}`);
          if (code === undefined) expect(happened, `write ${at} was answered and has not happened`);
          if (code === 'Disconnected') expect(!happened, `write ${at} ended with Disconnected and has happened`);
          if (!happened) continue;
          expectEqual(last, at - 1, `write ${at} has happened; the last one before it that has`);
          last = at;
        }
      });
    },
  },
  {
    id: 'renew-is-a-new-epoch',
    sentence: 'after a lost connection renew opens a later epoch that works; on a whole lane it disturbs nothing',
    skip: needs('cut'),
    check: async ({ connect, region }) => {
      const session = await connect();
      await session.write(0, Uint8Array.of(1));
      await session.renew();
      expectEqual(await session.load(0), 1n, 'load after a renew that was not needed');
      for (let turn = 0; turn < 10; turn += 1) {
        const { epoch } = session;
        await region.cut!(session);
        await outcome(() => session.load(0), 'load');
        await session.renew();
        expect(session.epoch > epoch, `epoch ${session.epoch} follows ${epoch}`);
        await session.write(0, Uint8Array.of(turn + 2));
        expectEqual(await session.load(0), BigInt(turn + 2), 'load in the new epoch');
      }
    },
  },
  {
    id: 'cut-while-renewing',
    sentence:
      'a renew whose connection is lost fails with Disconnected or OutcomeUnknown, and the next one may succeed',
    skip: needs('cut'),
    check: async ({ connect, property, region }) => {
      const session = await connect();
      await property(fc.array(fc.nat(4), { minLength: 1, maxLength: 6 }), async (pauses) => {
        for (const pause of pauses) {
          const write = outcome(() => session.write(0, Uint8Array.of(1)), 'write');
          await region.cut!(session);
          const renewed = outcome(() => session.renew(), 'renew');
          if (pause > 0) await sleep(pause - 1);
          await region.cut!(session);
          for (const { error } of await Promise.all([write, renewed])) {
            expect(error === undefined || lost.includes(error.code), `it ends with ${error?.code}`);
          }
        }
        // The session may not have noticed the last cut yet.
        await outcome(() => session.load(0), 'load');
        await session.renew();
        await session.load(0);
      });
    },
  },
  {
    id: 'late-steps-never-land',
    sentence: 'when a new epoch of a lane has begun, no step of its earlier epochs lands, however late it arrives',
    skip: (subject) => needsFence(subject) ?? needs('hold')(subject),
    check: async ({ connect, region, capabilities }) => {
      for (const method of memoryMethods(capabilities)) {
        if (!method.changes) continue;
        const session = await connect();
        const other = await connect();
        await session.write(0, new Uint8Array(session.size));
        const release = await region.hold!(session);
        const abort = new AbortController();
        const late = outcome(
          () => method.call(session, { offset: 8, length: 8 }, { signal: abort.signal }),
          method.name,
        );
        await sleep(10);
        abort.abort();
        expectEqual((await late).error?.code, 'OutcomeUnknown', `what ${method.name} ends with when it is given up`);
        await session.renew();
        const before = await snapshot(session);
        await release();
        for (let turn = 0; turn < 10; turn += 1) {
          await sleep(5);
          expectBytes(await snapshot(other), before, `after the new epoch has begun, the late ${method.name} lands`);
        }
        await session.write(8, Uint8Array.of(3));
        await session.close();
      }
    },
  },
  {
    id: 'declared-delay',
    sentence: 'a step that is held back for longer than the longest delay that is declared never lands',
    skip: (subject) =>
      subject.capabilities.maxDelay === undefined ? 'it declares no longest delay' : needs('hold')(subject),
    check: async ({ connect, region, capabilities }) => {
      const other = await connect();
      const held: { name: string; late: Promise<unknown>; release: () => unknown }[] = [];
      for (const method of memoryMethods(capabilities)) {
        if (!method.changes) continue;
        const session = await connect();
        const release = await region.hold!(session);
        held.push({
          name: method.name,
          late: outcome(() => method.call(session, { offset: 8, length: 8 }), method.name),
          release,
        });
      }
      await sleep(capabilities.maxDelay! + 50);
      const before = await snapshot(other);
      for (const { name, late, release } of held) {
        await release();
        await late;
        expectBytes(await snapshot(other), before, `after the longest delay, the late ${name} lands`);
      }
    },
  },
  {
    id: 'later-session-of-a-lane',
    sentence: 'a later session of the same client and lane shuts the earlier one out, and no other',
    skip: needsFence,
    check: async ({ connect, capabilities }) => {
      const { clientId } = connectOptions();
      const earlier = await connect({ clientId, lane: 3 });
      const sibling = await connect({ clientId, lane: 4 });
      const stranger = await connect({ lane: 3 });
      await earlier.write(0, Uint8Array.of(1));
      const later = await connect({ clientId, lane: 3 });
      const before = await snapshot(later);
      for (const method of memoryMethods(capabilities)) {
        const call = () => method.call(earlier, { offset: 8, length: 8 });
        await expectRefused(call, ['Fenced', ...lost, 'Closed'], `${method.name} by the earlier session`);
      }
      expectBytes(await snapshot(later), before, 'the region');
      for (const [at, session] of [sibling, stranger, later].entries()) {
        await session.write(at * 8, Uint8Array.of(at + 7));
        expectEqual(await session.load(at * 8), BigInt(at + 7), 'a word of a session that goes on');
      }
      await earlier.close();
      await later.load(0);
    },
  },
  {
    id: 'black-hole',
    sentence: 'a connection that nothing comes through any more counts as lost after the silence that was agreed on',
    skip: needs('blackHole'),
    check: async ({ connect, region, capabilities }) => {
      const other = await connect();
      const swallowed = async (method: Method): Promise<void> => {
        const session = await connect({ silence: 500 });
        await session.load(0);
        await region.blackHole!(session);
        const call = expectRefused(() => method.call(session, { offset: 8, length: 8 }), lost, method.name);
        await other.load(0);
        await call;
        await session.renew();
        await session.load(0);
      };
      // Most of it is waiting, so they wait together.
      await Promise.all(
        memoryMethods(capabilities)
          .filter(({ waits }) => waits)
          .map(swallowed),
      );
    },
  },
  {
    id: 'silence-is-no-loss',
    sentence: 'a connection on which nothing is asked stays, however long nobody speaks',
    skip: ({ capabilities }) =>
      capabilities.synchronous ? 'it is synchronous: it has no connection to lose' : undefined,
    check: async ({ connect }) => {
      for (const silence of [500, 2 ** 40]) {
        const session = await connect({ silence });
        await session.write(0, Uint8Array.of(5));
        const { epoch } = session;
        await sleep(silence === 500 ? 1_500 : 20);
        expectEqual(await session.load(0), 5n, 'load after the silence');
        expectEqual(session.epoch, epoch, 'the epoch');
      }
    },
  },
  {
    id: 'many-sessions',
    sentence: 'many sessions share a region, each with its own answers, and closing some leaves the others',
    check: async ({ connect, capabilities }) => {
      const sessions = await Promise.all(Array.from({ length: 100 }, () => connect()));
      const answers = await Promise.all(
        sessions.map(async (session, at) => {
          const own = Uint8Array.of(at, at, at, at, at, at, at, at);
          await session.write(at * 8, own);
          const back = new Uint8Array(8);
          await session.read(at * 8, back);
          expectBytes(back, own, `what session ${at} has written`);
          return capabilities.atomics === 'none' ? BigInt(at) : session.fetchAdd(2_048, 1n);
        }),
      );
      expectEqual(new Set(answers).size, 100, 'the number of different answers');
      await Promise.all(sessions.filter((_, at) => at % 2 === 1).map((session) => session.close()));
      for (const [at, session] of sessions.entries()) {
        if (at % 2 === 0) expectEqual(await session.load(at * 8), BigInt(at) * 0x0101_0101_0101_0101n, `word ${at}`);
      }
    },
  },
];
