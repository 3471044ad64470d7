import type { Socket } from 'node:net';

/** Bytes of a buffer that frames are gathered in. */
const chunkBytes = 262_144;
/** Frames up to this many bytes are copied out of it, so that a slow reader does not keep a whole buffer for them. */
const copyBytes = 16_384;

/** How much may wait in sockets. Bytes. */
export interface QueueLimits {
  /** For one connection. */
  readonly queued: number;
  /** In large buffers, for all of them. */
  readonly queuedTotal: number;
  /** For one connection, once `queuedTotal` is used up. */
  readonly frugal: number;
}

/**
 * The buffers that frames are written into, shared by all connections of a kind in a thread: one of them is in use at a
 * time, and it is used again at once where the kernel took everything. Only a slow reader keeps some.
 */
export class Chunks {
  readonly limits: QueueLimits;
  current = newChunk();
  view = viewOf(this.current);
  /** Bytes in the hands of sockets. */
  lent = 0;
  /** Whose bytes lie in the current one. */
  owner: Outbox | undefined;
  readonly #free: Buffer[] = [];

  constructor(limits: QueueLimits) {
    this.limits = limits;
  }

  get scarce(): boolean {
    return this.lent >= this.limits.queuedTotal;
  }

  /** Gives the current buffer away and puts another in its place. */
  lend(): Buffer {
    const chunk = this.current;
    this.lent += chunkBytes;
    this.current = this.#free.pop() ?? newChunk();
    this.view = viewOf(this.current);
    return chunk;
  }

  giveBack(chunk: Buffer): void {
    this.lent -= chunkBytes;
    if (this.#free.length < 8) this.#free.push(chunk);
  }
}

/** What one connection has to send. Bounded: see {@link Outbox.blocked}. */
export class Outbox {
  readonly #socket: Socket;
  readonly #chunks: Chunks;
  readonly #lent: Buffer[] = [];
  #from = 0;
  #used = 0;

  constructor(socket: Socket, chunks: Chunks) {
    this.#socket = socket;
    this.#chunks = chunks;
  }

  /** The peer leaves too much unread: produce nothing more until the socket drains. */
  get blocked(): boolean {
    const { limits, scarce } = this.#chunks;
    return this.#socket.writableLength >= (scarce ? limits.frugal : limits.queued);
  }

  /** The buffer that positions count in; another one after the next `reserve`. */
  get bytes(): Buffer {
    return this.#chunks.current;
  }

  get view(): DataView {
    return this.#chunks.view;
  }

  /** Room for `length` bytes, at most what a batch may have, at the position that is answered. */
  reserve(length: number): number {
    this.#own();
    if (this.#used + length > this.#capacity && this.#used > 0) this.flush();
    const at = this.#used;
    this.#used = at + length;
    return at;
  }

  /** Copies `bytes` in, at most what a batch may have. */
  put(bytes: Uint8Array): void {
    // Making room may put another buffer in the place of the current one.
    const at = this.reserve(bytes.byteLength);
    this.#chunks.current.set(bytes, at);
  }

  /** Gives back what of the last reservation was not needed. */
  shrinkTo(end: number): void {
    this.#used = end;
  }

  /** Sends what there is and begins anew at `phase`, so that what is put in next lies like the words of the region. */
  restart(phase: number): void {
    this.flush();
    this.#own();
    this.#from = phase;
    this.#used = phase;
  }

  /** Bytes that still fit. */
  get room(): number {
    return this.#capacity - this.#used;
  }

  flush(): void {
    const from = this.#from;
    const to = this.#used;
    this.#from = 0;
    this.#used = 0;
    if (to === from || this.#socket.destroyed) return;
    if (this.#lent.length > 0 && this.#socket.writableLength === 0) this.drained();
    if (to - from <= copyBytes || this.#chunks.scarce) {
      const copy = Buffer.allocUnsafe(to - from);
      this.#chunks.current.copy(copy, 0, from, to);
      this.#socket.write(copy);
      return;
    }
    this.#socket.write(this.#chunks.current.subarray(from, to));
    if (this.#socket.writableLength > 0) this.#lent.push(this.#chunks.lend());
  }

  /** The socket holds nothing any more. */
  drained(): void {
    for (const chunk of this.#lent) this.#chunks.giveBack(chunk);
    this.#lent.length = 0;
  }

  #own(): void {
    if (this.#chunks.owner === this) return;
    this.#chunks.owner?.flush();
    this.#chunks.owner = this;
  }

  get #capacity(): number {
    return this.#chunks.scarce ? this.#chunks.limits.frugal : chunkBytes;
  }
}

function newChunk(): Buffer {
  return Buffer.allocUnsafeSlow(chunkBytes);
}

function viewOf(chunk: Buffer): DataView {
  return new DataView(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
