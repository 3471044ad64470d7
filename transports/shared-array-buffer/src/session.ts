import { threadId } from 'node:worker_threads';
import type { BatchAnswer, Capabilities, MemberBinding, MemoryStep, RegionMemory } from '@exomem/core';
import { ExomemError, notRun, SessionBase } from '@exomem/core';
import type { Place, Roster } from './roster.js';

const withoutRoster: Capabilities = {
  synchronous: true,
  mapped: true,
  atomics: 'host',
  // Nothing is framed and nothing is buffered: a step is as long as its buffer, a batch as long as its array.
  maxTransfer: 2 ** 52,
  maxBatch: 2 ** 32 - 1,
  stopOnFail: true,
  sessionFence: true,
  revoke: 'none',
  watch: false,
};
/** No thread can be shut out of memory that it has; that it has ended can be known. */
const withRoster: Capabilities = { ...withoutRoster, revoke: 'proof' };

/** The states of a member word in which a lane may be bound to the member. */
const JOINING = 1;
const ACTIVE = 2;

/**
 * A lane over memory that this thread shares. Each step is done when its call returns, so nothing is ever in flight,
 * no outcome is unknown, and an earlier epoch has nothing left that could land.
 */
export class SharedArrayBufferSession extends SessionBase {
  readonly capabilities: Capabilities;
  readonly size: number;
  readonly where: string;
  readonly #memory: RegionMemory;
  readonly #roster: Roster | undefined;
  /** Where the roster has this lane, while it is bound. */
  #place: Place | undefined;
  readonly #onClose: (session: SharedArrayBufferSession) => void;
  #epoch: number;
  /** Why every step of this lane is refused; undefined while none is. */
  #fence: string | undefined;
  #bound: MemberBinding | undefined;
  /** An epoch takes one bind: a refused one spoils it. */
  #spent = false;
  #superseded = false;

  constructor(
    { memory, roster }: { readonly memory: RegionMemory; readonly roster: Roster | undefined },
    where: string,
    epoch: number,
    onClose: (session: SharedArrayBufferSession) => void,
  ) {
    super();
    this.#memory = memory;
    this.#roster = roster;
    this.capabilities = roster === undefined ? withoutRoster : withRoster;
    this.size = memory.size;
    this.where = where;
    this.#epoch = epoch;
    this.#onClose = onClose;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** A later epoch of the same lane was opened elsewhere: this one is over. */
  supersede(): void {
    this.#superseded = true;
    this.#leave();
    this.#fence = 'a later session of this lane took its place';
  }

  protected doLoad(offset: number): bigint {
    if (this.#fence !== undefined) this.#refuse();
    return this.#memory.load(offset);
  }

  protected doRead(offset: number, target: Uint8Array): undefined {
    if (this.#fence !== undefined) this.#refuse();
    this.#memory.read(offset, target);
  }

  protected doWrite(offset: number, source: Uint8Array): undefined {
    if (this.#fence !== undefined) this.#refuse();
    this.#memory.write(offset, source);
  }

  protected doCompareExchange(offset: number, expected: bigint, desired: bigint): bigint {
    if (this.#fence !== undefined) this.#refuse();
    return this.#memory.compareExchange(offset, expected, desired);
  }

  protected doFetchAdd(offset: number, delta: bigint): bigint {
    if (this.#fence !== undefined) this.#refuse();
    return this.#memory.fetchAdd(offset, delta);
  }

  protected doBatch(steps: readonly MemoryStep[], stopOnFail: boolean): BatchAnswer {
    if (this.#fence !== undefined) this.#refuse();
    const memory = this.#memory;
    const answers: BatchAnswer = new Array(steps.length);
    for (let at = 0; at < steps.length; at += 1) {
      const step = steps[at]!;
      switch (step.op) {
        case 'compareExchange': {
          const observed = memory.compareExchange(step.offset, step.expected, step.desired);
          answers[at] = observed;
          if (stopOnFail && observed !== step.expected) return answers.fill(notRun, at + 1);
          break;
        }
        case 'load':
          answers[at] = memory.load(step.offset);
          break;
        case 'fetchAdd':
          answers[at] = memory.fetchAdd(step.offset, step.desired);
          break;
        case 'read':
          memory.read(step.offset, step.bytes);
          answers[at] = undefined;
          break;
        case 'write':
          memory.write(step.offset, step.bytes);
          answers[at] = undefined;
          break;
      }
    }
    return answers;
  }

  protected doBind(member: MemberBinding): undefined {
    if (this.#superseded) this.#refuse();
    const same = this.#bound?.slot === member.slot && this.#bound.incarnation === member.incarnation;
    if (this.#spent && !(same && this.#fence === undefined)) {
      this.#fence ??= 'the lane was bound to another member before';
      this.#refuse();
    }
    this.#spent = true;
    const { slot, incarnation, offset } = member;
    this.#place ??= this.#roster?.enter(slot, incarnation, threadId);
    if (!isAlive(this.#memory.load(offset), incarnation) || this.#roster?.isRevoked(slot, incarnation)) {
      this.#leave();
      this.#fence = `member ${slot} is not alive as incarnation ${incarnation}`;
      this.#refuse();
    }
    this.#bound = member;
    this.#fence = undefined;
  }

  /**
   * Nothing is ever unsettled here, so a lane that is whole keeps its epoch. A fenced one gets an epoch in which it
   * may be bound again, and stays fenced until it is.
   */
  protected doRenew(force: boolean): undefined {
    if (this.#superseded) this.#refuse();
    if (this.#fence === undefined && !force) return;
    this.#epoch += 1;
    this.#spent = false;
    this.#bound = undefined;
    this.#leave();
  }

  /** No thread can be stopped: this only finds out whether those of that member have ended. */
  protected doRevoke({ slot, incarnation, offset }: MemberBinding): undefined {
    if (this.#fence !== undefined) this.#refuse();
    const word = this.#memory.load(offset);
    const alive = isAlive(word, incarnation);
    // Who has won a slot and died before it bound a lane has never done anything; it is kept from doing so.
    const standing = this.#roster!.revoke(slot, incarnation, alive && stateOf(word) === JOINING);
    if (standing === 'over' || (standing === 'unknown' && !alive)) return;
    const why = standing === 'bound' ? 'its thread has not ended' : 'no thread of this process has bound a lane to it';
    throw new ExomemError('Unproven', `member ${slot} may still act: ${why}`, { where: this.where });
  }

  protected override doView(offset: number, length: number): Uint8Array {
    if (this.#fence !== undefined) this.#refuse();
    return this.#memory.view(offset, length);
  }

  protected override doWindows(offset: number, length: number): Uint8Array[] {
    if (this.#fence !== undefined) this.#refuse();
    return this.#memory.windows(offset, length);
  }

  protected doClose(): undefined {
    this.#leave();
    this.#onClose(this);
  }

  #leave(): void {
    if (this.#place !== undefined) this.#roster?.leave(this.#place);
    this.#place = undefined;
  }

  #refuse(): never {
    throw new ExomemError('Fenced', `this lane is fenced: ${this.#fence}`, { where: this.where });
  }
}

/** Whether a member word `{state:4 | inc:20 | beat:40}` shows the incarnation joining or active. */
function isAlive(word: bigint, incarnation: number): boolean {
  const state = stateOf(word);
  return (state === JOINING || state === ACTIVE) && Number((word >> 40n) & 0xfffffn) === incarnation;
}

function stateOf(word: bigint): number {
  return Number(word >> 60n);
}
