import { isDeepStrictEqual } from 'node:util';
import type { ErrorCode, MemberBinding } from '@exomem/core';
import type { SimulatedClient } from './client.js';
import { Execution } from './execution.js';
import { type Flight, type Numbers, Order } from './flight.js';
import type { Simulation } from './simulation.js';

/** A simulation from its beginning, and what is to be known of its clients. */
export interface Cast<Held, Heard> {
  readonly simulation: Simulation;
  /** What that client holds and knows, as plain data that nothing changes afterwards. */
  hold?(client: SimulatedClient): Held;
  /** What happened to it since this was asked last. */
  hear?(client: SimulatedClient): readonly Heard[];
  /** What it remembers of what it was told; it has just been told something. Default, and undefined: all. */
  recollect?(client: SimulatedClient): Recollection | undefined;
}

/**
 * What a client remembers of what it was told since it last rested. Histories that were one when it rested, and agree in
 * `key` now, are one again: from here on the client does and knows the same in both.
 */
export interface Recollection {
  /** Undefined: all. */
  readonly key?: string;
  /** The key says all that it remembers, not only what it was told since it rested. */
  readonly absolute?: boolean;
  /** It rests here, and what it remembers later is told from here on. */
  readonly rests: boolean;
}

/** Something that a client is told. */
type Letter =
  | { readonly kind: 'begin' }
  | {
      readonly kind: 'answer';
      readonly task: number;
      readonly flight: Flight | undefined;
      readonly time: number | undefined;
    }
  | { readonly kind: 'fail'; readonly task: number; readonly code: ErrorCode };

const codes: readonly ErrorCode[] = ['OutcomeUnknown', 'Aborted', 'Fenced', 'OutOfRange', 'Unaligned'];

/** A state of a client: what it was told so far. All else follows from that. */
export class ClientNode<Held, Heard> {
  readonly children = new Map<number, ClientNode<Held, Heard>>();
  instance: Instance<Held, Heard> | undefined;
  /** Where all its further steps fail because it was shut out, it came to its end. */
  buried = false;
  /** What of it matters once it does nothing any more, as a number: when it is done, dead, or shut out. */
  readonly epitaphs: (number | undefined)[] = [];

  constructor(
    readonly id: number,
    readonly parent: ClientNode<Held, Heard> | undefined,
    readonly letter: Letter | undefined,
    /** What its operations wait for. */
    readonly orders: readonly Order[],
    /** Operations that it has not begun. */
    readonly queued: number,
    /** It may begin the next. */
    readonly ready: boolean,
    readonly binding: MemberBinding | undefined,
    readonly held: Held,
    readonly heard: readonly Heard[],
    /** What it threw that is no answer. */
    readonly broken: unknown,
    rested?: ClientNode<Held, Heard>,
  ) {
    this.rested = rested ?? this;
  }

  /** Where it rested last. */
  readonly rested: ClientNode<Held, Heard>;

  /** It never does anything again. */
  get finished(): boolean {
    return this.orders.length === 0 && this.queued === 0;
  }
}

/** A client of shipped code that stands at a node. It can only go on. */
interface Instance<Held, Heard> {
  readonly cast: Cast<Held, Heard>;
  readonly client: SimulatedClient;
  readonly orders: Order[];
}

/** Clients that are kept standing at their nodes. */
const mostInstances = 3000;

/**
 * A client with all that it is to do, as an automaton. Generators cannot be copied: where two histories of a client part, the
 * shipped code is run once more, alone, against the answers that it got in the one that is new. That is done once for a
 * history, however many states of the world it is part of.
 */
export class Automaton<Held, Heard> {
  readonly root: ClientNode<Held, Heard>;
  nodes = 0;
  replays = 0;
  readonly #recollected = new Map<string, ClientNode<Held, Heard>>();

  constructor(
    readonly index: number,
    readonly pool: Pool<Held, Heard>,
    readonly numbers: Numbers,
  ) {
    const instance = pool.fresh(index);
    const { cast, client } = instance;
    this.root = new ClientNode(
      this.nodes++,
      undefined,
      undefined,
      [],
      client.queue.length,
      client.ready,
      client.binding,
      cast.hold?.(client) as Held,
      cast.hear?.(client) ?? [],
      undefined,
    );
    pool.stand(this.root, instance);
  }

  begun(node: ClientNode<Held, Heard>): ClientNode<Held, Heard> {
    return node.children.get(3) ?? this.#extend(node, 3, { kind: 'begin' });
  }

  /** It is told what became of its step; of a control step there is nothing to tell. */
  told(node: ClientNode<Held, Heard>, task: number, flight?: Flight, time?: number): ClientNode<Held, Heard> {
    let key = flight === undefined ? 1 + 8 * task : 8 * flight.id;
    if (time !== undefined) key = 4 + 8 * (task + 32 * time);
    return node.children.get(key) ?? this.#extend(node, key, { kind: 'answer', task, flight, time });
  }

  failed(node: ClientNode<Held, Heard>, task: number, code: ErrorCode): ClientNode<Held, Heard> {
    const key = 2 + 8 * (task + 16 * codes.indexOf(code));
    return node.children.get(key) ?? this.#extend(node, key, { kind: 'fail', task, code });
  }

  /** From now on each of its steps fails: it must come to its end. @throws what it throws that is no answer */
  bury(node: ClientNode<Held, Heard>): void {
    if (node.buried) return;
    node.buried = true;
    const { cast, client } = this.#instance(node);
    for (let step = 0; client.queue.length > 0 || client.tasks.length > 0; step++) {
      if (step > 10_000) throw new Error(`${client.name} was shut out, and comes to no end`);
      const [task] = client.tasks;
      if (task === undefined) cast.simulation.begin(client);
      else if (task.pending instanceof Execution || task.pending?.op === 'bind')
        cast.simulation.fail(task, 'Fenced', 'this lane was shut out');
      else cast.simulation.tell(task, undefined);
    }
  }

  /** The shipped client, standing there: to be looked at. */
  standing(node: ClientNode<Held, Heard>): SimulatedClient {
    const instance = this.#instance(node);
    this.pool.stand(node, instance);
    return instance.client;
  }

  /** The shipped client, standing there, for good. */
  lend(node: ClientNode<Held, Heard>): SimulatedClient {
    return this.#instance(node).client;
  }

  /** The shipped client, standing there. Whoever takes it may let it go on. */
  #instance(node: ClientNode<Held, Heard>): Instance<Held, Heard> {
    const standing = this.pool.take(node);
    if (standing !== undefined) return standing;
    const path: ClientNode<Held, Heard>[] = [];
    for (let at = node; at.parent !== undefined; at = at.parent) path.push(at);
    const instance = this.pool.fresh(this.index);
    this.replays++;
    for (let at = path.length - 1; at >= 0; at--) {
      try {
        this.#apply(instance, path[at]!.letter!);
      } catch (error) {
        if (path[at]!.broken === undefined) throw error;
      }
      instance.orders.splice(0, instance.orders.length, ...path[at]!.orders);
    }
    // It has heard that before.
    instance.cast.hear?.(instance.client);
    instance.cast.recollect?.(instance.client);
    return instance;
  }

  #extend(node: ClientNode<Held, Heard>, key: number, letter: Letter): ClientNode<Held, Heard> {
    const instance = this.#instance(node);
    const { cast, client, orders } = instance;
    const told = letter.kind === 'begin' ? undefined : client.tasks[letter.task];
    const before = new Map(client.tasks.map((task, at) => [task, orders[at]!]));
    let broken: unknown;
    try {
      this.#apply(instance, letter);
    } catch (error) {
      broken = error ?? new Error('something was thrown');
    }
    const after = client.tasks.map((task) => {
      const { pending, operation } = task;
      const same = task === told ? undefined : before.get(task);
      if (same !== undefined) return same;
      if (pending === undefined) return undefined;
      return new Order(operation.name, pending, operation.lane ?? 0, cast.simulation.grain, this.numbers);
    });
    const recollection = broken === undefined ? cast.recollect?.(client) : undefined;
    const memory =
      recollection?.key === undefined
        ? undefined
        : `${recollection.absolute ? 'absolute' : node.rested.id}|${recollection.key}`;
    const known = memory === undefined ? undefined : this.#recollected.get(memory);
    if (known !== undefined) {
      const held = cast.hold?.(client);
      if (
        known.queued !== client.queue.length ||
        !known.orders.every((order, at) => after[at]?.asks(order)) ||
        known.orders.length !== after.length ||
        !isDeepStrictEqual(known.held, held)
      )
        throw new Error(`${client.name} does not remember what tells two of its histories apart: ${memory}`);
      cast.hear?.(client);
      orders.splice(0, orders.length, ...known.orders);
      node.children.set(key, known);
      if (known.instance === undefined) this.pool.stand(known, instance);
      return known;
    }
    orders.splice(0, orders.length, ...after.filter((order) => order !== undefined));
    const child = new ClientNode<Held, Heard>(
      this.nodes++,
      node,
      letter,
      [...orders],
      client.queue.length,
      client.ready,
      client.binding,
      cast.hold?.(client) as Held,
      cast.hear?.(client) ?? [],
      broken,
      recollection === undefined || recollection.rests ? undefined : node.rested,
    );
    if (memory !== undefined) this.#recollected.set(memory, child);
    node.children.set(key, child);
    this.pool.stand(child, instance);
    return child;
  }

  #apply({ cast, client }: Instance<Held, Heard>, letter: Letter): void {
    const { simulation } = cast;
    if (letter.kind === 'begin') {
      simulation.begin(client);
      return;
    }
    const task = client.tasks[letter.task]!;
    if (letter.kind === 'fail') {
      simulation.fail(task, letter.code, 'as it happened');
      return;
    }
    const { pending } = task;
    if (letter.flight !== undefined && pending instanceof Execution) {
      simulation.tell(task, letter.flight.deliver(pending.steps));
      return;
    }
    if (pending !== undefined && 'op' in pending && pending.op === 'bind') client.binding = pending.member;
    simulation.tell(task, letter.time);
  }
}

/** Simulations from their beginning, a client of each of which can be made to go on, and clients that stand somewhere. */
export class Pool<Held, Heard> {
  readonly #make: () => Cast<Held, Heard>;
  readonly #fresh: Instance<Held, Heard>[][] = [];
  readonly #standing = new Set<ClientNode<Held, Heard>>();

  constructor(make: () => Cast<Held, Heard>) {
    this.#make = make;
  }

  /** That client, at its beginning. */
  fresh(index: number): Instance<Held, Heard> {
    const known = this.#fresh[index]?.pop();
    if (known !== undefined) return known;
    const cast = this.#make();
    for (const [at, client] of cast.simulation.clients.entries()) {
      const all = (this.#fresh[at] ??= []);
      // Of the others some are kept for their turn.
      if (at === index || all.length < 16) all.push({ cast, client, orders: [] });
    }
    return this.#fresh[index]!.pop()!;
  }

  stand(node: ClientNode<Held, Heard>, instance: Instance<Held, Heard>): void {
    if (node.broken !== undefined) return;
    node.instance = instance;
    this.#standing.add(node);
    if (this.#standing.size <= mostInstances) return;
    const [oldest] = this.#standing;
    oldest!.instance = undefined;
    this.#standing.delete(oldest!);
  }

  take(node: ClientNode<Held, Heard>): Instance<Held, Heard> | undefined {
    const { instance } = node;
    node.instance = undefined;
    this.#standing.delete(node);
    return instance;
  }
}
