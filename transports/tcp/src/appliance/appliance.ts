import { randomBytes } from 'node:crypto';
import type { Socket } from 'node:net';
import type { RegionMemory } from '@exomem/core';
import { ExomemError } from '@exomem/core';
import { type Address, checkRegionName, formatAddress, formatUrl, parseListen } from '../address.js';
import { Chunks } from '../wire/outbox.js';
import { ApplianceConnection, type Host } from './connection.js';
import { type ApplianceLimits, completeLimits } from './limits.js';
import { type Listener, listen } from './listener.js';
import { ExposedRegion } from './region.js';

/** What an appliance tells whoever observes it. */
export type ApplianceEvent =
  | { readonly type: 'connected'; readonly peer: string; readonly region: string; readonly epoch: number }
  | {
      readonly type: 'disconnected';
      readonly peer: string;
      readonly region: string | undefined;
      readonly reason: string;
    }
  | {
      readonly type: 'bound';
      readonly peer: string;
      readonly region: string;
      readonly slot: number;
      readonly incarnation: number;
    }
  | { readonly type: 'revoked'; readonly region: string; readonly slot: number; readonly incarnation: number };

export interface ApplianceOptions {
  readonly limits?: Partial<ApplianceLimits>;
  /** Called with each event; it must not throw. */
  readonly observe?: (event: ApplianceEvent) => void;
}

/**
 * Exposes regions over TCP and over sockets of the file system. It applies one-sided steps to memory and decides
 * nothing: it does not know what an allocation is.
 *
 * ```ts
 * await using appliance = new Appliance();
 * appliance.expose('scratch', new RegionMemory([new SharedArrayBuffer(65536)]));
 * const address = await appliance.listen('127.0.0.1:0');
 * ```
 */
export class Appliance implements AsyncDisposable {
  readonly limits: ApplianceLimits;
  /** 16 bytes drawn for this object: whoever sees others knows that lanes and revocations were forgotten. */
  readonly instance: Uint8Array = randomBytes(16);
  readonly #observe: (event: ApplianceEvent) => void;
  readonly #regions = new Map<string, ExposedRegion>();
  readonly #connections = new Set<ApplianceConnection>();
  readonly #listeners: Listener[] = [];
  /** Connections that hold a part of a frame, oldest first. */
  readonly #unfinished = new Map<ApplianceConnection, number>();
  #unfinishedBytes = 0;
  readonly #host: Host;
  readonly #watch: NodeJS.Timeout;
  #closing: Promise<void> | undefined;

  /** @throws `InvalidArgument` if a limit is no positive whole number. */
  constructor(options: ApplianceOptions = {}) {
    this.limits = completeLimits(options.limits);
    this.#observe = options.observe ?? (() => undefined);
    this.#host = {
      chunks: new Chunks(this.limits),
      instance: this.instance,
      idle: this.limits.idle,
      turn: this.limits.turn,
      region: (name) => this.#regions.get(name),
      regionNames: () => [...this.#regions.keys()].slice(0, 8).join(', ') || 'none',
      hold: (connection, length) => this.#hold(connection, length),
      release: (connection, length) => this.#release(connection, length),
      admitted: (connection) =>
        this.#observe({
          type: 'connected',
          peer: connection.peer,
          region: connection.region!.name,
          epoch: connection.epoch,
        }),
      bound: (connection) =>
        this.#observe({
          type: 'bound',
          peer: connection.peer,
          region: connection.region!.name,
          ...connection.binding!,
        }),
      revoked: (region, slot, incarnation) =>
        this.#observe({ type: 'revoked', region: region.name, slot, incarnation }),
      ended: (connection, reason) => this.#ended(connection, reason),
    };
    const period = Math.max(5, Math.min(1000, this.limits.hello / 4, this.limits.idle / 4));
    this.#watch = setInterval(() => this.#look(period), period);
    this.#watch.unref();
  }

  /**
   * Makes a region reachable under a name of 1 to 255 bytes.
   * @throws `InvalidArgument`, `Exists`, `Closed`
   */
  expose(name: string, memory: RegionMemory): void {
    this.#checkOpen();
    checkRegionName(name);
    if (this.#regions.has(name)) {
      throw new ExomemError('Exists', `a region "${name}" is exposed already`, { advice: 'choose another name' });
    }
    this.#regions.set(name, new ExposedRegion(name, memory));
  }

  /** Takes a region away: whoever is connected to it is told and disconnected. @throws `NotFound` */
  withdraw(name: string): void {
    const region = this.#regions.get(name);
    if (region === undefined) throw new ExomemError('NotFound', `no region "${name}" is exposed`);
    this.#regions.delete(name);
    for (const connection of this.#connections) {
      if (connection.region === region) connection.refuse('Closed', `region "${name}" is served no longer`);
    }
  }

  /**
   * Listens on `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`, and on each that is asked for. Answers the address with the
   * port that was chosen where 0 was asked for. A socket file that a dead process left is replaced.
   * @throws `InvalidArgument`, `Busy`, `PermissionDenied`, `Unavailable`, `NotFound`, `Closed`
   */
  async listen(where: string | Address): Promise<Address> {
    this.#checkOpen();
    const listener = await listen(typeof where === 'string' ? parseListen(where) : where, (socket) =>
      this.#accept(socket),
    );
    if (this.#closing !== undefined) {
      await listener.close();
      this.#checkOpen();
    }
    this.#listeners.push(listener);
    return listener.address;
  }

  /** Where it listens. */
  get addresses(): readonly Address[] {
    return this.#listeners.map((listener) => listener.address);
  }

  /** The URL of a region at the first address. @throws `Closed` if it listens nowhere. */
  url(region: string): string {
    const address = this.addresses[0];
    if (address === undefined) throw new ExomemError('Closed', 'the appliance listens nowhere');
    return formatUrl(address, region);
  }

  /** Connections now, admitted or not. */
  get connections(): number {
    return this.#connections.size;
  }

  /** Ends every connection, with a word of goodbye, and stops listening. The memory is the caller's. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    clearInterval(this.#watch);
    for (const connection of this.#connections) connection.refuse('Closed', 'the appliance ends');
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    this.#listeners.length = 0;
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw new ExomemError('Closed', 'the appliance is closed');
  }

  #accept(socket: Socket): void {
    // Those who are told why they are refused have a moment; a flood is not told.
    if (this.#connections.size >= 2 * this.limits.connections) {
      socket.destroy();
      return;
    }
    const peer =
      socket.remoteAddress === undefined || socket.remotePort === undefined
        ? 'local'
        : formatAddress({ host: socket.remoteAddress, port: socket.remotePort });
    const connection = new ApplianceConnection(this.#host, socket, peer);
    this.#connections.add(connection);
    if (this.#closing !== undefined) connection.refuse('Closed', 'the appliance ends');
    else if (this.#connections.size > this.limits.connections) {
      connection.refuse('Busy', `the appliance has its ${this.limits.connections} connections already`);
    }
  }

  #ended(connection: ApplianceConnection, reason: string): void {
    this.#connections.delete(connection);
    this.#observe({ type: 'disconnected', peer: connection.peer, region: connection.region?.name, reason });
  }

  /** Honest frames are whole within moments: if parts of frames take too much room, the oldest part is the one to go. */
  #hold(connection: ApplianceConnection, length: number): void {
    this.#unfinished.set(connection, length);
    this.#unfinishedBytes += length;
    while (this.#unfinishedBytes > this.limits.unfinished) {
      const [oldest] = this.#unfinished.keys();
      if (oldest === undefined || oldest === connection) return;
      oldest.refuse('Busy', 'the frame was not completed, and others need the room');
    }
  }

  #release(connection: ApplianceConnection, length: number): void {
    if (this.#unfinished.delete(connection)) this.#unfinishedBytes -= length;
  }

  #look(period: number): void {
    for (const connection of this.#connections) {
      if (connection.heard) {
        connection.heard = false;
        connection.quiet = 0;
      } else connection.quiet += 1;
      if (!connection.admitted && performance.now() - connection.since > this.limits.hello) {
        connection.refuse('DeadlineExceeded', `no HELLO within ${this.limits.hello} ms`);
      } else if (connection.quiet * period > this.limits.idle) {
        connection.refuse('DeadlineExceeded', `not a byte within ${this.limits.idle} ms`);
      }
    }
  }
}

/** What {@link serveTcp} serves. */
export interface ServeOptions extends ApplianceOptions {
  /** Where to listen; `127.0.0.1:7070` unless given. */
  readonly listen?: string | readonly string[];
  /** The regions by name. */
  readonly regions: Readonly<Record<string, RegionMemory>>;
}

/** An appliance that exposes these regions and listens. @throws as {@link Appliance.expose} and {@link Appliance.listen} */
export async function serveTcp(options: ServeOptions): Promise<Appliance> {
  const appliance = new Appliance(options);
  try {
    for (const [name, memory] of Object.entries(options.regions)) appliance.expose(name, memory);
    const places = typeof options.listen === 'string' ? [options.listen] : (options.listen ?? ['127.0.0.1:7070']);
    for (const place of places) await appliance.listen(place);
  } catch (error) {
    await appliance.close();
    throw error;
  }
  return appliance;
}
