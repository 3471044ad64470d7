import { ExomemError, isExomemError } from '../errors.js';
import type { Session } from '../transport/transport.js';

/** A piece of the memory itself, of something that may lie in several pieces. No copy: what is written to it is there. */
export interface MemoryWindow {
  /** Which byte of the whole (of the allocation, the file, the region) its first one is. */
  readonly position: number;
  readonly bytes: Uint8Array;
}

/**
 * The memory of a range of the region, in as few pieces as it lies in.
 * @param position which byte of the whole that is to be seen the first one is
 * @throws `UnsupportedCapability` where memory is not shared
 */
export function windowsOf(session: Session, offset: number, length: number, position: number): MemoryWindow[] {
  if (length === 0) return [];
  const pieces = session.windows?.(offset, length) ?? [session.view(offset, length)];
  const windows: MemoryWindow[] = [];
  for (const bytes of pieces) {
    windows.push({ position, bytes });
    position += bytes.byteLength;
  }
  return windows;
}

/** The memory of a range in one piece. @throws `UnsupportedCapability` where it is not shared, or lies in several. */
export function windowOf(session: Session, offset: number, length: number): Uint8Array {
  try {
    return session.view(offset, length);
  } catch (error) {
    if (!isExomemError(error, 'Fragmented')) throw error;
    throw inPieces(error.message, error);
  }
}

/** Why there is no one Uint8Array over that. */
export function inPieces(what: string, cause?: unknown): ExomemError {
  return new ExomemError('UnsupportedCapability', what, {
    advice: '`windows()` gives the pieces; or read and write it',
    cause,
  });
}
