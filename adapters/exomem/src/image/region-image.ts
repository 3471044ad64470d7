import { randomBytes } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { ExomemError, type Session, type Transport } from '@exomem/core';

/** The bytes of a region, to be looked at: served by somebody, or in a file. */
export interface RegionImage extends AsyncDisposable {
  readonly size: number;
  readonly where: string;
  /** `length` bytes from `offset` on; fewer where the region ends. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A region that is being served. It is not joined, and not one word of it changes. */
export async function servedImage(transport: Transport, url: string, signal: AbortSignal): Promise<RegionImage> {
  const session = await transport.connect(url, { clientId: randomBytes(16), lane: 0, signal });
  return new SessionImage(session, url);
}

class SessionImage implements RegionImage {
  constructor(
    readonly session: Session,
    readonly where: string,
  ) {}
  get size(): number {
    return this.session.size;
  }
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(within(this, offset, length));
    if (bytes.length > 0) await this.session.read(offset, bytes);
    return bytes;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.session.close();
  }
}

/** A file that keeps a region, or a copy of one. @throws what the system says of it */
export async function fileImage(path: string): Promise<RegionImage> {
  const handle = await open(path, 'r');
  const stats = await handle.stat();
  if (stats.isFile()) return new FileImage(handle, path, stats.size);
  await handle.close();
  throw new ExomemError('InvalidArgument', 'it is no file', {
    where: path,
    advice: 'name a file, or the URL of a region',
  });
}

class FileImage implements RegionImage {
  constructor(
    readonly handle: FileHandle,
    readonly where: string,
    readonly size: number,
  ) {}
  async read(offset: number, length: number): Promise<Uint8Array> {
    const bytes = new Uint8Array(within(this, offset, length));
    const { bytesRead } = await this.handle.read(bytes, 0, bytes.length, offset);
    return bytes.subarray(0, bytesRead);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.handle.close();
  }
}

function within({ size }: RegionImage, offset: number, length: number): number {
  return offset < 0 || offset >= size ? 0 : Math.min(length, size - offset);
}

/** Words at `offset`; fewer where the region ends. */
export async function readWords(image: RegionImage, offset: number, count: number): Promise<BigUint64Array> {
  const bytes = await image.read(offset, count * 8);
  return new BigUint64Array(bytes.slice(0, bytes.length & ~7).buffer);
}
