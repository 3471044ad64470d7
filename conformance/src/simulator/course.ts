import { isDeepStrictEqual } from 'node:util';
import { decodeMember, type ExomemError, isExomemError, type MemberBinding, memberState } from '@exomem/core';
import { Automaton, type Cast, type ClientNode, Pool } from './automaton.js';
import type { Chronicle } from './chronicle.js';
import type { SimulatedClient } from './client.js';
import { type Flight, Hand, Numbers, type Order, type Stray } from './flight.js';
import { Moments } from './moments.js';
import { Reduction } from './reduction.js';
import { Roll } from './roll.js';
import type { Rows } from './rows.js';
import type { Faults } from './schedule.js';
import type { TransportModel } from './simulation.js';
import type { Judge, Local, Scene, World, WorldChange } from './world.js';

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

/** Whether nobody has anything left to do. */
export const isEnd = (choice: number): boolean => choice === code(kinds.end);

/**
 * A scene as it goes on, one happening at a time: what may happen next, and what comes of it. Any moment that it was at can be
 * put back, from a row of numbers.
 */
export class Course<Held, Heard> implements World<Held, Heard>, WorldChange<Heard> {
  readonly moments: Moments;
  readonly #automata: Automaton<Held, Heard>[] = [];
  readonly #judge: Judge<Held, Heard>;
  readonly #names: readonly string[];
  readonly #lossy: boolean[];
  readonly #mortal: boolean[];
  readonly #calls: readonly (((moments: Moments, region: number) => boolean) | undefined)[];
  readonly #hand: Hand;
  readonly #reduction: Reduction | undefined;
  readonly #row: Uint32Array;
  readonly #rolls: readonly Roll<Held, Heard>[];
  /** Where it is to be said which choices these would be if all orders were gone: those so far. */
  way: number[] | undefined;
  chronicle: Chronicle | undefined;

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

  /** What has happened so far, all in all. */
  steps = 0;
  /** It happens ahead of what others do. */
  #leading = false;

  constructor(make: () => Scene<Held, Heard>, faults: Faults, reduce: boolean) {
    const scene = make();
    const { clients, memory } = scene.simulation;
    this.#judge = scene.judge ?? {};
    this.#names = clients.map(({ name }) => name);
    this.#lossy = clients.map((client) => scene.lossy?.has(client) ?? true);
    this.#mortal = clients.map((client) => scene.mortal?.has(client) ?? true);
    this.#calls = clients.map((client) => scene.onCall?.get(client));
    this.moments = new Moments(memory.size, scene.bounds, scene.pagesFrom);
    this.#hand = new Hand(this.moments);
    if (reduce && faults.restarts === undefined)
      this.#reduction = new Reduction(clients.length, scene.judged ?? (() => true));
    this.#row = new Uint32Array(clients.length + (this.#reduction === undefined ? 3 : 4));
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
    this.#faults = faults;
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

  /** Whether some orders are left out. */
  get reduced(): boolean {
    return this.#reduction !== undefined;
  }
  /** Different histories of clients so far. */
  get histories(): number {
    return this.#automata.reduce((sum, { nodes }) => sum + nodes, 0);
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

  // ---- moments

  /** It is as in the beginning. */
  rewind(): void {
    [this.region, this.memo] = [this.#beginning.region, this.#beginning.memo];
    this.locals = [...this.#beginning.locals];
    this.#reduction?.begin();
    this.#begin();
  }

  /** This moment, as a row; the next one is written over it. */
  row(): Uint32Array {
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

  /** It is at a moment again. */
  recall(states: Rows, state: number): void {
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
  choices(out: Int32Array, all = this.#reduction === undefined): number {
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
      if (leader !== undefined) {
        out[0] = ahead | code(kinds.step, leader.index);
        return this.#mishaps(leader, out, 1, ahead);
      }
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
    const next = this.#advance(flight);
    if (isExomemError(next)) return false;
    if (!this.#reduction!.mayLead(index, hand.offset, hand.length, writes(flight, hand, this.region))) return false;
    if (!next.done) return true;
    const told = this.#automata[index]!.told(node, 0, next);
    if (told.broken !== undefined || told.heard.length > 0 || told.finished || told.queued !== node.queued)
      return false;
    return told.held === node.held || isDeepStrictEqual(told.held, node.held);
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

  /** Nobody has anything left to do. @throws what is wrong with that */
  finish(): void {
    this.way?.push(0);
    this.#judge.finish?.(this);
  }

  perform(chosen: number): void {
    this.steps++;
    if (this.way !== undefined) {
      const count = this.choices(forced, true);
      if (count > 1 || forced[0] === code(kinds.end)) this.way.push(forced.indexOf(chosen & ~ahead));
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
        this.chronicle?.event({ name: 'the clock' }, `shows ${this.clock}`);
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
      this.chronicle?.event({ name: this.#names[local.index]! }, 'finds the connection broken');
      this.#go(local, automaton.failed(node, task, 'OutcomeUnknown'), local.strays);
      return;
    }
    if (flight === undefined) {
      this.#control(local, task, order);
      return;
    }
    const hand = this.#hand;
    const next = this.#advance(flight);
    if (isExomemError(next)) {
      this.#go(local, automaton.failed(node, task, next.code), local.strays);
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

  /** The hand makes its next piece happen. What the step throws, if it does. */
  #advance(flight: Flight): Flight | ExomemError {
    this.#hand.region = this.region;
    try {
      return flight.advance(this.#hand);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      return error;
    }
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
    this.chronicle?.effect(
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
    this.chronicle?.control(speaker, control!);
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
    this.chronicle?.event({ name: this.#names[local.index]! }, 'has seen that word for long enough');
    this.#go(local, this.#automata[local.index]!.told(local.node, task, undefined, 1), local.strays);
  }

  #alive({ offset, incarnation }: MemberBinding): boolean {
    const found = decodeMember(this.moments.load(this.region, offset));
    const alive = found.state === memberState.joining || found.state === memberState.active;
    return alive && found.incarnation === incarnation;
  }

  /** The appliance forgets lanes and revocations: who was shut out must not be let in again. */
  #restart(): void {
    this.chronicle?.event({ name: 'the appliance' }, 'begins anew');
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
    this.chronicle?.event(
      { name: this.#names[local.index]! },
      error === 'Aborted' ? 'is told to give up' : 'hears no reply',
    );
    const stray = flight.order.stray(flight.at, flight.moved);
    const strays = stray === undefined ? local.strays : [...local.strays, stray];
    this.#go(local, this.#automata[local.index]!.failed(local.node, task, error), strays);
  }

  /** What it had sent is on its way still. */
  #crash(local: Local<Held, Heard>): void {
    this.chronicle?.event({ name: this.#names[local.index]! }, 'crashes');
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
    if (this.chronicle !== undefined) {
      for (const order of before) {
        if (node.orders.some(({ name }) => name === order.name)) continue;
        this.chronicle.ended(
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
