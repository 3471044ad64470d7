import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import {
  describeData,
  type FormatOptions,
  format,
  PairSession,
  planDataRegion,
  planRegion,
  run,
  type Session,
  type Superblock,
  splitPairUrl,
  superblockBytes,
  type Transport,
} from '@exomem/core';
import { surroundings } from '../surroundings.js';

/** Where a region that a file keeps has its metadata, if that is here as well. */
export function metadataFile(file: string): string {
  return `${file}.metadata`;
}

/** Whether a file is the data region of a pair, and its metadata lies beside it. */
export async function hasMetadataBeside(file: string): Promise<boolean> {
  if (!existsSync(file) || !existsSync(metadataFile(file))) return false;
  await using handle = await open(file, 'r');
  const bytes = new Uint8Array(superblockBytes);
  const { bytesRead } = await handle.read(bytes, 0, superblockBytes, 0);
  return bytesRead === superblockBytes && describeData(bytes) !== undefined;
}

/** The name of the region that has another's metadata, where one appliance serves both. */
export function metadataName(name: string): string {
  return `${name}.metadata`;
}

/** @throws `OutOfRange` if no such two regions are possible */
export function checkPair(metadataBytes: number, dataBytes: number, options: FormatOptions): void {
  planRegion(metadataBytes, { ...options, dataBytes });
  format(metadataBytes, { ...options, dataBytes }).next();
}

/**
 * Makes one region of two: the superblock and all tables in that of `metadata`, pages in that of `data`.
 * @param pair `DATA?metadata=METADATA`
 * @throws as {@link format}
 */
export async function formatPair(
  pair: string,
  transports: { readonly data: Transport; readonly metadata: Transport },
  options: FormatOptions,
): Promise<Superblock> {
  const urls = splitPairUrl(pair)!;
  const lane = { clientId: randomBytes(16), lane: 0 };
  const opened: Session[] = [];
  try {
    const metadata = await transports.metadata.connect(urls.metadata, lane);
    opened.push(metadata);
    const data = await transports.data.connect(urls.data, lane);
    opened.push(data);
    const all = { ...options, dataBytes: data.size };
    const geometry = planRegion(metadata.size, all);
    const { offset, bytes } = planDataRegion(geometry, new Uint8Array(16));
    const layout = { head: offset, from: 0, bytes, gates: superblockBytes };
    const session = new PairSession(metadata, data, layout, pair);
    return await run(format(metadata.size, all), { session, surroundings });
  } finally {
    for (const session of opened) await session.close();
  }
}
