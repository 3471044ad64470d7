import { ExomemError, isExomemError } from '../errors.js';
import type { Inode } from '../namespace/inode.js';
import { surely } from '../policy/resolve.js';
import { decodeHold, type LockPlace, lastTurn, releaseHold, takeHold } from '../protocol/hold.js';
import type { MemberLine } from '../protocol/membership.js';
import type { Protocol } from '../protocol/protocol.js';
import { memberState } from '../region/words.js';
import { load, write } from '../transport/step.js';
import type { CallOptions } from '../transport/transport.js';
import type { Client } from './client.js';
import type { RegionFile } from './file.js';

/** Bytes of a lock's file: who holds it, and a sign that somebody waits. */
export const lockBytes = 16;
/** What tells it from other files of that length. */
const lockMode = 0o1666;
/** Milliseconds between two looks at a lock that somebody else holds. */
const shortest = 1;
const longest = 50;

/** A lock by name that is held. It is released, or ends with its client. */
export class HeldLock implements AsyncDisposable {
  readonly #lost = new AbortController();
  readonly #give: (held: HeldLock) => Promise<void>;
  #released: Promise<void> | undefined;

  constructor(
    readonly path: string,
    /** Grows with each holder of this name: what the lock guards may refuse whoever comes with a lower one. */
    readonly token: bigint,
    readonly file: RegionFile,
    give: (held: HeldLock) => Promise<void>,
  ) {
    this.#give = give;
  }

  /** Aborted when it is lost: the client was declared dead, or the lock's file was removed. The reason says which. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }
  /** Not released, and not lost as far as is known here. */
  get held(): boolean {
    return this.#released === undefined && !this.#lost.signal.aborted;
  }
  lose(error: ExomemError): void {
    if (this.#released === undefined) this.#lost.abort(error);
  }

  /** @throws `Fenced` if it is lost, `Closed` if it was released */
  check(): void {
    if (this.#lost.signal.aborted) throw this.#lost.signal.reason;
    if (this.#released !== undefined) throw new ExomemError('Closed', `the lock ${this.path} was released`);
    this.file.client.check();
  }

  /** Gives it back. Idempotent. @throws `Fenced` if it was lost. */
  release(): Promise<void> {
    this.#released ??= this.#give(this);
    return this.#released;
  }
  /** The same; that it was lost is no error here: `lost` tells. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.release().catch((error) => {
      if (!isExomemError(error, 'Fenced')) throw error;
    });
  }
}

/** What there is to see of a lock by name. */
export interface LockState {
  /** Of whoever holds it, or held it last; 0 in its last 28 bits: nobody ever did. */
  readonly token: bigint;
  /** Who holds it, and is a member. Undefined: it can be taken. */
  readonly holder: MemberLine | undefined;
}

/** Looks at the lock that a file is. Undefined: it is none. For whoever only looks, too. */
export async function readLock(client: Client, inode: number): Promise<LockState | undefined> {
  if (!isLock(client.state.inode(inode))) return undefined;
  const bytes = new Uint8Array(lockBytes);
  await using file = client.openFile(inode);
  await file.read(0, bytes);
  const { turn, slot, incarnation } = decodeHold(new DataView(bytes.buffer).getBigUint64(0, true));
  const line = incarnation === 0 ? undefined : (await client.members()).members[slot];
  const holds = line?.incarnation === incarnation && isActive(line);
  return { token: tokenOf(inode, turn), holder: holds ? line : undefined };
}

function isActive({ state }: MemberLine): boolean {
  return state === memberState.active || state === memberState.joining;
}
/** Another for each holder of a name, and higher than all before. */
function tokenOf(inode: number, turn: number): bigint {
  return (BigInt(inode) << 28n) | BigInt(turn);
}

/** Who waits in this client for a lock that this client has: one after the other. */
class Queue {
  readonly #waiting: (() => void)[] = [];
  #taken = false;

  /** Undefined: it is one's turn. */
  enter(signal: AbortSignal): Promise<void> | undefined {
    if (!this.#taken) {
      this.#taken = true;
      return undefined;
    }
    return new Promise((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason);
      };
      this.#waiting.push(enter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }
  /** Whether nobody is left. */
  leave(): boolean {
    const next = this.#waiting.shift();
    if (next === undefined) this.#taken = false;
    else next();
    return !this.#taken;
  }
}

/** The locks by name of one client. Each is a file of 16 bytes, whose first word says who holds it. */
export class Locks {
  readonly #client: Client;
  readonly #held = new Set<HeldLock>();
  readonly #queues = new Map<number, Queue>();
  /** Locks that others waited for when we gave them back: who takes one again lets them try first. */
  readonly #yield = new Set<number>();

  constructor(client: Client) {
    this.#client = client;
  }

  async take(path: string, options: CallOptions): Promise<HeldLock> {
    const { client } = this;
    client.mustBeMember();
    if (client.session.capabilities.atomics === 'none') {
      throw new ExomemError('UnsupportedCapability', 'a lock by name takes a transport with compareExchange', {
        where: client.where,
      });
    }
    const limit = limitOf(options);
    try {
      for (;;) {
        limit.signal.throwIfAborted();
        const file = await this.#open(path);
        const held = await this.#takeFile(path, file, limit.signal);
        if (held !== undefined) return held;
      }
    } finally {
      limit.end();
    }
  }

  get client(): Client {
    return this.#client;
  }

  /** The file of a lock, made if there is none. */
  async #open(path: string): Promise<RegionFile> {
    const { client } = this;
    for (;;) {
      try {
        const file = client.openFile(await client.namespace.resolve(path));
        if (isLock(client.state.inode(file.inode))) return file;
        await file.close();
        throw new ExomemError('InvalidArgument', `${path} is a file of other things, and no lock`, {
          where: client.where,
        });
      } catch (error) {
        if (!isExomemError(error, 'NotFound')) throw error;
      }
      try {
        const { file } = await client.allocate(lockBytes, { name: path, mode: lockMode });
        return file!;
      } catch (error) {
        if (!isExomemError(error, 'Exists')) throw error;
      }
    }
  }

  /** Undefined: the file is another's place by now. It is closed unless the lock is held. */
  async #takeFile(path: string, file: RegionFile, signal: AbortSignal): Promise<HeldLock | undefined> {
    const { inode } = file;
    let queue = this.#queues.get(inode);
    if (queue === undefined) this.#queues.set(inode, (queue = new Queue()));
    let held: HeldLock | undefined;
    let entered = false;
    try {
      await queue.enter(signal);
      entered = true;
      const turn = await this.#wait(path, file, signal);
      if (turn === undefined) return undefined;
      held = new HeldLock(path, tokenOf(inode, turn), file, (one) => this.#give(one, turn));
      // Whoever removed the file meanwhile may have made another: the log tells, to its end.
      await this.client.refresh();
      if (file.orphan === undefined) {
        this.#held.add(held);
        return held;
      }
      held = undefined;
      return undefined;
    } finally {
      if (held === undefined) {
        if (entered) this.#leave(inode);
        await file.close().catch(() => undefined);
      }
    }
  }

  /** Waits until the lock is ours. The turn, or undefined: its file is gone, or worn out. */
  async #wait(path: string, file: RegionFile, signal: AbortSignal): Promise<number | undefined> {
    const { surroundings } = this.client;
    if (this.#yield.delete(file.inode)) await surroundings.sleep(longest, signal);
    for (let pause = shortest; ; pause = Math.min(longest, pause * 2)) {
      signal.throwIfAborted();
      if (file.orphan !== undefined) return undefined;
      const turn = await this.#at(file, (place) => takeHold(place));
      if (turn !== undefined) return turn;
      const [word] = await this.#at(file, ({ offset }) => signOfWaiting(offset, this.client.member.slot));
      if (Number(word! >> 36n) === lastTurn) return this.#replace(path, file);
      // Not all at once: half of it by chance.
      await surroundings.sleep(pause * (0.5 + (surroundings.random() % 1000) / 2000), signal);
    }
  }

  /** A lock that was taken as often as can be counted gives way to another of its name. */
  async #replace(path: string, file: RegionFile): Promise<undefined> {
    const { client } = this;
    const { inode } = file;
    const { parent, base } = await client.namespace.place(path);
    const time = client.surroundings.wallClock();
    await client
      .append((state) => {
        // Whoever was faster has made the next one already.
        if (state.lookup(parent, base)?.inode !== inode) throw new ExomemError('NotFound', 'it gave way already');
        return [{ op: 'unlink', parent, name: base, inode, directory: false, time }];
      })
      .catch((error) => {
        if (!isExomemError(error, 'NotFound')) throw error;
      });
    return undefined;
  }

  /** Does something at a lock's words, whose page nobody reuses meanwhile. */
  async #at<T>(file: RegionFile, protocol: (place: LockPlace) => Protocol<T>): Promise<T> {
    const { client } = this;
    await client.lease();
    const { index } = client.replica;
    client.pins.take(index);
    try {
      const { geometry, member } = client;
      return await client.run(protocol({ geometry, offset: file.offset, member }));
    } finally {
      client.pins.give(index);
    }
  }

  async #give(held: HeldLock, turn: number): Promise<void> {
    const { file } = held;
    const { inode } = file;
    try {
      if (held.lost.aborted) throw held.lost.reason;
      const sign = await this.#at(file, (place) => releaseHold(place, turn));
      const own = BigInt(this.client.member.slot + 1);
      if (sign === 0n || sign === own) return;
      this.#yield.add(inode);
      await this.#at(file, ({ offset }) => surely(write(offset + 8, new Uint8Array(8))));
    } finally {
      this.#held.delete(held);
      this.#leave(inode);
      await file.close().catch(() => undefined);
    }
  }

  #leave(inode: number): void {
    if (this.#queues.get(inode)?.leave()) this.#queues.delete(inode);
  }

  /** A file has lost its last name. */
  removed(inode: number): void {
    for (const held of this.#held) {
      if (held.file.inode !== inode) continue;
      held.lose(
        new ExomemError('Fenced', `the file of the lock ${held.path} was removed`, {
          advice: 'take it again: another may hold it already',
        }),
      );
    }
  }
  /** The client is over. */
  lose(error: ExomemError): void {
    for (const held of this.#held) held.lose(error);
  }
  /** Gives back all that is held. */
  async close(): Promise<void> {
    for (const held of [...this.#held]) await held.release().catch(() => undefined);
  }
}

/** Whether it was made as a lock. */
function isLock({ size, mode, extents }: Inode): boolean {
  return size === lockBytes && mode === lockMode && extents.length === 1;
}

/** Leaves a sign that somebody waits, for whoever gives the lock back; answers the lock's word. */
function* signOfWaiting(offset: number, slot: number): Protocol<bigint[]> {
  const sign = new Uint8Array(8);
  new DataView(sign.buffer).setBigUint64(0, BigInt(slot + 1), true);
  yield* surely(write(offset + 8, sign));
  return [(yield* surely(load(offset))) as bigint];
}

/** Ends a wait, by the caller or by its deadline. */
function limitOf({ signal, timeout }: CallOptions): { readonly signal: AbortSignal; end(): void } {
  const stop = new AbortController();
  const onAbort = (): void =>
    stop.abort(new ExomemError('Aborted', 'aborted while it waited for a lock', { cause: signal?.reason }));
  if (signal?.aborted) onAbort();
  signal?.addEventListener('abort', onAbort, { once: true });
  const late = (): void => stop.abort(new ExomemError('DeadlineExceeded', `no lock within ${timeout} ms`));
  const timer = timeout === undefined ? undefined : setTimeout(late, timeout);
  const end = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', onAbort);
  };
  return { signal: stop.signal, end };
}
