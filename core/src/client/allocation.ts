import { ExomemError } from '../errors.js';
import type { FileExtent } from '../namespace/operation.js';
import type { AllocationRequest, Allocator, Extent } from '../policy/policy.js';
import type { ReservedUnit } from '../policy/reserved.js';
import { pageOffset } from '../region/geometry.js';
import type { CallOptions } from '../transport/transport.js';
import { type WatchOptions, wordChanges } from './changes.js';
import type { Client } from './client.js';
import type { RegionFile } from './file.js';
import type { Owner } from './namespace.js';
import { type MemoryWindow, windowOf, windowsOf } from './windows.js';

export interface AllocateOptions extends CallOptions {
  /** The absolute path of a file that the allocation becomes: it outlives its creator, unless `lifetime` says otherwise. */
  readonly name?: string;
  /** `owner`: the file's names vanish when its creator closes or dies; a program that has it open keeps it until then. */
  readonly lifetime?: 'owner';
  /** Bytes, a power of two; default the page size. */
  readonly alignment?: number;
  /** `zero` (default): every byte is 0. `none`: 0, or bytes that this client wrote before; not for a file. */
  readonly initialise?: 'zero' | 'none';
  /** Permission bits of the file; default 0o644. */
  readonly mode?: number;
}

/** Where units of a reservation go back to. */
interface Reserve {
  readonly client: Client;
  readonly allocator: Allocator;
  readonly unitBytes: number;
  restore(unit: ReservedUnit): void;
}

/** Memory in the region that belongs to this program, until it is freed or its owner dies; with a name, for good. */
export class Allocation implements AsyncDisposable {
  #extent: Extent | undefined;
  readonly #home: Reserve | undefined;

  private constructor(
    readonly client: Client,
    /** Whose memory it is. */
    readonly allocator: Allocator,
    /** Bytes that were asked for. */
    readonly length: number,
    extent: Extent | undefined,
    /** The path, if it has one. */
    readonly name: string | undefined,
    readonly file: RegionFile | undefined,
    /** Where it goes back to, if it is a unit of a reservation. */
    home?: Reserve,
    /** For a file: the run that it was made of. */
    made?: Extent,
  ) {
    this.#extent = extent;
    this.#home = home;
    this.#made = made;
  }
  readonly #made: Extent | undefined;

  static async create(
    client: Client,
    allocator: Allocator,
    bytes: number,
    options: AllocateOptions,
    /** Whom a file ends with, if it shall. */
    owner: Owner = client,
  ): Promise<Allocation> {
    const { name, signal } = options;
    if (signal?.aborted) throw new ExomemError('Aborted', 'aborted before it began', { cause: signal.reason });
    const request = requestOf(client, bytes, options);
    const work =
      name === undefined
        ? Allocation.#anonymous(client, allocator, bytes, request)
        : Allocation.#named(client, bytes, request, name, {
            mode: options.mode ?? 0o644,
            owner: options.lifetime === 'owner' ? owner : undefined,
          });
    return abandonable(work, options, (allocation) => allocation.free());
  }

  /** A handle on what the structure says is held. */
  static of(client: Client, allocator: Allocator, extent: Extent, bytes?: number): Allocation {
    const length = bytes ?? extent.pages * client.geometry.pageSize;
    return new Allocation(client, allocator, length, extent, undefined, undefined);
  }

  /** A handle on a unit of a reservation, to which it goes back. */
  static reserved(home: Reserve, unit: ReservedUnit): Allocation {
    return new Allocation(home.client, home.allocator, home.unitBytes, unit, undefined, undefined, home);
  }

  static createSync(client: Client, bytes: number, options: AllocateOptions): Allocation {
    return new Allocation(
      client,
      client.allocator,
      bytes,
      client.runSync(client.allocator.allocate(requestOf(client, bytes, options))),
      undefined,
      undefined,
    );
  }

  static async #anonymous(
    client: Client,
    allocator: Allocator,
    bytes: number,
    request: AllocationRequest,
  ): Promise<Allocation> {
    return new Allocation(
      client,
      allocator,
      bytes,
      await client.allocateExtent(request, allocator),
      undefined,
      undefined,
    );
  }

  static async #named(
    client: Client,
    bytes: number,
    request: AllocationRequest,
    name: string,
    attributes: { readonly mode: number; readonly owner: Owner | undefined },
  ): Promise<Allocation> {
    // Others read a file: they must not find in it what this client wrote elsewhere before.
    const whole = { ...request, initialise: 'zero', named: true } as const;
    // Pages and the newest of the log are fetched together: one round trip, and one more for the record.
    const [placed, claimed] = await Promise.allSettled([client.namespace.place(name), client.allocateExtent(whole)]);
    const check = (): { parent: number; base: string } => {
      if (placed.status === 'rejected') throw placed.reason;
      const { parent, base } = placed.value;
      if (client.state.lookup(parent, base) === undefined) return placed.value;
      throw new ExomemError('Exists', `${name} exists`, { where: client.where });
    };
    if (claimed.status === 'rejected') {
      // What is wrong with the name is known for sure; that there is no room may change.
      check();
      throw claimed.reason;
    }
    const extent = claimed.value;
    const extents: FileExtent[] = [{ at: 0, page: extent.page, pages: extent.pages }];
    try {
      const { parent, base } = check();
      const inode = await client.namespace.create(parent, base, { kind: 'file', ...attributes, size: bytes, extents });
      client.settle(inode, extents);
      return new Allocation(
        client,
        client.allocator,
        bytes,
        undefined,
        name,
        client.openFile(inode),
        undefined,
        extent,
      );
    } catch (error) {
      await client.run(client.allocator.release(extent.page, extent.pages));
      throw error;
    }
  }

  /** Where it lies in the region, in bytes. @throws `UnsupportedCapability` for a file of several extents, `StaleHandle`. */
  get offset(): number {
    if (this.file !== undefined) return this.file.offset;
    return pageOffset(this.client.geometry, this.#live().page);
  }

  /** Whether it is a unit of a reservation. */
  get reserved(): boolean {
    return this.#home !== undefined;
  }

  /** Its pages. @throws `StaleHandle`, `Fenced`; `InvalidArgument` for a file. */
  get extent(): Extent {
    if (this.file !== undefined) throw new ExomemError('InvalidArgument', `${this.name} is a file: free it by itself`);
    return this.#live();
  }

  #live(): Extent {
    if (this.allocator.retired) throw new ExomemError('Fenced', 'this memory belongs to another client now');
    if (this.#extent === undefined || !this.#extent.live)
      throw new ExomemError('StaleHandle', 'this allocation was freed');
    return this.#extent;
  }

  /** Reads `target.byteLength` bytes from `position` on. @throws `OutOfRange`, `StaleHandle`. */
  async read(position: number, target: Uint8Array): Promise<void> {
    if (this.file !== undefined) {
      this.#range(position, target.byteLength);
      await this.file.read(position, target);
      return;
    }
    const offset = this.#at(position, target.byteLength);
    await this.client.lease();
    await this.client.readBytes(offset, target);
    await this.client.lease();
  }

  /** Writes `source` at `position`. @throws `OutOfRange`, `StaleHandle`. */
  async write(position: number, source: Uint8Array): Promise<void> {
    if (this.file !== undefined) {
      this.#range(position, source.byteLength);
      await this.file.write(position, source);
      return;
    }
    const offset = this.#at(position, source.byteLength);
    await this.client.lease();
    await this.client.writeBytes(offset, source);
  }

  /**
   * The values of the 64-bit word at `position`, a multiple of 8: what it is now, and then each time that it is found changed.
   * Values in between may be passed over.
   * @throws `OutOfRange`, `Unaligned`, `StaleHandle`
   */
  watchWord(position: number, options: WatchOptions = {}): AsyncIterable<bigint> {
    this.#range(position, 8);
    const { client } = this;
    const look = async (): Promise<bigint> => {
      const bytes = new Uint8Array(8);
      // A word that is read as bytes is whole, too.
      await this.read(position, bytes);
      return new DataView(bytes.buffer).getBigUint64(0, true);
    };
    if (position % 8 !== 0) throw new ExomemError('Unaligned', `${position} is no multiple of 8`);
    return { [Symbol.asyncIterator]: () => wordChanges(client, look, options) };
  }

  /**
   * The memory itself, where the transport shares it. It is this allocation's until that is freed, or this client ends.
   * @throws `UnsupportedCapability` where memory is not shared (read and write it), or lies in pieces (see {@link windows}).
   */
  async map(): Promise<Uint8Array> {
    if (this.file !== undefined) return this.file.map();
    return this.mapSync();
  }
  mapSync(): Uint8Array {
    if (this.file !== undefined)
      throw new ExomemError('InvalidArgument', 'a file is mapped by `map()`, which publishes it');
    return windowOf(this.client.session, this.#at(0, this.length), this.length);
  }

  /** The memory itself in the pieces that it lies in: of a file of several extents, or over more than one buffer. Errors as {@link map}. */
  async windows(): Promise<MemoryWindow[]> {
    if (this.file !== undefined) return this.file.windows();
    return windowsOf(this.client.session, this.#at(0, this.length), this.length, 0);
  }

  /** Why it lies where it lies. */
  explain(): string {
    if (this.#made !== undefined) return `the file ${this.name}: ${this.allocator.explain(this.#made)}`;
    return this.allocator.explain(this.#live());
  }

  /** Gives the memory back; with a name, removes it. @throws `StaleHandle` if it was freed before. */
  async free(): Promise<void> {
    if (this.file !== undefined) {
      await this.file.close();
      await this.client.namespace.unlink(this.name!);
      return;
    }
    if (this.#home !== undefined) this.freeSync();
    else await this.client.run(this.allocator.free(this.#live()));
  }
  /** The same without a promise; of a unit of a reservation over any transport. @throws `UnsupportedCapability` else unless it is synchronous. */
  freeSync(): void {
    const extent = this.#live();
    if (this.#home !== undefined) this.#home.restore(extent as ReservedUnit);
    else this.client.runSync(this.allocator.free(extent));
  }

  /** Anonymous memory is freed; a file is closed, and stays. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.file !== undefined) await this.file.close();
    else if (this.#extent?.live) await this.free();
  }

  #at(position: number, length: number): number {
    const { page } = this.#live();
    this.#range(position, length);
    return pageOffset(this.client.geometry, page) + position;
  }

  #range(position: number, length: number): void {
    if (!Number.isSafeInteger(position) || position < 0 || position + length > this.length) {
      throw new ExomemError(
        'OutOfRange',
        `${length} bytes at ${position} do not lie in an allocation of ${this.length} bytes`,
      );
    }
  }
}

/** What the policy is asked for. @throws `OutOfRange` */
export function requestOf(
  client: Client,
  bytes: number,
  options: Pick<AllocateOptions, 'alignment' | 'initialise'>,
): AllocationRequest & { readonly initialise: 'zero' | 'none' } {
  if (!Number.isSafeInteger(bytes) || bytes < 1) {
    throw new ExomemError('OutOfRange', `${bytes} bytes cannot be allocated: it must be a positive whole number`);
  }
  return {
    pages: Math.ceil(bytes / client.geometry.pageSize),
    alignment: options.alignment,
    initialise: options.initialise ?? 'zero',
  };
}

/**
 * The caller may stop waiting; the work goes on to its end and is undone then. So an abort leaks nothing, at whatever
 * step it comes.
 */
export function abandonable<T>(
  work: Promise<T>,
  { signal, timeout }: CallOptions,
  undo: (value: T) => Promise<void>,
): Promise<T> {
  if (signal === undefined && timeout === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    let over = false;
    const giveUp = (code: 'Aborted' | 'DeadlineExceeded', what: string): void => {
      over = true;
      end();
      reject(new ExomemError(code, what, { cause: signal?.reason }));
    };
    const onAbort = (): void => giveUp('Aborted', 'aborted');
    const timer =
      timeout === undefined
        ? undefined
        : setTimeout(() => giveUp('DeadlineExceeded', `not done within ${timeout} ms`), timeout);
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    work.then(
      (value) => {
        if (over) undo(value).catch(() => undefined);
        else {
          end();
          resolve(value);
        }
      },
      (error) => {
        if (over) return;
        end();
        reject(error);
      },
    );
  });
}
