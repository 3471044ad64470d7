import { setTimeout as sleep } from 'node:timers/promises';
import type { MemberBinding, Session } from '@exomem/core';
import { snapshot } from './arguments.js';
import { connectOptions } from './case.js';
import { expect, expectBytes, expectEqual, expectRefused, outcome } from './expect.js';
import type { Draft, Trial } from './law.js';
import { memoryMethods } from './methods.js';
import type { TransportSubject } from './subject.js';

const states = { free: 0n, joining: 1n, active: 2n, fenced: 3n } as const;

/** A member word `{state:4 | inc:20 | beat:40}`. */
const memberWord = (state: keyof typeof states, incarnation: number, beat = 77n): bigint =>
  (states[state] << 60n) | (BigInt(incarnation) << 40n) | beat;

const slotOffset = (slot: number): number => 1_024 + slot * 64;

/** Puts a member word there, and says who that is. */
async function enrol(
  session: Session,
  slot: number,
  state: keyof typeof states,
  incarnation: number,
): Promise<MemberBinding> {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, memberWord(state, incarnation), true);
  await session.write(slotOffset(slot), bytes);
  return { slot, incarnation, offset: slotOffset(slot) };
}

async function expectFenced(trial: Trial, session: Session, when: string): Promise<void> {
  const observer = await trial.connect();
  const before = await snapshot(observer);
  for (const method of memoryMethods(trial.capabilities)) {
    await expectRefused(() => method.call(session, { offset: 8, length: 8 }), ['Fenced'], `${method.name} ${when}`);
  }
  expectBytes(await snapshot(observer), before, `the region after steps ${when}`);
}

const needsRevoke = ({ capabilities }: TransportSubject): string | undefined =>
  capabilities.revoke === 'immediate' ? undefined : 'it declares no immediate revoke';
const needsProof = ({ capabilities }: TransportSubject): string | undefined =>
  capabilities.revoke === 'proof' ? undefined : 'it declares no revoke by proof';

/** Laws on lanes that are bound to members, and on members that are shut out. */
export const membershipLaws: Draft[] = [
  {
    id: 'bind-to-the-living',
    sentence: 'a lane can be bound to a member whose word shows it joining or active, and goes on',
    check: async ({ connect }) => {
      const observer = await connect();
      // Incarnations of a slot only grow.
      for (const [at, state] of (['joining', 'active'] as const).entries()) {
        for (const incarnation of [1, 0xf_ffff]) {
          const member = await enrol(observer, 2 + at, state, incarnation);
          const session = await connect();
          await session.load(member.offset);
          await session.bind(member);
          await session.write(0, Uint8Array.of(4));
          expectEqual(await session.load(0), 4n, `a word written while bound to a member that is ${state}`);
          await session.bind(member);
          await session.write(0, Uint8Array.of(5));
          expectEqual(await session.load(0), 5n, 'a word written after it was bound to the same member again');
        }
      }
    },
  },
  {
    id: 'bind-to-the-dead',
    sentence: 'binding a lane to a member that is not alive in that incarnation is refused, and so is all that follows',
    check: async (trial) => {
      const observer = await trial.connect();
      const dead = [
        ['free', 3, 3],
        ['free', 0, 0],
        ['fenced', 3, 3],
        ['active', 4, 3],
        ['active', 2, 3],
        ['joining', 4, 3],
      ] as const;
      for (const [state, there, claimed] of dead) {
        const { slot, offset } = await enrol(observer, 1, state, there);
        const session = await trial.connect();
        const what = `bind as incarnation ${claimed} to a word that is ${state} in ${there}`;
        await expectRefused(() => session.bind({ slot, offset, incarnation: claimed }), ['Fenced'], what);
        await expectFenced(trial, session, `after a refused ${what}`);
      }
    },
  },
  {
    id: 'fence-outlasts-renew',
    sentence: 'a new epoch does not lift a fence: only binding the lane to a living member in it does',
    check: async (trial) => {
      const observer = await trial.connect();
      const dead = await enrol(observer, 1, 'fenced', 3);
      const living = await enrol(observer, 2, 'active', 5);
      const session = await trial.connect();
      await expectRefused(() => session.bind(dead), ['Fenced'], 'bind to a fenced member');
      await expectRefused(() => session.bind(living), ['Fenced'], 'another bind in the same epoch');
      await outcome(() => session.renew(), 'renew');
      await expectFenced(trial, session, 'after renew');
      await session.renew();
      await session.bind(living);
      await session.write(0, Uint8Array.of(6));
      expectEqual(await session.load(0), 6n, 'a word written after the lane was bound anew');
    },
  },
  {
    id: 'one-member-an-epoch',
    sentence: 'an epoch that is bound to one member cannot be bound to another',
    check: async (trial) => {
      const observer = await trial.connect();
      const one = await enrol(observer, 1, 'active', 3);
      const other = await enrol(observer, 2, 'active', 5);
      const session = await trial.connect();
      await session.bind(one);
      await expectRefused(() => session.bind(other), ['Fenced'], 'bind to a second member');
      await expectFenced(trial, session, 'after it was bound twice');
    },
  },
  {
    id: 'revoke',
    sentence: 'when revoke has returned, no step of the member takes effect on any lane; others go on',
    skip: needsRevoke,
    check: async (trial) => {
      const observer = await trial.connect();
      const victim = await enrol(observer, 1, 'active', 3);
      const bystander = await enrol(observer, 2, 'active', 3);
      const lanes = await Promise.all([0, 1, 7].map((lane) => trial.connect({ ...client, lane })));
      const beside = await trial.connect();
      for (const lane of lanes) await lane.bind(victim);
      await beside.bind(bystander);
      await observer.revoke(victim);
      await observer.revoke(victim);
      for (const lane of lanes) await expectFenced(trial, lane, 'after revoke');
      await beside.write(0, Uint8Array.of(8));
      expectEqual(await beside.load(0), 8n, 'a word of another member');
    },
  },
  {
    id: 'revoke-in-flight',
    sentence: 'steps that were in flight when the member was revoked are refused or done before revoke returns',
    skip: (subject) => needsRevoke(subject) ?? (subject.capabilities.synchronous ? 'nothing is in flight' : undefined),
    check: async (trial) => {
      const observer = await trial.connect();
      for (let turn = 1; turn <= 20; turn += 1) {
        const victim = await enrol(observer, 1, 'active', turn);
        const session = await trial.connect();
        await session.bind(victim);
        const calls: Promise<{ error?: { code: string } }>[] = [];
        let more = true;
        const flood = (async () => {
          for (let at = 0; more && at < 5_000; at += 1) {
            const byte = Uint8Array.of((at % 254) + 1);
            calls.push(outcome(() => session.write(at % 1_000, byte), 'write'));
            if (at % 16 === 0) await new Promise(setImmediate);
          }
        })();
        await sleep(turn % 4);
        await observer.revoke(victim);
        const before = await snapshot(observer);
        more = false;
        await flood;
        for (const call of calls) {
          const { error } = await call;
          expect(
            error === undefined || error.code === 'Fenced',
            `a write of a revoked member ends with ${error?.code}`,
          );
        }
        expectBytes(await snapshot(observer), before, 'the region after revoke had returned');
        await session.close();
      }
    },
  },
  {
    id: 'revoke-for-good',
    sentence: 'a revoked incarnation can never be bound again, a later one can',
    skip: needsRevoke,
    check: async (trial) => {
      const observer = await trial.connect();
      const victim = await enrol(observer, 1, 'active', 3);
      const session = await trial.connect();
      await session.bind(victim);
      await observer.revoke(victim);
      const again = await trial.connect();
      await expectRefused(() => again.bind(victim), ['Fenced'], 'bind as a revoked incarnation');
      await expectFenced(trial, again, 'after a refused bind');
      await outcome(() => session.renew(), 'renew');
      await expectFenced(trial, session, 'of a revoked member in a new epoch');
      const reborn = await enrol(observer, 1, 'joining', 4);
      const fresh = await trial.connect();
      await fresh.bind(reborn);
      await fresh.write(0, Uint8Array.of(2));
      await observer.revoke(victim);
      await fresh.write(0, Uint8Array.of(3));
      expectEqual(await fresh.load(0), 3n, 'a word of the later incarnation');
    },
  },
  {
    id: 'binding-outlasts-renew',
    sentence: 'a lane that reconnects stays bound: revoking its member shuts out the new epoch, too',
    skip: (subject) =>
      needsRevoke(subject) ?? (subject.faults?.includes('cut') ? undefined : 'it declares no fault cut'),
    check: async (trial) => {
      const observer = await trial.connect();
      const member = await enrol(observer, 1, 'active', 3);
      const session = await trial.connect();
      await session.bind(member);
      await trial.region.cut!(session);
      await outcome(() => session.load(0), 'load');
      await session.renew();
      await session.write(0, Uint8Array.of(1));
      await observer.revoke(member);
      await expectFenced(trial, session, 'of a member that was revoked after the lane had reconnected');
    },
  },
  {
    id: 'revoke-needs-proof',
    sentence:
      'where revoke takes a proof, it is refused while a lane of the member may go on, and that lane loses nothing',
    skip: needsProof,
    check: async (trial) => {
      const observer = await trial.connect();
      const living = await enrol(observer, 1, 'active', 3);
      const lanes = await Promise.all([0, 1].map((lane) => trial.connect({ ...client, lane })));
      for (const lane of lanes) await lane.bind(living);
      await expectRefused(() => observer.revoke(living), ['Unproven'], 'revoke of a member with two lanes');
      await lanes[0]!.close();
      await expectRefused(() => observer.revoke(living), ['Unproven'], 'revoke of a member with one lane left');
      await lanes[1]!.write(0, Uint8Array.of(8));
      expectEqual(await lanes[1]!.load(0), 8n, 'a word of the member that was not revoked');
      const unknown = await enrol(observer, 2, 'active', 3);
      await expectRefused(() => observer.revoke(unknown), ['Unproven'], 'revoke of a member that nobody has bound');
    },
  },
  {
    id: 'revoke-by-proof',
    sentence:
      'where revoke takes a proof, a member whose lanes are over is revoked for good, a later incarnation is not',
    skip: needsProof,
    check: async (trial) => {
      const observer = await trial.connect();
      const victim = await enrol(observer, 1, 'active', 3);
      for (const lane of [0, 1, 7]) {
        const session = await trial.connect({ ...client, lane });
        await session.bind(victim);
        await session.close();
      }
      await observer.revoke(victim);
      await observer.revoke(victim);
      const again = await trial.connect();
      await expectRefused(() => again.bind(victim), ['Fenced'], 'bind as a revoked incarnation');
      await expectFenced(trial, again, 'after a refused bind');
      // One that never got as far as to a lane.
      const stillborn = await enrol(observer, 2, 'joining', 4);
      await observer.revoke(stillborn);
      const late = await trial.connect();
      await expectRefused(() => late.bind(stillborn), ['Fenced'], 'bind as one that was revoked before it was bound');
      const reborn = await enrol(observer, 1, 'joining', 4);
      const fresh = await trial.connect();
      await fresh.bind(reborn);
      await observer.revoke(victim);
      await expectRefused(() => observer.revoke(reborn), ['Unproven'], 'revoke of the later incarnation');
      await fresh.write(0, Uint8Array.of(3));
      expectEqual(await fresh.load(0), 3n, 'a word of the later incarnation');
    },
  },
];

/** The client whose lanes are revoked together. */
const client = { clientId: connectOptions().clientId };
