import { isDeepStrictEqual } from 'node:util';
import { decodeMember, isExomemError, type MemberBinding, memberState } from '@exomem/core';
import { Automaton, type Cast, type ClientNode, Pool } from './automaton.js';
import type { Chronicle } from './chronicle.js';
import type { SimulatedClient } from './client.js';
import { type Flight, Hand, Numbers, type Order, type Stray } from './flight.js';
import { Moments } from './moments.js';
import { NotAlone, Reduction } from './reduction.js';
import { Roll } from './roll.js';
import { Rows } from './rows.js';
import type { Faults } from './schedule.js';
import { noFaults } from './schedule.js';
import type { TransportModel } from './simulation.js';
import { Trail } from './trail.js';
import type { Judge, Local, Scene, World, WorldChange } from './world.js';

export interface ExhaustiveOptions {
  readonly faults?: Faults;
  /** States after which the search gives up. Default 10,000,000. */
  readonly limit?: number;
  /**
   * `breadth`: in the order of how far they are, so that what is found is found by a shortest way. `scattered`: anywhere, so that
   * a search that is given up has seen something of everything. Default `breadth`.
   */
  readonly order?: 'breadth' | 'scattered';
  /** Where `scattered` begins. Default 1. */
  readonly seed?: number;
  /** Milliseconds after which the search gives up. Default: none. */
  readonly milliseconds?: number;
  /**
   * Who waits for what never comes, with nobody else about who could go on, is no counterexample: that way is left. For protocols
   * that wait for others, as for a lock whose holder died.
   */
  readonly mayWait?: boolean;
  /**
   * Steps that are nobody else's business are taken at once, which makes far fewer states of the same ends: see {@link Reduction}.
   * What the judge does not look at, the scene says by `judged`. Default false: each order of all steps is gone.
   */
  readonly reduce?: boolean;
  /** Hears now and then how far it is. */
  readonly progress?: (so: Exhausted) => void;
}

export interface Exhausted {
  /** Different states in which something is open. */
  readonly states: number;
  /** Steps that were taken between them. */
  readonly steps: number;
  /** Ends that were reached. */
  readonly ends: number;
  /** Steps to the state that is farthest away, by the way by which it was seen first. */
  readonly depth: number;
  /** Different histories of clients. */
  readonly histories: number;
  readonly milliseconds: number;
  /** States that were seen and not gone on from yet. */
  readonly open: number;
  /** False if the limit was reached before all was seen. */
  readonly complete: boolean;
}

/** A way through a scene that ends badly: the number of the choice wherever there was one. */
export class Counterexample extends Error {
  override readonly name = 'Counterexample';
  constructor(
    readonly path: readonly number[],
    readonly states: number,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/**
 * Goes every way that a scene can go: every order of the steps of its clients, with at most so many faults, wherever they can
 * happen. Each client is an {@link Automaton}; a state is what the region holds, where each client stands, what is half done or
 * on its way, and the faults that are left. It is kept and compared exactly, and no state is followed twice.
 *
 * Not all orders are gone, where it makes no difference:
 * - A step in which no other client has a part is taken before anything else. All others lead to the same states behind it.
 * - Who is dead, shut out or done does nothing any more but by what is on its way: of its past only what the judge says counts.
 * - With `reduce`, steps that turn out to be nobody else's business come before all others.
 *
 * @throws {@link Counterexample}
 */
export function exhaust<Held, Heard>(make: () => Scene<Held, Heard>, options: ExhaustiveOptions = {}): Exhausted {
  return new Search(make, options).run();
}

/** Goes one way again, and writes down what happens. What is wrong at its end is thrown once more. */
export function retrace<Held, Heard>(
  make: () => Scene<Held, Heard>,
  path: readonly number[],
  chronicle: Chronicle,
  faults: Faults = noFaults,
): void {
  new Search(make, { faults }).retrace(path, chronicle);
}

/** What may happen next: a kind, a client, and for some of them one of its operations. */
const kinds = {
  step: 0,
  begin: 1,
  land: 2,
  lose: 3,
  abort: 4,
  crash: 5,
  end: 6,
  restart: 7,
  tick: 8,
  expire: 9,
} as const;
const code = (kind: number, client = 0, task = 0): number => kind * 1024 + client * 32 + task;
/** It happens ahead of what others do: none of that makes a difference to it. */
const ahead = 1 << 20;

const stateLimit = 10_000_000;
/** Steps in a row in which nothing is open. */
const mostForced = 20_000;
/** Of so many of them in a row one is remembered. */
const chainLength = 8;
/** The same, where one may wait. */
const mostWaits = 500;

/** Where steps with nothing open lead to. */
interface ChainEnd {
  /** -1: somebody waits for ever. */
  readonly state: number;
  readonly steps: number;
}

class Search<Held, Heard> implements World<Held, Heard>, WorldChange<Heard> {
  readonly moments: Moments;
  readonly #automata: Automaton<Held, Heard>[] = [];
  readonly #judge: Judge<Held, Heard>;
  readonly #names: readonly string[];
  readonly #options: ExhaustiveOptions;
  readonly #lossy: boolean[];
  readonly #mortal: boolean[];
  readonly #calls: readonly (((moments: Moments, region: number) => boolean) | undefined)[];
  readonly #hand: Hand;
  readonly #reduction: Reduction | undefined;
  #states: Rows;
  readonly #row: Uint32Array;
  readonly #rolls: readonly Roll<Held, Heard>[];
  #trail = new Trail();
  /** Where nothing was open, now and then, and what it led to. */
  #chains: Rows;
  #chainEnds: ChainEnd[] = [];
  /** Those of them whose end is not known yet, and how many steps there had been. */
  readonly #openChains: { readonly chain: number; readonly from: number }[] = [];
  /** Where it is to be said which choices these would be if all orders were gone: those so far. */
  #way: number[] | undefined;
  #chronicle: Chronicle | undefined;

  // The moment.
  region = 0;
  locals: Local<Held, Heard>[];
  memo = 0;
  #losses = 0;
  #aborts = 0;
  #crashes = 0;
  #restarts = 0;
  #ticks = 0;
  #expiries = 0;

  // What happened just now.
  actor = 0;
  before = 0;
  offset = 0;
  length = 0;
  heard: Heard[] = [];
  told = false;

  #steps = 0;
  /** It happens ahead of what others do. */
  #leading = false;

  constructor(make: () => Scene<Held, Heard>, options: ExhaustiveOptions) {
    this.#options = options;
    const scene = make();
    const { clients, memory } = scene.simulation;
    this.#judge = scene.judge ?? {};
    this.#names = clients.map(({ name }) => name);
    this.#lossy = clients.map((client) => scene.lossy?.has(client) ?? true);
    this.#mortal = clients.map((client) => scene.mortal?.has(client) ?? true);
    this.#calls = clients.map((client) => scene.onCall?.get(client));
    this.moments = new Moments(memory.size, scene.bounds, scene.pagesFrom);
    this.#hand = new Hand(this.moments);
    if (options.reduce && options.faults?.restarts === undefined)
      this.#reduction = new Reduction(clients.length, scene.judged ?? (() => true));
    const width = clients.length + (this.#reduction === undefined ? 3 : 4);
    this.#states = new Rows(width);
    this.#chains = new Rows(width);
    this.#row = new Uint32Array(width);
    const epitaph = (local: Local<Held, Heard>): string => this.#judge.epitaph?.(this, local) ?? `${local.node.id}`;
    this.#rolls = clients.map(({ index }) => new Roll(index, epitaph));
    const beginning = this.moments.take(memory.bytes);
    const pool = new Pool(make as () => Cast<Held, Heard>);
    const numbers = new Numbers();
    for (const client of clients) this.#automata.push(new Automaton(client.index, pool, numbers));
    this.locals = [];
    this.region = beginning;
    this.locals = clients.map(({ dead, fenced }, at) =>
      this.#local(at, this.#automata[at]!.root, [], [], dead, fenced),
    );
    this.memo = this.#judge.begin?.(this) ?? 0;
    this.#faults = options.faults ?? noFaults;
    this.#transport = scene.simulation.transport;
    this.#time = scene.time ?? ((_client, clock) => clock);
    this.#begin();
    this.#beginning = { region: this.region, locals: [...this.locals], memo: this.memo };
  }
  readonly #faults: Faults;
  readonly #transport: TransportModel;
  readonly #time: (client: number, clock: number) => number;
  readonly #beginning: { region: number; locals: Local<Held, Heard>[]; memo: number };

  /** A new epoch must be bound again. */
  get #rebinds(): boolean {
    return this.#faults.restarts !== undefined;
  }

  get clock(): number {
    return (this.#faults.ticks ?? 0) - this.#ticks;
  }

  #begin(): void {
    const { losses, aborts, crashes, restarts = 0, ticks = 0, expiries = 0 } = this.#faults;
    this.#expiries = expiries;
    [this.#losses, this.#aborts, this.#crashes, this.#restarts, this.#ticks] = [
      losses,
      aborts,
      crashes,
      restarts,
      ticks,
    ];
  }

  looks(offset: number, length: number): void {
    this.#reduction?.touch(this.actor, offset, length, false);
  }

  standing(local: Local<Held, Heard>): SimulatedClient {
    return this.#automata[local.index]!.standing(local.node);
  }

  lend(local: Local<Held, Heard>): SimulatedClient {
    return this.#automata[local.index]!.lend(local.node);
  }

  // ---- the search

  run(): Exhausted {
    for (const start = performance.now(); ; ) {
      try {
        return this.#pass(start);
      } catch (error) {
        if (!(error instanceof NotAlone)) throw error;
        this.#anew();
      }
    }
  }

  /** Nothing was seen so far. */
  #anew(): void {
    this.#states = new Rows(this.#states.width);
    this.#chains = new Rows(this.#states.width);
    this.#chainEnds = [];
    this.#openChains.length = 0;
    this.#trail = new Trail();
    this.#steps = 0;
    this.#rewind();
  }

  /** It is as in the beginning. */
  #rewind(): void {
    [this.region, this.memo] = [this.#beginning.region, this.#beginning.memo];
    this.locals = [...this.#beginning.locals];
    this.#reduction?.begin();
    this.#begin();
  }

  #pass(start: number): Exhausted {
    const { limit = stateLimit, order = 'breadth', seed = 1, progress } = this.#options;
    const { milliseconds = Number.POSITIVE_INFINITY } = this.#options;
    // Lost replies are errors, by the million, and nobody looks at where they were made.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = 0;
    const choices = new Int32Array(256);
    const scattered = order === 'scattered';
    const frontier: number[] = [];
    let ends = 0;
    let depth = 0;
    let chance = seed >>> 0;
    let path = (): number[] => [];
    const so = (complete: boolean): Exhausted => ({
      states: this.#states.count,
      steps: this.#steps,
      ends,
      depth,
      histories: this.#automata.reduce((sum, { nodes }) => sum + nodes, 0),
      milliseconds: performance.now() - start,
      open: this.#states.count - gone,
      complete,
    });
    let gone = 0;
    let told = start;
    try {
      this.#force(choices);
      this.#keep(-1, 0, this.#steps);
      if (scattered) frontier.push(0);
      for (let next = 0; ; ) {
        let state = next;
        if (scattered) {
          if (frontier.length === 0) break;
          chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0;
          const at = Math.floor((chance / 2 ** 32) * frontier.length);
          state = frontier[at]!;
          const last = frontier.pop()!;
          if (at < frontier.length) frontier[at] = last;
        } else if (next++ >= this.#states.count) break;
        path = () => this.#trail.to(state);
        this.#recall(state);
        gone++;
        const count = this.#choices(choices);
        depth = Math.max(depth, this.#trail.depth(state));
        let first = 0;
        if (choices[0] === code(kinds.end)) {
          ends++;
          path = () => [...this.#trail.to(state), 0];
          this.#judge.finish?.(this);
          first = 1;
        }
        if (progress !== undefined && (gone & 1023) === 0 && performance.now() - told > 5000) {
          told = performance.now();
          progress(so(false));
        }
        for (let choice = first; choice < count; choice++) {
          if (choice > first) this.#recall(state);
          path = () => [...this.#trail.to(state), choice];
          // The choices are written over by those behind.
          const chosen = choices[choice]!;
          const began = this.#steps;
          this.#perform(chosen);
          if (!this.#force(forced)) continue;
          const known = this.#states.count;
          const number = this.#keep(state, choice, this.#trail.depth(state) + this.#steps - began);
          if (number < known) continue;
          if (this.#states.count > limit) return so(false);
          if ((number & 255) === 0 && performance.now() - start > milliseconds) return so(false);
          if (scattered) frontier.push(number);
        }
      }
      return so(true);
    } catch (error) {
      if (error instanceof NotAlone) throw error;
      const { count } = this.#states;
      throw new Counterexample(this.#unfold(path()), count, error);
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
  }

  /** The same way, by the choices that there are if each order is gone. */
  #unfold(path: readonly number[]): readonly number[] {
    if (this.#reduction === undefined) return path;
    const way: number[] = [];
    this.#way = way;
    try {
      this.#follow(path);
    } catch {
      // That is what it leads to.
    }
    this.#way = undefined;
    return way;
  }

  retrace(path: readonly number[], chronicle: Chronicle): void {
    this.#chronicle = chronicle;
    this.#follow(path);
  }

  #follow(path: readonly number[]): void {
    const choices = new Int32Array(256);
    this.#rewind();
    this.#force(choices);
    for (const choice of path) {
      const count = this.#choices(choices);
      if (choice >= count) throw new Error(`there is no choice ${choice} of ${count}`);
      if (choices[choice] === code(kinds.end)) {
        this.#way?.push(0);
        this.#judge.finish?.(this);
        return;
      }
      this.#perform(choices[choice]!);
      this.#force(choices);
    }
  }

  /** Goes on as long as nothing is open. Whether something is, in the end; if not, somebody waits who may. */
  #force(choices: Int32Array): boolean {
    const { mayWait = false } = this.#options;
    const most = mayWait ? mostWaits : mostForced;
    // Who goes a way again takes each step of it.
    const replays = this.#chronicle !== undefined || this.#way !== undefined;
    for (let step = 1; step <= most; step++) {
      if (this.#choices(choices) > 1 || choices[0] === code(kinds.end)) return true;
      // One who is alone with what is left to do comes by the same places again and again, from everywhere.
      if (step % chainLength === 0 && !replays) {
        const known = this.#chains.count;
        const chain = this.#chains.intern(this.#rowNow());
        if (chain < known) {
          const end = this.#chainEnds[chain];
          // Where it comes round to itself, its end is not known.
          if (end !== undefined || mayWait) return this.#endAs(end);
        } else this.#openChains.push({ chain, from: this.#steps });
      }
      this.#perform(choices[0]!);
    }
    this.#endChains(-1);
    if (mayWait) return false;
    throw new Error(`no end after ${most} steps in a row that nobody else has a part in`);
  }

  /** It ends where one did that has been here before. Undefined: nowhere, it goes round and round. */
  #endAs(end: ChainEnd | undefined): boolean {
    this.#steps += end?.steps ?? 0;
    if (end !== undefined && end.state >= 0) this.#recall(end.state);
    this.#endChains(end?.state ?? -1);
    return end !== undefined && end.state >= 0;
  }

  /** That is where those that are open lead to. @param state -1: to none */
  #endChains(state: number): void {
    for (const { chain, from } of this.#openChains) this.#chainEnds[chain] = { state, steps: this.#steps - from };
    this.#openChains.length = 0;
  }

  /** The present state, as a row. */
  #rowNow(): Uint32Array {
    const row = this.#row;
    row[0] = this.region;
    row[1] = this.memo;
    row[2] =
      ((((this.#ticks * 16 + this.#expiries) * 16 + this.#restarts) * 16 + this.#crashes) * 16 + this.#losses) * 16 +
      this.#aborts;
    for (let at = 0; at < this.locals.length; at++) row[at + 3] = this.locals[at]!.id;
    if (this.#reduction !== undefined) row[this.locals.length + 3] = this.#reduction.number;
    return row;
  }

  /** The number of the present state. */
  #keep(parent: number, choice: number, depth: number): number {
    const known = this.#states.count;
    const number = this.#states.intern(this.#rowNow());
    this.#endChains(number);
    if (number < known) return number;
    this.#trail.add(number, parent, choice, depth);
    return number;
  }

  #recall(state: number): void {
    const states = this.#states;
    this.region = states.at(state, 0);
    this.memo = states.at(state, 1);
    const left = states.at(state, 2);
    this.#aborts = left & 15;
    this.#losses = (left >>> 4) & 15;
    this.#crashes = (left >>> 8) & 15;
    this.#restarts = (left >>> 12) & 15;
    this.#expiries = (left >>> 16) & 15;
    this.#ticks = left >>> 20;
    for (let at = 0; at < this.locals.length; at++) this.locals[at] = this.#rolls[at]!.at(states.at(state, at + 3));
    if (this.#reduction !== undefined) this.#reduction.number = states.at(state, this.locals.length + 3);
  }

  // ---- what may happen

  /** Everything that may happen next; how much that is. If one of it is nobody else's business, that alone. @param all in each order */
  #choices(out: Int32Array, all = this.#reduction === undefined): number {
    const { locals } = this;
    let count = 0;
    let quiet = true;
    for (let client = 0; client < locals.length; client++) {
      const local = locals[client]!;
      if (local.still || this.#rests(local)) continue;
      quiet = false;
      const task = this.#private(local);
      if (task < 0) continue;
      out[0] = task === 31 ? code(kinds.begin, client) : code(kinds.step, client, task);
      return 1;
    }
    if (!all && !quiet) {
      const leader = this.#leader();
      if (leader !== undefined) return this.#mishaps(leader, out, this.#take(leader, out), ahead);
    }
    if (quiet) out[count++] = code(kinds.end);
    let goes = false;
    for (let client = 0; client < locals.length; client++) {
      const local = locals[client]!;
      if (!local.still) {
        const { orders, ready } = local.node;
        for (let task = 0; task < orders.length; task++) {
          if (!this.#ready(local, orders[task]!)) continue;
          out[count++] = code(kinds.step, client, task);
          goes = true;
        }
        if (ready && !this.#rests(local)) {
          out[count++] = code(kinds.begin, client);
          goes = true;
        }
      }
      if (local.strays.length > 0) out[count++] = code(kinds.land, client);
    }
    if (quiet) return count;
    if (this.#ticks > 0) out[count++] = code(kinds.tick);
    if (this.#restarts > 0) out[count++] = code(kinds.restart);
    if (!goes || this.#expiries > 0) count = this.#expirations(out, count);
    if (count === 0) throw new Error('nobody can go on, and not all is done');
    for (const local of locals) if (!local.still) count = this.#mishaps(local, out, count, 0);
    return count;
  }

  /** What may happen to a client instead of its next steps. */
  #mishaps({ index, node }: Local<Held, Heard>, out: Int32Array, from: number, how: number): number {
    let count = from;
    if (this.#crashes > 0 && this.#mortal[index]) out[count++] = how | code(kinds.crash, index);
    if (!this.#lossy[index]) return count;
    for (const [task, { flight, changes }] of node.orders.entries()) {
      // A read whose reply is lost is read again, and nothing else: that of a change is what matters.
      if (this.#losses > 0 && changes) out[count++] = how | code(kinds.lose, index, task);
      if (this.#aborts > 0 && flight !== undefined) out[count++] = how | code(kinds.abort, index, task);
    }
    return count;
  }

  /** The first client whose next step, as far as is known, is nobody else's business, and tells the judge nothing. */
  #leader(): Local<Held, Heard> | undefined {
    return this.locals.find((local) => !local.still && local.flights.length === 1 && this.#leads(local));
  }

  #leads({ index, node, flights, cut }: Local<Held, Heard>): boolean {
    const [flight] = flights;
    if (flight === undefined || cut !== 0) return false;
    const hand = this.#hand;
    hand.region = this.region;
    let next: Flight;
    try {
      next = flight.advance(hand);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      return false;
    }
    if (!this.#reduction!.mayLead(index, hand.offset, hand.length, writes(flight, hand, this.region))) return false;
    if (!next.done) return true;
    const told = this.#automata[index]!.told(node, 0, next);
    if (told.broken !== undefined || told.heard.length > 0 || told.finished || told.queued !== node.queued)
      return false;
    return told.held === node.held || isDeepStrictEqual(told.held, node.held);
  }

  #take({ index }: Local<Held, Heard>, out: Int32Array): number {
    out[0] = ahead | code(kinds.step, index);
    return 1;
  }

  /** It is called when there is something to do, and there is nothing. */
  #rests({ index, node }: Local<Held, Heard>): boolean {
    const calls = this.#calls[index];
    return calls !== undefined && node.orders.length === 0 && !calls(this.moments, this.region);
  }

  /** Whoever watches a word that is as it was may find that its time is over. */
  #expirations(out: Int32Array, from: number): number {
    let count = from;
    for (const local of this.locals) {
      if (local.still) continue;
      for (const [task, order] of local.node.orders.entries()) {
        if (order.control?.op !== 'watch' || this.#ready(local, order)) continue;
        out[count++] = code(kinds.expire, local.index, task);
      }
    }
    return count;
  }

  #ready({ node, strays, flights }: Local<Held, Heard>, { control }: Order): boolean {
    if (control?.op === 'watch') return this.moments.load(this.region, control.offset) !== control.word;
    if (control?.op !== 'drain') return true;
    // Until what is on its way has arrived; if everybody waits for that, the lane begins a new epoch by itself.
    if (strays.length === 0 && !flights.some((flight) => flight?.begun)) return true;
    return node.orders.every((one) => one.control?.op === 'drain');
  }

  /** The task whose step leaves no trace that another client could see, and sees none of others; 31: the next begins; else -1. */
  #private(local: Local<Held, Heard>): number {
    const { orders } = local.node;
    if (orders.length === 0) return 31;
    // Operations of one client share what it knows.
    if (orders.length > 1) return -1;
    const { control, lane } = orders[0]!;
    // It fails, whatever others do.
    if (local.cut & (1 << lane) && control?.op !== 'drain' && control?.op !== 'pause' && control?.op !== 'renew')
      return 0;
    switch (control?.op) {
      case 'pause':
        return 0;
      case 'drain':
        return local.strays.length === 0 ? 0 : -1;
      case 'renew':
        if (this.#rebinds && local.node.binding !== undefined) return -1;
        return local.strays.length === 0 ? 0 : -1;
      case 'revoke': {
        const { member } = control;
        for (const other of this.locals) {
          if (isBound(other.node.binding, member) && !(other.fenced && other.strays.length === 0)) return -1;
        }
        return 0;
      }
      default:
        return -1;
    }
  }

  // ---- what happens

  #perform(chosen: number): void {
    this.#steps++;
    if (this.#way !== undefined) {
      const count = this.#choices(forced, true);
      if (count > 1 || forced[0] === code(kinds.end)) this.#way.push(forced.indexOf(chosen & ~ahead));
    }
    this.#leading = (chosen & ahead) !== 0;
    const client = (chosen >>> 5) & 31;
    const task = chosen & 31;
    const local = this.locals[client]!;
    this.actor = client;
    this.before = this.region;
    this.length = 0;
    this.told = false;
    if (this.heard.length > 0) this.heard = [];
    switch ((chosen & ~ahead) >>> 10) {
      case kinds.step:
        this.#step(local, task);
        break;
      case kinds.begin:
        this.#go(local, this.#automata[client]!.begun(local.node), local.strays);
        break;
      case kinds.land:
        this.#land(local);
        break;
      case kinds.lose:
        this.#losses--;
        this.#lose(local, task, 'OutcomeUnknown');
        break;
      case kinds.abort:
        this.#aborts--;
        this.#lose(local, task, 'Aborted');
        break;
      case kinds.crash:
        this.#crashes--;
        this.#crash(local);
        break;
      case kinds.restart:
        this.#restarts--;
        this.#restart();
        break;
      case kinds.expire:
        this.#expiries = Math.max(0, this.#expiries - 1);
        this.#expire(local, task);
        break;
      case kinds.tick:
        this.#ticks--;
        this.#chronicle?.event({ name: 'the clock' }, `shows ${this.clock}`);
        this.told = true;
    }
    if (this.#judge.after !== undefined) this.memo = this.#judge.after(this, this);
  }

  #step(local: Local<Held, Heard>, task: number): void {
    const { node, flights } = local;
    const order = node.orders[task]!;
    const flight = flights[task];
    const automaton = this.#automata[local.index]!;
    const op = order.control?.op;
    if (local.cut & (1 << order.lane) && (flight !== undefined || op === 'bind' || op === 'revoke' || op === 'watch')) {
      this.#chronicle?.event({ name: this.#names[local.index]! }, 'finds the connection broken');
      this.#go(local, automaton.failed(node, task, 'OutcomeUnknown'), local.strays);
      return;
    }
    if (flight === undefined) {
      this.#control(local, task, order);
      return;
    }
    const hand = this.#hand;
    hand.region = this.region;
    let next: Flight;
    try {
      next = flight.advance(hand);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      this.#go(local, automaton.failed(node, task, error.code), local.strays);
      return;
    }
    this.#touched(hand, local, flight);
    this.#changed(hand, local, flight.step, order.name);
    if (next.done) this.#go(local, automaton.told(node, task, next), local.strays);
    else
      this.locals[local.index] = this.#local(
        local.index,
        node,
        with_(flights, task, next),
        local.strays,
        false,
        false,
        local.cut,
      );
  }

  /** A client has touched what the hand has in it. */
  #touched(hand: Hand, { index }: Local<Held, Heard>, flight: Flight): void {
    const reduction = this.#reduction;
    if (reduction === undefined) return;
    const changes = writes(flight, hand, this.region);
    reduction.touch(index, hand.offset, hand.length, changes);
    if (this.#leading) reduction.leadOn(index, hand.offset, hand.length, changes);
    else reduction.fallIn(index);
  }

  /** The region is what the hand made of it. */
  #changed(hand: Hand, local: Local<Held, Heard>, step: Flight['step'], operation: string | undefined): void {
    this.#chronicle?.effect(
      { client: { name: this.#names[local.index]! }, operation: { name: operation ?? 'late' } },
      { step, offset: hand.offset, length: hand.length, answer: hand.word },
    );
    if (hand.region === this.region) return;
    this.region = hand.region;
    this.offset = hand.offset;
    this.length = hand.length;
  }

  #control(local: Local<Held, Heard>, task: number, order: Order): void {
    const { control, name, lane } = order;
    const automaton = this.#automata[local.index]!;
    if (control!.op === 'watch') this.#reduction?.touch(local.index, control!.offset, 8, false);
    if (control!.op === 'bind') this.#reduction?.touch(local.index, control!.member.offset, 8, false);
    if (control!.op === 'watch' || control!.op === 'bind' || control!.op === 'revoke')
      this.#reduction?.fallIn(local.index);
    const speaker = { client: { name: this.#names[local.index]! }, operation: { name } };
    this.#chronicle?.control(speaker, control!);
    switch (control!.op) {
      case 'renew': {
        // Nothing of the lane's earlier epochs lands any more. What was half done is answered by nobody.
        const { binding } = local.node;
        if (this.#rebinds && binding !== undefined && !this.#alive(binding)) {
          this.#go(local, automaton.failed(local.node, task, 'Fenced'), local.strays);
          this.#shutOut(this.locals[local.index]!);
          return;
        }
        const { sessionFence = true } = this.#transport;
        const strays = sessionFence ? local.strays.filter((stray) => stray.order.lane !== lane) : local.strays;
        let now = local;
        for (const other of local.node.orders) {
          const at = now.node.orders.indexOf(other);
          if (other === order || other.lane !== lane || now.flights[at]?.begun !== true) continue;
          this.#go(now, automaton.failed(now.node, at, 'OutcomeUnknown'), strays);
          now = this.locals[local.index]!;
        }
        const at = now.node.orders.indexOf(order);
        this.#go(now, automaton.told(now.node, at), strays, now.cut & ~(1 << lane));
        return;
      }
      case 'drain':
        this.#go(local, automaton.told(local.node, task), []);
        return;
      case 'now':
        this.#go(local, automaton.told(local.node, task, undefined, this.#time(local.index, this.clock)), local.strays);
        return;
      case 'watch':
        this.#go(local, automaton.told(local.node, task, undefined, 0), local.strays);
        return;
      case 'bind': {
        const { member } = control as { member: MemberBinding };
        if (this.#alive(member)) {
          this.#go(local, automaton.told(local.node, task), local.strays);
        } else {
          this.#go(local, automaton.failed(local.node, task, 'Fenced'), local.strays);
          this.#shutOut(this.locals[local.index]!);
        }
        return;
      }
      case 'revoke': {
        const { member } = control as { member: MemberBinding };
        if (this.#transport.revoke !== 'none') {
          for (const other of this.locals) if (isBound(other.node.binding, member)) this.#shutOut(other);
        }
        const now = this.locals[local.index]!;
        if (!now.fenced) this.#go(now, automaton.told(now.node, task), now.strays);
        return;
      }
      default:
        this.#go(local, automaton.told(local.node, task), local.strays);
    }
  }

  #expire(local: Local<Held, Heard>, task: number): void {
    const { control } = local.node.orders[task]!;
    if (control?.op === 'watch') this.#reduction?.touch(local.index, control.offset, 8, false);
    this.#reduction?.fallIn(local.index);
    this.#chronicle?.event({ name: this.#names[local.index]! }, 'has seen that word for long enough');
    this.#go(local, this.#automata[local.index]!.told(local.node, task, undefined, 1), local.strays);
  }

  #alive({ offset, incarnation }: MemberBinding): boolean {
    const found = decodeMember(this.moments.load(this.region, offset));
    const alive = found.state === memberState.joining || found.state === memberState.active;
    return alive && found.incarnation === incarnation;
  }

  /** The appliance forgets lanes and revocations: who was shut out must not be let in again. */
  #restart(): void {
    this.#chronicle?.event({ name: 'the appliance' }, 'begins anew');
    this.told = true;
    for (const [index, local] of this.locals.entries()) {
      const { node, flights, dead, fenced, still } = local;
      const { binding } = node;
      if (fenced && binding !== undefined && this.#alive(binding))
        throw new Error(`${this.#names[index]} was shut out, and after a restart it is let in again`);
      this.locals[index] = this.#local(index, node, flights, [], dead, fenced, still ? 0 : allLanes);
    }
  }

  /** Nothing of it happens any more. That it takes this well is looked at once for each history. */
  #shutOut(local: Local<Held, Heard>): void {
    if (local.fenced) return;
    this.#reduction?.shutOut(local.index);
    if (!local.still) this.#automata[local.index]!.bury(local.node);
    this.locals[local.index] = this.#local(local.index, local.node, [], [], local.dead, true);
    this.told = true;
  }

  #lose(local: Local<Held, Heard>, task: number, error: 'OutcomeUnknown' | 'Aborted'): void {
    const flight = local.flights[task]!;
    if (!this.#leading) this.#reduction?.fallIn(local.index);
    this.#chronicle?.event(
      { name: this.#names[local.index]! },
      error === 'Aborted' ? 'is told to give up' : 'hears no reply',
    );
    const stray = flight.order.stray(flight.at, flight.moved);
    const strays = stray === undefined ? local.strays : [...local.strays, stray];
    this.#go(local, this.#automata[local.index]!.failed(local.node, task, error), strays);
  }

  /** What it had sent is on its way still. */
  #crash(local: Local<Held, Heard>): void {
    this.#chronicle?.event({ name: this.#names[local.index]! }, 'crashes');
    if (!this.#leading) this.#reduction?.fallIn(local.index);
    const strays = [...local.strays];
    for (const flight of local.flights) {
      const stray = flight?.order.stray(flight.at, flight.moved);
      if (stray !== undefined) strays.push(stray);
    }
    this.locals[local.index] = this.#local(local.index, local.node, [], strays, true, false);
    this.told = true;
  }

  #land(local: Local<Held, Heard>): void {
    const [stray, ...rest] = local.strays;
    const hand = this.#hand;
    hand.region = this.region;
    const { step } = stray!;
    const left = stray!.advance(hand);
    // It comes whenever it comes, whatever its own client does meanwhile.
    this.#reduction?.touch(-1, hand.offset, hand.length, true);
    this.#changed(hand, local, step, undefined);
    const strays = left === undefined ? rest : [left, ...rest];
    const { index, node, flights, dead, fenced, cut } = local;
    this.locals[index] = this.#local(index, node, flights, strays, dead, fenced, cut);
  }

  /** The client stands at another node from now on. */
  #go(local: Local<Held, Heard>, to: ClientNode<Held, Heard>, strays: readonly Stray[], cut = local.cut): void {
    const calls = this.#calls[local.index];
    const node = calls !== undefined && to.orders.length === 0 ? this.#automata[local.index]!.root : to;
    if (to.heard.length > 0) this.heard.push(...to.heard);
    this.told = true;
    if (to.broken !== undefined) throw to.broken;
    const before = local.node.orders;
    const flights = node.orders.map((order) => {
      const at = before.indexOf(order);
      return at < 0 ? order.flight : local.flights[at];
    });
    this.locals[local.index] = this.#local(local.index, node, flights, strays, local.dead, local.fenced, cut);
    if (this.#chronicle !== undefined) {
      for (const order of before) {
        if (node.orders.some(({ name }) => name === order.name)) continue;
        this.#chronicle.ended(
          { client: { name: this.#names[local.index]! }, operation: { name: order.name } },
          { value: undefined },
        );
      }
    }
  }

  #local(
    index: number,
    node: ClientNode<Held, Heard>,
    flights: readonly (Flight | undefined)[],
    strays: readonly Stray[],
    dead: boolean,
    fenced: boolean,
    cut = 0,
  ): Local<Held, Heard> {
    return this.#rolls[index]!.of(node, flights, strays, dead, fenced, cut);
  }
}

const forced = new Int32Array(256);
/** A bit for each. */
const allLanes = 255;

/** Whether the next piece of a step, which the hand has made happen, writes. */
function writes({ step: { op } }: Flight, hand: Hand, before: number): boolean {
  return op === 'write' || op === 'fetchAdd' || (op === 'compareExchange' && hand.region !== before);
}

function with_<T>(all: readonly T[], at: number, one: T): readonly T[] {
  if (all.length === 1) return [one];
  const copy = [...all];
  copy[at] = one;
  return copy;
}

function isBound(binding: MemberBinding | undefined, member: MemberBinding): boolean {
  return binding !== undefined && binding.slot === member.slot && binding.incarnation === member.incarnation;
}
