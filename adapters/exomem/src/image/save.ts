import { Checkpoint, type Client, type PageSpan } from '@exomem/core';
import { chunkBytes } from '../commands/transfer.js';
import { SparseFile } from './sparse-file.js';

/** Chunks under way at once. */
const depth = 3;

export interface Saved {
  /** Bytes of the region, and those of them that take room in the file. */
  readonly size: number;
  readonly written: number;
  /** Every record of the log below is in it. */
  readonly index: number;
  readonly files: number;
}

export interface SaveOptions {
  /** A file that has the name gives way. */
  readonly replace: boolean;
  readonly signal: AbortSignal;
  readonly onProgress: (done: number, total: number) => void;
}

/** Saves a region that others go on using as a file. See {@link Checkpoint} for what is in it. */
export async function saveRegion(client: Client, path: string, options: SaveOptions): Promise<Saved> {
  const { signal, onProgress } = options;
  await using file = await SparseFile.create(path, client.geometry.regionBytes, options.replace);
  using checkpoint = await Checkpoint.begin(client);
  const chunks = chunksOf(checkpoint);
  const total = chunks.reduce((sum, { length }) => sum + length, 0);
  let done = 0;
  let next = 0;
  let failed: unknown;
  const work = async (): Promise<void> => {
    const buffer = new Uint8Array(Math.min(chunkBytes, total));
    while (next < chunks.length && failed === undefined) {
      signal.throwIfAborted();
      const { offset, length } = chunks[next++]!;
      const bytes = buffer.subarray(0, length);
      await checkpoint.read(offset, bytes);
      await file.write(offset, bytes);
      done += length;
      onProgress(done, total);
    }
  };
  const workers = Array.from({ length: Math.min(depth, chunks.length) }, () =>
    work().catch((error) => {
      failed ??= error;
    }),
  );
  await Promise.all(workers);
  if (failed !== undefined) throw failed;
  for (const { offset, bytes } of await checkpoint.finish()) {
    signal.throwIfAborted();
    await file.write(offset, bytes);
  }
  await file.commit();
  return { size: checkpoint.size, written: file.written, index: checkpoint.index, files: checkpoint.files };
}

interface Chunk {
  readonly offset: number;
  readonly length: number;
}

/** The pages, those in a row together. */
function chunksOf(checkpoint: Checkpoint): Chunk[] {
  const { pageSize } = checkpoint;
  const most = Math.max(1, Math.floor(chunkBytes / pageSize));
  const chunks: Chunk[] = [];
  const add = (page: number, pages: number): void => {
    for (let at = page; at < page + pages; at += most) {
      const count = Math.min(most, page + pages - at);
      chunks.push({ offset: checkpoint.offsetOf(at), length: count * pageSize });
    }
  };
  let row: PageSpan | undefined;
  for (const span of checkpoint.pages) {
    if (row !== undefined && row.page + row.pages === span.page) {
      row = { page: row.page, pages: row.pages + span.pages };
    } else {
      if (row !== undefined) add(row.page, row.pages);
      row = span;
    }
  }
  if (row !== undefined) add(row.page, row.pages);
  return chunks;
}
