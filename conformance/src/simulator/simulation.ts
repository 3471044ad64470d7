import {
  type ControlStep,
  decodeMember,
  type ErrorCode,
  ExomemError,
  isExomemError,
  type MemberBinding,
  memberState,
  type Protocol,
  type Step,
  type StepResult,
} from '@exomem/core';
import { Chronicle, type Namer } from './chronicle.js';
import { type Operation, type Outcome, SimulatedClient, Task } from './client.js';
import { Execution, type Grain, uniform } from './execution.js';
import type { SimulatedMemory } from './memory.js';

/** What may happen next. */
export type Action =
  /** The pending step of an operation happens, or its next piece. */
  | { readonly kind: 'step'; readonly task: Task }
  /** A client begins its next operation. */
  | { readonly kind: 'begin'; readonly client: SimulatedClient }
  /** A piece of a step whose reply was lost happens after all. */
  | { readonly kind: 'land'; readonly client: SimulatedClient }
  /**
   * The reply to a step is lost (`lose`), or the caller gives up while it is under way (`abort`). So many more pieces of
   * it happen at once, the others may land later, or never.
   */
  | { readonly kind: 'lose' | 'abort'; readonly task: Task; readonly pieces: number }
  /** A client dies between two steps. */
  | { readonly kind: 'crash'; readonly client: SimulatedClient };

/** What a transport does to steps, where that is less than the contract asks for. */
export interface TransportModel {
  /** False: what was sent in an earlier epoch of a lane may land in a later one. Default true. */
  readonly sessionFence?: boolean;
  /** `none`: nobody can be shut out; who was declared dead goes on, and what it sent lands. Default `immediate`. */
  readonly revoke?: 'immediate' | 'none';
  /** Bytes that a read or write moves at a time. Default 16 for what is short, and a page. */
  readonly grain?: number | Grain;
}

export interface SimulationOptions {
  /** Default: one that keeps the contract. */
  readonly transport?: TransportModel;
  /** Bytes that a short read or write moves at a time, or how many any moves. Default 16. */
  readonly grain?: number | Grain;
  /** Time stands still: a pause is a step like any other. */
  readonly timeless?: boolean;
  /** Whoever makes the clients go on says what time it is: to ask for it is a step like any other. */
  readonly timed?: boolean;
  /** Turns after which the whole counts as going round in circles. Default 100,000. */
  readonly limit?: number;
  /** Writes down what happens, for people. */
  readonly chronicle?: boolean;
  /** Names what lies at an offset: `group 3`. */
  readonly namer?: Namer;
}

/** Looks at a word that stands still, between which others have their turns, until its time is over. */
const looks = 50;

/** Turns of others that are as long as any word is watched. */
const longWatch = 1500;

/** A simulation went on for longer than anything of it should. */
export class Endless extends Error {
  override readonly name = 'Endless';
}

/**
 * Clients that run the very protocols of the library over one simulated memory, a step at a time, in whatever order
 * the caller says. Time and chance are numbers in here.
 */
export class Simulation {
  readonly memory: SimulatedMemory;
  readonly clients: SimulatedClient[] = [];
  readonly chronicle: Chronicle | undefined;
  /** Actions performed so far. */
  turn = 0;
  /** Who acts just now. */
  actor: Task | undefined;
  /** Bytes that a transfer moves at a time. */
  readonly grain: Grain;
  readonly transport: TransportModel;
  readonly #timeless: boolean;
  readonly #timed: boolean;
  #limit: number;
  #clock = 0;
  /** The client that acted last. */
  #turnOf = 0;
  /** What went on last goes on, */
  #current: Task | undefined;
  /** unless it waits for others. */
  #waits = false;
  /** Nobody has anything to do but to watch a word. */
  #idle = false;

  constructor(memory: SimulatedMemory, options: SimulationOptions = {}) {
    this.memory = memory;
    const { transport = {} } = options;
    const { grain = transport.grain ?? 16 } = options;
    this.transport = transport;
    this.grain = typeof grain === 'number' ? uniform(grain) : grain;
    this.#timeless = options.timeless ?? false;
    this.#timed = options.timed ?? false;
    this.#limit = options.limit ?? 100_000;
    if (options.chronicle) this.chronicle = new Chronicle(options.namer);
  }

  addClient(name: string, operations: readonly Operation[] = [], concurrency = 1): SimulatedClient {
    const client = new SimulatedClient(this.clients.length, name, concurrency);
    client.queue.push(...operations);
    this.clients.push(client);
    return client;
  }

  /** Whether every client that lives has come to the end of its operations. */
  get quiet(): boolean {
    return this.clients.every((client) => client.dead || client.idle);
  }

  /**
   * What may happen next without a fault. The first goes on with what went on last, so that a schedule of zeros runs
   * one operation after the other.
   */
  actions(): Action[] {
    const actions: Action[] = [];
    for (let at = 0; at < this.clients.length; at++) {
      const client = this.clients[(this.#turnOf + at) % this.clients.length]!;
      if (client.dead) continue;
      for (const task of client.tasks) {
        if (!this.#ready(task)) continue;
        if (task === this.#current) actions.unshift({ kind: 'step', task });
        else actions.push({ kind: 'step', task });
      }
      if (client.ready) actions.push({ kind: 'begin', client });
    }
    // Time goes on for whoever watches a word when nobody else has more to do than to wait, a little at a time.
    if (actions.every(isPause)) {
      this.#idle = actions.length === 0;
      for (const client of this.clients) {
        if (client.dead) continue;
        for (const task of client.tasks) if (isWatch(task.pending)) actions.push({ kind: 'step', task });
      }
    }
    // Whoever waits lets those go first that have waited longer.
    if (this.#waits) actions.sort((one, other) => lastTurn(one) - lastTurn(other));
    for (const client of this.clients) if (client.limbo.length > 0) actions.push({ kind: 'land', client });
    return actions;
  }

  perform(action: Action): void {
    if (++this.turn > this.#limit) throw new Endless(`no end after ${this.#limit} steps`);
    switch (action.kind) {
      case 'begin':
        this.#begin(action.client);
        break;
      case 'step':
        this.#step(action.task);
        break;
      case 'land':
        this.#land(action.client);
        break;
      case 'lose':
        this.#lose(action.task, action.pieces, 'OutcomeUnknown');
        break;
      case 'abort':
        this.#lose(action.task, action.pieces, 'Aborted');
        break;
      case 'crash':
        this.chronicle?.event(action.client, 'crashes');
        action.client.dead = true;
    }
  }

  /** It may go on for so many turns more. */
  extend(turns: number): void {
    this.#limit += turns;
  }

  /**
   * Runs an operation of a client to its end, with nobody else in between. Others stay where they are.
   * @param waits lets others do what it waits for
   */
  runAlone(client: SimulatedClient, operation: Operation, waits?: () => void): void {
    const { queue } = client;
    const rest = queue.splice(0, queue.length);
    queue.push(operation);
    this.#begin(client);
    const task = client.tasks.find((one) => one.operation === operation);
    while (task !== undefined && client.tasks.includes(task)) {
      if (waits !== undefined && isWatch(task.pending) && !this.#ready(task)) waits();
      this.perform({ kind: 'step', task });
    }
    queue.push(...rest);
  }

  /** Runs a protocol to its end at this very instant and as no client: to look at what is there. */
  glance<T>(protocol: Protocol<T>): T {
    let state = protocol.next();
    while (!state.done) {
      const step = state.value;
      if (isControl(step)) throw new Error(`who only looks has no use for ${step.op}`);
      const execution = new Execution(step, () => this.memory.size);
      while (!execution.done) execution.advance(this.memory);
      state = protocol.next(execution.result);
    }
    return state.value;
  }

  // ---- a client by itself, for whoever knows what it is told

  /** It begins its next operation. */
  begin(client: SimulatedClient): void {
    this.#begin(client);
  }
  /** It is told what became of the step that it waits for. */
  tell(task: Task, result: StepResult): void {
    this.#answer(task, result);
  }
  /** That step fails. */
  fail(task: Task, code: ErrorCode, what: string): void {
    this.#throw(task, code, what);
  }

  // ---- what happens

  #ready(task: Task): boolean {
    const { client, pending } = task;
    if (client.dead || pending === undefined) return false;
    if (isWatch(pending)) {
      const long = this.turn - task.turn >= longWatch;
      return client.fenced || long || this.memory.load(pending.offset) !== pending.word;
    }
    if (pending instanceof Execution || pending.op !== 'drain') return true;
    // Until what is on its way has arrived; if everybody waits for that, the lane begins a new epoch by itself.
    if (client.limbo.length === 0 && !client.tasks.some((one) => underWay(one.pending))) return true;
    return client.tasks.every((one) => !(one.pending instanceof Execution) && one.pending?.op === 'drain');
  }

  #turn(task: Task): void {
    this.#turnOf = task.client.index;
    this.#current = task;
    this.#waits = false;
    task.turn = this.turn;
  }

  #begin(client: SimulatedClient): void {
    const operation = client.queue.shift()!;
    client.turn = this.turn;
    const protocol = operation.start();
    if (protocol === undefined) return;
    const task = new Task(client, operation, protocol);
    client.tasks.push(task);
    this.#turn(task);
    this.#resume(task, () => protocol.next());
  }

  #step(task: Task): void {
    const { client, pending } = task;
    const long = this.turn - task.turn >= longWatch;
    this.#turn(task);
    if (pending instanceof Execution) {
      if (client.fenced) this.#throw(task, 'Fenced', 'this lane was shut out');
      else if (this.#advance(task, pending) && pending.done) this.#answer(task, pending.result);
      return;
    }
    this.chronicle?.control(task, pending!);
    this.#control(task, pending!, long);
  }

  #advance(task: Task, execution: Execution): boolean {
    this.actor = task;
    try {
      const effect = execution.advance(this.memory);
      this.chronicle?.effect(task, effect);
      return true;
    } catch (error) {
      if (!isExomemError(error)) {
        // Whoever watches the memory objects to what just happened.
        this.chronicle?.effect(task, execution.next);
        throw error;
      }
      this.#throw(task, error.code, error.message);
      return false;
    } finally {
      this.actor = undefined;
    }
  }

  #control(task: Task, step: ControlStep, long: boolean): void {
    const { client } = task;
    switch (step.op) {
      case 'pause':
        if (!this.#timeless) this.#clock += step.milliseconds;
        this.#answer(task, undefined);
        this.#current = undefined;
        this.#waits = true;
        return;
      case 'renew':
        this.#newEpoch(client, task);
        this.#answer(task, undefined);
        return;
      case 'drain':
        client.limbo = [];
        this.#answer(task, undefined);
        return;
      case 'bind': {
        const { state, incarnation } = decodeMember(this.memory.load(step.member.offset));
        const alive = state === memberState.joining || state === memberState.active;
        if (!alive || incarnation !== step.member.incarnation) {
          client.fenced = true;
          this.#throw(task, 'Fenced', 'the member is not alive');
          return;
        }
        client.binding = step.member;
        this.#answer(task, undefined);
        return;
      }
      case 'revoke':
        this.revoke(step.member);
        this.#answer(task, undefined);
        return;
      case 'watch': {
        if (client.fenced) {
          this.#throw(task, 'Fenced', 'this lane was shut out');
          return;
        }
        const changed = this.memory.load(step.offset) !== step.word;
        if (!changed && !this.#timeless) this.#clock += step.milliseconds / looks;
        this.#current = undefined;
        this.#waits = true;
        if (changed) this.#answer(task, 0);
        else if (this.#idle || long || ++task.looks >= looks) this.#answer(task, 1);
        return;
      }
      case 'now':
        this.#answer(task, this.#clock);
        return;
      case 'wallClock':
      case 'random':
        throw new Error('is answered at once');
    }
  }

  /** Shuts out who is bound to that member, at once and for good. */
  revoke({ slot, incarnation }: MemberBinding): void {
    if (this.transport.revoke === 'none') return;
    for (const client of this.clients) {
      if (client.binding?.slot !== slot || client.binding.incarnation !== incarnation) continue;
      client.fenced = true;
      client.limbo = [];
    }
  }

  /** Nothing of the lane's earlier epochs lands any more. What was half done is answered by nobody. */
  #newEpoch(client: SimulatedClient, except: Task): void {
    const { lane = 0 } = except.operation;
    if (this.transport.sessionFence !== false) client.limbo = client.limbo.filter((one) => one.lane !== lane);
    for (const task of [...client.tasks]) {
      if (task === except || (task.operation.lane ?? 0) !== lane) continue;
      if (underWay(task.pending)) this.#throw(task, 'OutcomeUnknown', 'the connection was replaced');
    }
  }

  #lose(task: Task, pieces: number, code: 'OutcomeUnknown' | 'Aborted'): void {
    const execution = task.pending as Execution;
    this.#turn(task);
    for (let at = 0; at < pieces && !execution.done; at++) if (!this.#advance(task, execution)) return;
    this.chronicle?.event(task.client, code === 'Aborted' ? 'is told to give up' : 'hears no reply');
    if (!execution.done && execution.changes) {
      execution.abandon();
      task.client.limbo.push(execution);
    }
    this.#throw(task, code, code === 'Aborted' ? 'aborted' : 'the reply was lost');
  }

  #land(client: SimulatedClient): void {
    const execution = client.limbo[0]!;
    try {
      const effect = execution.advance(this.memory);
      this.chronicle?.late(client, effect);
    } catch (error) {
      this.chronicle?.late(client, execution.next);
      throw error;
    }
    if (execution.done || !execution.changes) client.limbo.shift();
  }

  #answer(task: Task, result: StepResult): void {
    this.#resume(task, () => task.protocol.next(result));
  }

  #throw(task: Task, code: ErrorCode, what: string): void {
    this.#resume(task, () => task.protocol.throw(new ExomemError(code, what)));
  }

  /** Lets a protocol go on up to the next step that takes a turn. */
  #resume(task: Task, go: () => IteratorResult<Step, unknown>): void {
    let outcome: Outcome;
    task.pending = undefined;
    task.looks = 0;
    try {
      let state = go();
      while (!state.done) {
        const step = state.value;
        const answer = this.#atOnce(task.client, step);
        if (answer === undefined) {
          task.pending = isControl(step) ? step : new Execution(step, this.grain, task.operation.lane);
          return;
        }
        state = task.protocol.next(answer);
      }
      outcome = { value: state.value };
    } catch (error) {
      if (!isExomemError(error)) throw error;
      outcome = { error };
    }
    this.#end(task, outcome);
  }

  /** The answer to a step that takes no turn, because no other client has a part in it. */
  #atOnce(client: SimulatedClient, step: Step): StepResult {
    switch (step.op) {
      case 'now':
        return this.#timed ? undefined : this.#clock;
      case 'wallClock':
        return BigInt(this.#clock) * 1_000_000n;
      case 'random':
        client.chance = (Math.imul(client.chance, 1_664_525) + 1_013_904_223) >>> 0;
        return (client.chance ^ (client.chance >>> 15)) >>> 0;
      case 'batch':
        return step.steps.length === 0 ? [] : undefined;
      default:
        return undefined;
    }
  }

  #end(task: Task, outcome: Outcome): void {
    const { client } = task;
    client.tasks.splice(client.tasks.indexOf(task), 1);
    if (this.#current === task) this.#current = undefined;
    this.chronicle?.ended(task, outcome);
    task.operation.ended?.(outcome);
  }
}

/** Whether a step has begun and not ended. */
function underWay(pending: Execution | ControlStep | undefined): boolean {
  return pending instanceof Execution && pending.begun && !pending.done;
}

/** Whether it waits for a word to change. */
function isWatch(pending: Execution | ControlStep | undefined): pending is ControlStep & { op: 'watch' } {
  return pending !== undefined && !(pending instanceof Execution) && pending.op === 'watch';
}

function isPause(action: Action): boolean {
  if (action.kind !== 'step') return false;
  const { pending } = action.task;
  return !(pending instanceof Execution) && pending?.op === 'pause';
}

function lastTurn(action: Action): number {
  if (action.kind === 'step') return action.task.turn;
  return action.kind === 'begin' ? action.client.turn : 0;
}

function isControl(step: Step): step is ControlStep {
  switch (step.op) {
    case 'bind':
    case 'renew':
    case 'revoke':
    case 'drain':
    case 'pause':
    case 'watch':
    case 'now':
    case 'wallClock':
    case 'random':
      return true;
    default:
      return false;
  }
}
