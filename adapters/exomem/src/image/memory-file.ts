import { open } from 'node:fs/promises';
import {
  decodeSuperblock,
  ExomemError,
  type Geometry,
  isExomemError,
  type RegionMemory,
  superblockBytes,
} from '@exomem/core';
import { localFailure } from '../commands/local.js';
import { noRegion } from './no-region.js';
import { SparseFile } from './sparse-file.js';

const chunkBytes = 4 * 1024 * 1024;

/** Bytes of the region that a file has. @throws `NotFound`, `NotFormatted`, `Damaged`, `Incompatible`, `InvalidArgument` */
export async function imageSize(path: string): Promise<number> {
  try {
    await using handle = await open(path, 'r');
    const stats = await handle.stat();
    if (!stats.isFile()) throw new ExomemError('InvalidArgument', 'it is no file', { where: path });
    const bytes = new Uint8Array(superblockBytes);
    const { bytesRead } = await handle.read(bytes, 0, superblockBytes, 0);
    if (bytesRead < superblockBytes) {
      throw new ExomemError('NotFormatted', `${stats.size} bytes are too few for a region`, { where: path });
    }
    decodeSuperblock(bytes, stats.size);
    return stats.size - (stats.size % 8);
  } catch (error) {
    if (isExomemError(error, 'NotFormatted')) throw noRegion(error, path);
    throw localFailure(error, path);
  }
}

/** Fills memory that is all zero with the bytes of a file. */
export async function loadMemory(
  path: string,
  memory: RegionMemory,
  onProgress: (done: number, total: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const buffer = Buffer.alloc(chunkBytes);
  const zeros = Buffer.alloc(chunkBytes);
  try {
    await using handle = await open(path, 'r');
    for (let at = 0; at < memory.size; at += chunkBytes) {
      signal?.throwIfAborted();
      const length = Math.min(chunkBytes, memory.size - at);
      let read = 0;
      while (read < length) {
        const { bytesRead } = await handle.read(buffer, read, length - read, at + read);
        if (bytesRead === 0) throw new ExomemError('Unavailable', 'the file became shorter while it was read');
        read += bytesRead;
      }
      if (buffer.compare(zeros, 0, length, 0, length) !== 0) memory.write(at, buffer.subarray(0, length));
      onProgress(at + length, memory.size);
    }
  } catch (error) {
    throw localFailure(error, path);
  }
}

/** Writes memory that nobody changes any more to a file, in place of what has the name. Free pages take no room. */
export async function saveMemory(
  memory: RegionMemory,
  path: string,
  onProgress: (done: number, total: number) => void,
): Promise<void> {
  await using file = await SparseFile.create(path, memory.size, true);
  const buffer = new Uint8Array(chunkBytes);
  const copy = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += chunkBytes) {
      const bytes = buffer.subarray(0, Math.min(chunkBytes, to - at));
      memory.read(at, bytes);
      await file.write(at, bytes);
      onProgress(at + bytes.length, memory.size);
    }
  };
  const geometry = geometryOf(memory);
  if (geometry === undefined) await copy(0, memory.size);
  else {
    const { dataOffset, groupOffset, groupCount, groupPages, pageSize } = geometry;
    await copy(0, dataOffset);
    const groupBytes = groupPages * pageSize;
    let from = 0;
    for (let group = 0; group <= groupCount; group++) {
      const owned = group < groupCount && memory.load(groupOffset + group * 8) >> 32n !== 0n;
      if (owned) continue;
      await copy(dataOffset + from * groupBytes, dataOffset + group * groupBytes);
      from = group + 1;
    }
    await copy(dataOffset + groupCount * groupBytes, memory.size);
  }
  await file.commit();
}

/** Undefined: it is no region that can be read, and is taken as it is. */
function geometryOf(memory: RegionMemory): Geometry | undefined {
  const bytes = new Uint8Array(superblockBytes);
  memory.read(0, bytes);
  try {
    return decodeSuperblock(bytes, memory.size).block.geometry;
  } catch {
    return undefined;
  }
}
