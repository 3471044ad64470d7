import type { Counterexample } from '@exomem/conformance/simulator';
import {
  type BatchAnswer,
  type BatchStep,
  bindingOf,
  controlFields,
  ExomemError,
  type Extent,
  type Geometry,
  groupWordOffset,
  isExomemError,
  load,
  type MemberCustodian,
  type MemoryStep,
  memberStride,
  type NamespaceReplica,
  type Protocol,
  principalWordOffset,
  type Step,
  type StepResult,
  type WordStep,
} from '@exomem/core';
import type { Actor } from './actor.js';
import { manyMutants } from './many-mutants.js';
import { messageMutants } from './message-mutants.js';
import { lockMutants } from './mutants-locked.js';
import type { Mutation } from './mutation.js';
import { searches } from './searches/index.js';
import { explore } from './subject.js';

/** A small fault in a shipped protocol, and the search that has to find it. */
export interface Mutant extends Mutation {
  readonly search: string;
  /** What it breaks: the id of an invariant, or `answer`: an operation ends with an error that is none of its answers. */
  readonly invariant: string;
  /** It takes more than a few hundred states. */
  readonly slow?: boolean;
}

/** Whether the search finds it; after how many states. */
export function convict(
  mutant: Mutant,
  limit = 300_000,
  seed = 1,
): { found: Counterexample | undefined; states: number; subject: string } {
  const subject = searches.find(({ name }) => name === mutant.search)!;
  const { found, searched } = explore(subject, { limit, mutation: mutant, order: 'scattered', seed });
  return { found, states: found?.states ?? searched!.states, subject: subject.name };
}

/** The bits in which a head and a withheld page differ, of the first page of a group. */
const headToWithheld = 0x8000_0000n;
const nothing: { readonly answer: StepResult } = { answer: undefined };

function isBatch(step: Step): step is BatchStep {
  return step.op === 'batch';
}
function isFence(step: MemoryStep, { plot, identity }: Actor): boolean {
  return step.op === 'load' && step.offset === principalWordOffset(plot.geometry, identity.principal);
}
function isGroup({ plot }: Actor, offset: number): boolean {
  const { groupOffset, groupCount } = plot.geometry;
  return offset >= groupOffset && offset < groupWordOffset(plot.geometry, groupCount);
}
function isMemberWord({ plot }: Actor, offset: number): boolean {
  const { memberOffset, principalOffset } = plot.geometry;
  return offset >= memberOffset && offset < principalOffset && (offset - memberOffset) % memberStride === 0;
}
function isSlot({ plot }: Actor, offset: number): boolean {
  const { logOffset, arenaOffset } = plot.geometry;
  return offset >= logOffset && offset < arenaOffset;
}
/** Words whose heads an actor believes to have taken back, and has not. */
const heads = new WeakMap<Actor, Map<number, bigint>>();
function headsKept(actor: Actor): Map<number, bigint> {
  let kept = heads.get(actor);
  if (kept === undefined) heads.set(actor, (kept = new Map()));
  return kept;
}
/** How often a watcher asked for the time. */
const looksOf = new WeakMap<Actor, number>();
/** What the clock said to who is about to look. */
const glances = new WeakMap<Actor, number>();
/** A protocol that has nothing to do. */
function* idle<T>(value: T): Protocol<T> {
  yield* [];
  return value;
}
function interrupted(error: unknown): boolean {
  return isExomemError(error, 'OutcomeUnknown');
}

/** Whether a step writes to pages. */
function isData({ plot }: Actor, step: Step): boolean {
  const [first] = isBatch(step) ? step.steps : [step];
  return first?.op === 'write' && first.offset >= plot.geometry.dataOffset;
}
/** What becomes of a step: it is answered at once, or taken when all the others are. */
type Otherwise = (step: Step) => { readonly answer: StepResult } | { readonly later: Step } | undefined;
function* reordered<T>(protocol: Protocol<T>, otherwise: Otherwise): Protocol<T> {
  const later: Step[] = [];
  let state = protocol.next();
  while (!state.done) {
    const instead = otherwise(state.value);
    let result: StepResult;
    if (instead === undefined) {
      try {
        result = yield state.value;
      } catch (error) {
        state = protocol.throw(error);
        continue;
      }
    } else if ('answer' in instead) result = instead.answer;
    else {
      later.push(instead.later);
      result = isBatch(instead.later) ? instead.later.steps.map(() => undefined) : undefined;
    }
    state = protocol.next(result);
  }
  for (const step of later) yield step;
  return state.value;
}
function cleanOtherwise({ allocator }: Actor, otherwise: Otherwise): void {
  const { clean } = allocator;
  allocator.clean = (pages) => reordered(clean!.call(allocator, pages), otherwise);
}

export const mutants: readonly Mutant[] = [
  ...manyMutants,
  ...lockMutants,
  {
    name: 'a claim does not read the own principal behind it, and the lane is not shut out',
    search: 'allocate-recover',
    invariant: 'I2',
    step: (step, actor) => {
      if (step.op === 'revoke') return nothing;
      if (!isBatch(step) || !isFence(step.steps.at(-1)!, actor)) return step;
      return { ...step, steps: step.steps.slice(0, -1) };
    },
    answer: (step, result, actor) => {
      if (!isBatch(step) || !Array.isArray(result) || result.length === step.steps.length) return result;
      return [...result, actor.identity.word];
    },
  },
  {
    name: 'a run is committed before all its groups are claimed',
    search: 'adopt-extent',
    invariant: 'I5',
    step: (step, actor) => {
      if (!isBatch(step) || !step.stopOnFail) return step;
      const claims = step.steps.filter((one) => one.op === 'compareExchange' && isGroup(actor, one.offset));
      const [first] = claims;
      const last = claims.at(-1);
      if (claims.length < 3 || first?.op !== 'compareExchange' || last?.op !== 'compareExchange') return step;
      if (first.offset !== last.offset) return step;
      return { ...step, steps: [first, last, ...claims.slice(1, -1), ...step.steps.slice(claims.length)] };
    },
    answer: (step, result, actor) => {
      if (!isBatch(step) || !step.stopOnFail || !Array.isArray(result)) return result;
      const claims = step.steps.filter((one) => one.op === 'compareExchange' && isGroup(actor, one.offset));
      if (claims.length < 3 || claims[0]!.offset !== claims.at(-1)!.offset) return result;
      const [first, commit, ...rest] = result;
      return [first!, ...rest.slice(0, claims.length - 2), commit!, ...rest.slice(claims.length - 2)];
    },
  },
  {
    name: 'a run is freed without its head being taken back first',
    search: 'adopt-extent',
    invariant: 'I5',
    step: (step, actor) => {
      if (!isBatch(step)) return step;
      const [first] = step.steps;
      if (first?.op !== 'compareExchange' || !isGroup(actor, first.offset)) return step;
      const kept = headsKept(actor);
      // From head to withheld, all else equal: as if that had been done.
      const taken = step.stopOnFail && (first.expected & 0xc000_0000n) === 0x4000_0000n;
      if (taken && (first.desired ^ first.expected) === headToWithheld) {
        kept.set(first.offset, first.expected);
        return { answer: [first.expected] };
      }
      const steps = step.steps.map((one) => {
        const there = kept.get(one.offset);
        if (one.op !== 'compareExchange' || there === undefined) return one;
        return (one.expected ^ there) === headToWithheld ? { ...one, expected: there } : one;
      });
      return { ...step, steps };
    },
    answer: (step, result) => {
      if (!isBatch(step) || !Array.isArray(result)) return result;
      return result.map((one, at) => {
        const asked = step.steps[at]!;
        const same =
          asked.op === 'compareExchange' && typeof one === 'bigint' && (one ^ asked.expected) === headToWithheld;
        return same ? asked.expected : one;
      });
    },
  },
  {
    name: 'a lost reply is taken for a failure',
    search: 'append',
    invariant: 'I8',
    thrown: (step, error, actor) => {
      if (!interrupted(error) || !isBatch(step)) return undefined;
      const swing = step.steps.at(-1)!;
      if (swing.op !== 'compareExchange' || !isSlot(actor, swing.offset)) return undefined;
      return { answer: step.steps.map((one) => (one === swing ? swing.expected + 1n : undefined)) };
    },
  },
  {
    name: 'a reply that is lost is resolved in the old epoch of the lane',
    search: 'allocate',
    invariant: 'answer',
    step: (step) => (step.op === 'renew' ? nothing : step),
  },
  {
    name: 'who recovers does not shut the dead one out',
    search: 'extent-recover',
    invariant: 'R2',
    step: (step) => (step.op === 'revoke' ? nothing : step),
  },
  {
    name: 'who recovers does not fence the dead one in the log, nor shuts it out',
    search: 'custody',
    invariant: 'I2',
    step: (step) => (step.op === 'revoke' ? nothing : step),
    enter: ({ replica }) => {
      replica.fence = () => idle(undefined);
    },
  },
  {
    name: 'who recovers judges before it has taken the words',
    search: 'custody',
    invariant: 'I6',
    enter: ({ allocator }) => {
      const { recover } = allocator;
      allocator.recover = function* (this: typeof allocator, from) {
        const groups = yield* recover.call(this, from);
        // As if the log had been read before: what is named since is not seen.
        this.judge(this.suspects(), () => false, 0);
        return groups;
      };
    },
  },
  {
    name: 'who recovers does not seal the root, nor shuts the dead one out',
    search: 'fenced-snapshot',
    invariant: 'I7',
    step: (step) => (step.op === 'revoke' ? nothing : step),
    enter: ({ replica }) => {
      replica.seal = () => idle(undefined);
    },
  },
  {
    name: 'a recovered principal is free before its words are',
    search: 'two-recoverers',
    invariant: 'R2',
    enter: ({ allocator }) => {
      allocator.recover = () => idle(0);
    },
  },
  {
    name: 'an adopter does not shut the dead one out',
    search: 'adopt-extent',
    invariant: 'I5',
    step: (step) => (step.op === 'revoke' ? nothing : step),
  },
  {
    name: 'an adopted principal is taken for one to recover',
    search: 'adopt-adopt',
    invariant: 'I5',
    step: (step, { plot }) => {
      if (step.op !== 'compareExchange' || step.offset !== principalWordOffset(plot.geometry, 1)) return step;
      return (step.expected & 0xffn) === 0n ? { ...step, expected: step.expected | 0xffn } : step;
    },
    answer: (step, result, { plot }) => {
      const first = principalWordOffset(plot.geometry, 1);
      if (step.op === 'compareExchange' && step.offset === first && (step.expected & 0xffn) === 0n) {
        return result === (step.expected | 0xffn) ? step.expected : result;
      }
      if (step.op !== 'read' || step.offset !== first) return result;
      const { bytes } = step;
      for (let at = 0; at < bytes.length; at += 8) bytes[at] = 0;
      return result;
    },
  },
  {
    name: 'a snapshot forgets who is fenced',
    search: 'fence-then-snapshot',
    invariant: 'I7',
    enter: ({ replica }) => forgetful(replica, (state) => state.fences),
  },
  {
    name: 'a snapshot forgets how far each author is',
    search: 'snapshots',
    invariant: 'I7',
    enter: ({ replica }) => forgetful(replica, (state) => state.sequences),
  },
  {
    name: 'a snapshot forgets what is kept',
    search: 'keep-and-snapshot',
    invariant: 'I7',
    enter: ({ replica }) => forgetful(replica, (state) => state.kept),
  },
  {
    name: 'a truncation goes one slot beyond the snapshot',
    search: 'lap-by-two',
    invariant: 'I7',
    instead: (step, actor) => {
      if (!isBatch(step) || !step.steps.every((one) => one.op === 'compareExchange' && isSlot(actor, one.offset)))
        return undefined;
      const last = step.steps.at(-1);
      const { geometry } = actor.plot;
      if (last?.op !== 'compareExchange') return undefined;
      const offset = geometry.logOffset + ((last.offset - geometry.logOffset + 8) % (geometry.logSlots * 8));
      return (function* (): Protocol<StepResult> {
        const expected = (yield load(offset)) as bigint;
        const beyond = { ...last, offset, expected, desired: ((expected >> 42n) + 1n) << 42n };
        const answer = (yield { ...step, steps: [...step.steps, beyond] }) as BatchAnswer;
        return answer.slice(0, -1);
      })();
    },
  },
  {
    name: 'a place in an arena is used again although the log points at it still',
    search: 'arena-reuse',
    invariant: 'I7',
    enter: ({ arena }) => {
      const { find } = arena;
      arena.find = function (this: typeof arena, bytes) {
        this.forget(Number.MAX_SAFE_INTEGER);
        return find.call(this, bytes);
      };
    },
  },
  {
    name: 'a snapshot swings the root without having read it again',
    search: 'snapshots',
    invariant: 'I7',
    slow: true,
    instead: (step, { plot }) => {
      const root = plot.geometry.controlOffset + controlFields.root;
      if (step.op !== 'compareExchange' || step.offset !== root) return undefined;
      return (function* (): Protocol<StepResult> {
        for (;;) {
          const now = (yield load(root)) as bigint;
          const desired = (((now >> 36n) + 1n) << 36n) | (step.desired & 0xf_ffff_ffffn);
          if ((yield { ...step, expected: now, desired }) === now) return step.expected;
        }
      })();
    },
  },
  {
    name: 'pages are swept before everybody has published that their name is gone',
    search: 'reader',
    invariant: 'I12',
    slow: true,
    enter: ({ allocator }) => {
      const { sweep } = allocator;
      allocator.sweep = function (this: typeof allocator) {
        return sweep.call(this, Number.MAX_SAFE_INTEGER);
      };
    },
  },
  {
    name: 'pages are swept without the log being read to its end behind what was published',
    search: 'keep',
    invariant: 'I6',
    custodian: stale,
  },
  {
    name: 'suspects are judged by an old reading of the log',
    search: 'receive-unlink',
    invariant: 'I6',
    custodian: stale,
  },
  {
    name: 'what a member has applied is published before it keeps its open file',
    search: 'keep',
    invariant: 'I6',
    enter: (actor) => {
      actor.lowest = () => actor.replica.index;
    },
  },
  {
    name: 'what was given away and is taken on is thought to be lost to a death',
    search: 'hand-over-to-leaver',
    invariant: 'I4',
    thrown: (step, error, { plot, identity }) => {
      if (!interrupted(error) || step.op !== 'compareExchange') return undefined;
      if (step.offset !== principalWordOffset(plot.geometry, identity.principal)) return undefined;
      return { answer: step.expected + 1n };
    },
  },
  {
    name: 'a member that is joining is watched by nobody',
    search: 'newcomer',
    invariant: 'I12',
    slow: true,
    answer: (step, result, actor) => {
      if (step.op !== 'read' || !isMemberWord(actor, step.offset)) return result;
      const { bytes } = step;
      for (let at = 0; at + 8 <= bytes.length; at += memberStride) {
        if (bytes[at + 7]! >> 4 === 1) bytes[at + 7] = bytes[at + 7]! & 15;
      }
      return result;
    },
  },
  {
    name: 'who writes to a page of a file has not pinned its lookup',
    search: 'write-and-reuse',
    invariant: 'I9',
    slow: true,
    unpinned: true,
  },
  {
    name: 'a lease counts from when the answer came',
    search: 'lease',
    invariant: 'L1',
    leaseFromReply: true,
  },
  {
    name: 'who watches takes a word for seen since before it looked',
    search: 'lease',
    invariant: 'L1',
    answer: (step, result, actor) => {
      if (step.op !== 'now' || actor.name === 'A') return result;
      const before = glances.get(actor);
      if (before === undefined) glances.set(actor, result as number);
      else glances.delete(actor);
      return before ?? result;
    },
  },
  {
    name: 'who watches waits no longer than a lease lasts, and its clock is fast',
    search: 'lease',
    invariant: 'L1',
    impatient: true,
  },
  {
    name: 'a beat whose answer is lost is taken for done',
    search: 'two-lanes-append',
    invariant: 'I11',
    thrown: (step, error, actor) => {
      const [first] = isBatch(step) ? step.steps : [];
      if (!interrupted(error) || first?.op !== 'compareExchange' || !isMemberWord(actor, first.offset))
        return undefined;
      return { answer: [first.expected, undefined, 0n, 0n] };
    },
  },
  {
    name: 'a snapshot of several runs is swung to before the last one is written',
    search: 'snapshot-of-runs',
    invariant: 'I7',
    step: (step, { plot }) => {
      const last = step.op === 'write' && step.offset >= plot.reserveOffset && step.offset % 4096 === 0;
      return last && step.bytes.length > 64 ? nothing : step;
    },
  },
  {
    name: 'nobody looks for principals that were handed to one who had died',
    search: 'hand-over',
    invariant: 'I10',
    slow: true,
    blind: true,
  },
  {
    name: 'who leaves does not end the files that end with it',
    search: 'owner-leaves',
    invariant: 'R3',
    enter: ({ replica }) => {
      replica.disown = () => idle(undefined);
    },
  },
  {
    name: 'the fence of whom somebody adopts says that it is dead',
    search: 'wait-owner-adopted',
    invariant: 'R3',
    enter: ({ replica }) => {
      const { fence } = replica;
      replica.fence = (principal, incarnation) => fence.call(replica, principal, incarnation);
    },
  },
  {
    name: 'the fence of the dead says that it is adopted',
    search: 'owner-makes',
    invariant: 'I10',
    enter: ({ replica }) => {
      const { fence } = replica;
      replica.fence = (principal, incarnation) => fence.call(replica, principal, incarnation, true);
    },
  },
  {
    name: 'a thread that beats is told of more than what is being read allows',
    search: 'reader-apart',
    invariant: 'I12',
    slow: true,
    enter: (actor) => {
      actor.lowest = () => actor.replica.index;
    },
  },
  {
    name: 'who goes on beating does so in the old epoch of the lane',
    search: 'beats-passed-on',
    invariant: 'I4',
    step: (step) => (step.op === 'renew' ? nothing : step),
  },
  {
    name: 'who goes on beating believes what it was told of the last beat',
    search: 'beats-passed-on',
    invariant: 'I4',
    step: (step, { plot, member }) =>
      step.op === 'load' && step.offset === bindingOf(plot.geometry, member.slot, member.incarnation).offset
        ? { answer: member.word }
        : step,
  },
  {
    name: 'a page is taken away from a reader although it has pinned its lookup',
    search: 'reader',
    invariant: 'I12',
    slow: true,
    enter: (actor) => {
      actor.lowest = () => actor.replica.index;
    },
  },
  {
    name: 'an adopter re-tags what has a higher incarnation than its own',
    search: 'wait-adopt-twice',
    invariant: 'R1',
    slow: true,
    policy: (policy) => ({
      ...policy,
      create: (context) => {
        const allocator = policy.create(context);
        const { principal, incarnation } = context.identity;
        const { inherit } = allocator;
        allocator.inherit = () => higherAsLower(inherit.call(allocator), principal, incarnation, context.geometry);
        return allocator;
      },
    }),
  },
  {
    name: 'an adopter believes the structure without having read the principal again',
    search: 'wait-adopt-twice',
    invariant: 'I5',
    slow: true,
    answer: (step, result, { name, plot, identities }) => {
      const mine = identities.at(-1)!;
      // It reads the table, and the principal behind it.
      if (name !== 'B' || mine.principal !== 1 || step.op !== 'batch' || step.steps[0]?.op !== 'read') return result;
      const own = principalWordOffset(plot.geometry, 1);
      return (result as BatchAnswer).map((word, at) => (step.steps[at]!.offset === own ? mine.word : word));
    },
  },
  {
    name: 'an adopted principal is ACTIVE before its words are re-tagged',
    search: 'wait-adopt',
    invariant: 'I5',
    policy: (policy) => ({
      ...policy,
      create: (context) => Object.assign(policy.create(context), { inherit: () => idle(0) }),
    }),
  },
  {
    name: 'an adopter takes a principal as if the dead were shut out',
    search: 'wait-adopt',
    invariant: 'I2',
    inPlace: true,
  },
  {
    name: 'a scrub takes the words of a principal that is being adopted',
    search: 'wait-adopt-scrub',
    invariant: 'R1',
    answer: (step, result, { name, plot }) => {
      const { principalOffset } = plot.geometry;
      if (name !== 'C') return result;
      if (step.op === 'read' && step.offset === principalOffset + 8) {
        const { bytes } = step;
        for (let at = 7; at < bytes.length; at += 8) if (bytes[at]! >> 4 === 3) bytes[at] = (bytes[at]! & 15) | 0x20;
      }
      if (step.op === 'load' && step.offset === principalOffset + 8 && (result as bigint) >> 60n === 3n) {
        return (result as bigint) ^ (1n << 60n);
      }
      return result;
    },
  },
  {
    name: 'who recovers an adopter takes what it was adopting for its own',
    search: 'wait-adopt-twice',
    invariant: 'I5',
    answer: (step, result, { plot }) => {
      if (step.op !== 'read' || step.offset !== plot.geometry.principalOffset + 8) return result;
      const { bytes } = step;
      for (let at = 0; at < bytes.length; at += 8) if (bytes[at + 7]! >> 4 === 3) bytes[at] = 0;
      return result;
    },
    step: (step, { plot }) => {
      if (step.op !== 'compareExchange' || step.offset !== principalWordOffset(plot.geometry, 1)) return step;
      return (step.expected & 0xffn) === 0n ? { ...step, expected: step.expected | 0xffn } : step;
    },
  },
  {
    name: 'a page is given out again: what was given out before is forgotten',
    search: 'allocate-recover',
    invariant: 'I1',
    enter: ({ allocator }) => {
      const { allocate } = allocator;
      let first: Extent | undefined;
      allocator.allocate = function* (request) {
        if (first?.live && first.pages === request.pages) return first;
        first = yield* allocate.call(allocator, request);
        return first;
      };
    },
  },
  {
    name: 'a page counts as given back before anybody was told so',
    search: 'allocate',
    invariant: 'I3',
    step: (step, actor) => {
      if (isBatch(step) || step.op !== 'compareExchange' || !isGroup(actor, step.offset)) return step;
      return step.expected >> 32n === step.desired >> 32n ? { answer: step.expected } : step;
    },
  },
  {
    name: 'a run that is longer than a group is refused without a look',
    search: 'extents',
    invariant: 'I13',
    enter: ({ allocator, plot }) => {
      const { allocate } = allocator;
      allocator.allocate = function* (request) {
        if (request.pages > plot.geometry.groupPages) {
          yield* idle(undefined);
          throw new ExomemError('RegionFull', 'there is surely no room for that');
        }
        return yield* allocate.call(allocator, request);
      };
    },
  },
  {
    name: 'a hint is trusted: a claim counts as granted whatever was there',
    search: 'allocate',
    invariant: 'I2',
    answer: (step, result, actor) => {
      if (!isBatch(step) || !Array.isArray(result)) return result;
      return result.map((one, at) => {
        const asked = step.steps[at]!;
        const claims = asked.op === 'compareExchange' && isGroup(actor, asked.offset) && asked.expected >> 48n === 0n;
        return claims && typeof one === 'bigint' ? asked.expected : one;
      });
    },
  },
  {
    name: 'who watches goes by a wall clock, which is set forward between two looks',
    search: 'lease',
    invariant: 'L1',
    answer: (step, result, actor) => {
      if (step.op !== 'now' || actor.name === 'A') return result;
      const looks = (looksOf.get(actor) ?? 0) + 1;
      looksOf.set(actor, looks);
      return (result as number) + (looks > 2 ? 4000 : 0);
    },
  },
  {
    name: 'who recovers puts zero where the dead had something',
    search: 'custody',
    invariant: 'answer',
    step: (step, actor) => {
      const zeroes = (one: MemoryStep): MemoryStep => {
        if (one.op !== 'compareExchange' || !isGroup(actor, one.offset)) return one;
        const owner = Number(one.expected >> 48n);
        return owner === 0 || owner === actor.identity.principal ? one : { ...one, desired: 0n };
      };
      if (isBatch(step)) return { ...step, steps: step.steps.map(zeroes) };
      return step.op === 'compareExchange' ? (zeroes(step) as WordStep) : step;
    },
  },
  ...messageMutants,
  {
    name: 'a lock is taken from who is declared dead without shutting it out',
    search: 'lock-of-three',
    invariant: 'N1',
    step: (step) => (step.op === 'revoke' ? nothing : step),
  },
  {
    name: 'a lock counts as taken whatever its word was meanwhile',
    search: 'lock',
    invariant: 'N1',
    answer: (step, result, actor) => {
      if (!isBatch(step) || !Array.isArray(result)) return result;
      return result.map((one, at) => {
        const asked = step.steps[at]!;
        const takes = asked.op === 'compareExchange' && asked.offset >= actor.plot.geometry.dataOffset;
        return takes && typeof one === 'bigint' ? asked.expected : one;
      });
    },
  },
  {
    name: 'who cleans does not claim what it zeroes',
    search: 'clean',
    invariant: 'I9',
    enter: (actor) => {
      cleanOtherwise(actor, (step) => {
        // As if nobody could have been faster.
        if (!isBatch(step) || isData(actor, step)) return undefined;
        return { answer: step.steps.map((one) => (one.op === 'compareExchange' ? one.expected : actor.identity.word)) };
      });
    },
  },
  {
    name: 'who cleans says so before it has zeroed',
    search: 'clean',
    invariant: 'I12',
    enter: (actor) => {
      cleanOtherwise(actor, (step) => (isData(actor, step) ? { later: step } : undefined));
    },
  },
  {
    name: 'who frees where pages are to be zero says so before it has zeroed',
    search: 'wipe',
    invariant: 'I12',
    enter: (actor) => {
      const { free } = actor.allocator;
      actor.allocator.free = (extent) =>
        reordered(free.call(actor.allocator, extent), (step) => (isData(actor, step) ? { later: step } : undefined));
    },
  },
];

/** Words of that principal with another incarnation than its own look as if they were of the one before; and are found. */
function* higherAsLower<T>(inner: Protocol<T>, principal: number, own: number, geometry: Geometry): Protocol<T> {
  const real = new Map<bigint, bigint>();
  const { groupOffset, groupCount } = geometry;
  const isWord = (offset: number): boolean => offset >= groupOffset && offset < groupOffset + groupCount * 8;
  const fence = principalWordOffset(geometry, principal);
  let fenced: bigint | undefined;
  let state = inner.next();
  while (!state.done) {
    let step = state.value;
    if (step.op === 'batch') {
      const steps = step.steps.map((one) =>
        one.op === 'compareExchange' ? { ...one, expected: real.get(one.expected) ?? one.expected } : one,
      );
      step = { ...step, steps };
    }
    let result: StepResult;
    try {
      result = yield step;
    } catch (error) {
      state = inner.throw(error);
      continue;
    }
    if (step.op === 'read' && isWord(step.offset)) {
      const words = new BigUint64Array(step.bytes.buffer, step.bytes.byteOffset, step.bytes.byteLength / 8);
      for (const [at, word] of words.entries()) {
        if (Number(word >> 48n) !== principal || Number((word >> 32n) & 0xffffn) <= own) continue;
        const lower = (word & ~(0xffffn << 32n)) | (BigInt(own - 1) << 32n);
        real.set(lower, word);
        words[at] = lower;
      }
    }
    // Nor does it look whether the principal is its own still.
    if (step.op === 'load' && step.offset === fence) result = fenced ??= result as bigint;
    if (step.op === 'batch' && Array.isArray(result)) {
      const asked = state.value as BatchStep;
      result = result.map((one, at) => {
        const now = step.op === 'batch' ? step.steps[at]! : undefined;
        if (now?.op === 'load' && now.offset === fence) return fenced ?? one;
        return now?.op === 'compareExchange' && one === now.expected ? (asked.steps[at] as WordStep).expected : one;
      });
    }
    state = inner.next(result);
  }
  return state.value;
}

/** While a snapshot is cut, that map looks empty to whoever goes through it. */
function forgetful(
  replica: Actor['replica'],
  part: (state: Actor['replica']['state']) => ReadonlyMap<unknown, unknown>,
): void {
  const { snapshot } = replica;
  replica.snapshot = function* (this: typeof replica) {
    const inner = snapshot.call(this);
    let state = inner.next();
    while (!state.done) {
      let result: StepResult;
      try {
        result = yield state.value;
      } catch (error) {
        state = inner.throw(error);
        continue;
      }
      const map = part(this.state);
      const hidden = map as { size: number; [Symbol.iterator]: unknown };
      Object.defineProperty(hidden, 'size', { value: 0, configurable: true });
      Object.defineProperty(hidden, Symbol.iterator, { value: () => [].values(), configurable: true });
      try {
        state = inner.next(result);
      } finally {
        Reflect.deleteProperty(hidden, 'size');
        Reflect.deleteProperty(hidden, Symbol.iterator);
      }
    }
  };
}

/** The log is not read again. */
function stale(custodian: MemberCustodian): MemberCustodian {
  const { replica } = custodian;
  const frozen = {
    catchUp: () => idle(0),
    get state() {
      return replica.state;
    },
  };
  return { ...custodian, replica: frozen as unknown as NamespaceReplica };
}
