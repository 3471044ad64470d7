import { ExomemError } from '@exomem/core';
import { advice, type Libc } from './libc.js';

/** The longest segment: a buffer over foreign memory may not reach 4 GiB. Bytes. */
export const segmentBytes = 1_073_741_824;
/** What one call brings into memory: it runs beside the event loop, and an abort waits for it. Bytes. */
const strideBytes = 33_554_432;
const pageBytes = 4096;
const EINVAL = 22;

export interface Progress {
  /** Told the bytes done and the bytes in all, after each stretch. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Calls `run` for each stretch of `size` bytes, one after the other, and reports. @throws `Aborted` */
export async function inStretches(
  size: number,
  progress: Progress,
  run: (at: number, length: number) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < size; ) {
    if (progress.signal?.aborted) {
      throw new ExomemError('Aborted', `aborted after ${at} of ${size} bytes`, { cause: progress.signal.reason });
    }
    const length = Math.min(strideBytes, size - at);
    await run(at, length);
    at += length;
    progress.onProgress?.(at, size);
  }
}

/** A shared mapping of a whole file, for the life of the process: nobody knows when the last view of it is gone. */
export class Mapping {
  readonly segments: readonly ArrayBuffer[];
  readonly #libc: Libc;
  readonly #address: bigint;
  readonly #size: number;

  /** @throws `Unavailable` */
  constructor(libc: Libc, fd: number, size: number) {
    this.#libc = libc;
    this.#size = size;
    this.#address = libc.map(fd, size);
    const segments: ArrayBuffer[] = [];
    for (let at = 0; at < size; at += segmentBytes) {
      segments.push(libc.view(this.#address + BigInt(at), Math.min(segmentBytes, size - at)));
    }
    this.segments = segments;
  }

  /** Brings every page into memory, as new pages of a memory file or as those that a file has already. */
  async populate(fresh: boolean, progress: Progress): Promise<void> {
    if (fresh) await this.#libc.advise(this.#address, this.#size, advice.hugePages);
    const what = fresh ? advice.populateWrite : advice.populateRead;
    await inStretches(this.#size, progress, async (at, length) => {
      const error = await this.#libc.advise(this.#address + BigInt(at), length, what);
      if (error === 0) return;
      if (error !== EINVAL) {
        throw new ExomemError(
          'Unavailable',
          `only ${at} of ${this.#size} bytes could be set aside: error ${error} of the system`,
          {
            advice: 'ask for less, or make room',
          },
        );
      }
      // Kernels before 5.14 do not know the advice: touch the pages.
      touch(this.segments, at, length, fresh);
    });
  }

  /** Gives the memory of a memory file back; views of it go on to exist and show zeros. */
  async remove(): Promise<void> {
    await this.#libc.advise(this.#address, this.#size, advice.remove);
  }
}

/** Touches each page of a stretch, which lies in one segment. */
export function touch(segments: readonly ArrayBufferLike[], at: number, length: number, write: boolean): void {
  const segment = Math.floor(at / segmentBytes);
  const bytes = new Uint8Array(segments[segment]!, at - segment * segmentBytes, length);
  let sum = 0;
  for (let page = 0; page < length; page += pageBytes) {
    if (write) bytes[page] = 0;
    else sum += bytes[page]!;
  }
  if (Number.isNaN(sum)) throw new RangeError('a page holds no bytes');
}
