import type { RegionFile } from '@exomem/core';

/** Bytes that travel at a time. */
export const chunkBytes = 4 * 1024 * 1024;
/** Chunks under way at once when reading: enough to keep the connection busy while the other end writes. */
const depth = 3;

/** Hears how far it is. Bytes. */
export interface Told {
  update(done: number, total?: number): void;
}

/** Hands the bytes of a file to `sink`, chunk after chunk in order; a chunk's memory is used again after that. */
export async function download(
  file: RegionFile,
  sink: (bytes: Uint8Array) => Promise<void> | void,
  progress: Told,
  signal: AbortSignal,
): Promise<number> {
  const total = file.size;
  const buffers = Array.from(
    { length: Math.min(depth, Math.ceil(total / chunkBytes)) },
    () => new Uint8Array(Math.min(chunkBytes, total)),
  );
  let asked = 0;
  let done = 0;
  const under: { bytes: Uint8Array; read: Promise<number> }[] = [];
  const ask = (buffer: Uint8Array): void => {
    if (asked >= total) return;
    const bytes = buffer.subarray(0, Math.min(chunkBytes, total - asked));
    const read = file.read(asked, bytes);
    read.catch(() => undefined);
    under.push({ bytes, read });
    asked += bytes.length;
  };
  for (const buffer of buffers) ask(buffer);
  try {
    for (let next = under.shift(); next !== undefined; next = under.shift()) {
      signal.throwIfAborted();
      const length = await next.read;
      await sink(next.bytes.subarray(0, length));
      done += length;
      progress.update(done, total);
      // Somebody cut it off meanwhile.
      if (length < next.bytes.length) break;
      ask(new Uint8Array(next.bytes.buffer));
    }
  } finally {
    await Promise.allSettled(under.map(({ read }) => read));
  }
  return done;
}

/** Hands what `source` fills to `sink`: it answers how many bytes, all but the last time as many as there is room for. */
export async function upload(
  sink: (bytes: Uint8Array) => Promise<void>,
  source: (target: Uint8Array) => Promise<number>,
  progress: Told,
  signal: AbortSignal,
  total?: number,
): Promise<number> {
  // While one is on its way into the region, the other is filled.
  const length = Math.min(chunkBytes, Math.max(1, total ?? chunkBytes));
  const buffers = [new Uint8Array(length), new Uint8Array(total === undefined || total > length ? length : 1)];
  let written: Promise<void> = Promise.resolve();
  let done = 0;
  try {
    for (let turn = 0; ; turn = 1 - turn) {
      signal.throwIfAborted();
      const count = await source(buffers[turn]!);
      await written;
      if (count === 0) return done;
      written = sink(buffers[turn]!.subarray(0, count));
      written.catch(() => undefined);
      done += count;
      progress.update(done, total);
    }
  } finally {
    await written.catch(() => undefined);
  }
}
