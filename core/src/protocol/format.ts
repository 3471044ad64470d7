import { ExomemError } from '../errors.js';
import type { AllocationPolicy } from '../policy/policy.js';
import { surely } from '../policy/resolve.js';
import type { Geometry, GeometryOptions } from '../region/geometry.js';
import { defaultRedoBytes, planGeometry, superblockBytes } from '../region/geometry.js';
import type { DecodedSuperblock, Superblock } from '../region/superblock.js';
import {
  decodeSuperblock,
  encodeSuperblock,
  formatVersion,
  incompatible,
  stateOffset,
  superblockState,
} from '../region/superblock.js';
import { joinWord, pageBits, repeatBits } from '../region/words.js';
import { compareExchange, load, read, write } from '../transport/step.js';
import type { Protocol } from './protocol.js';
import { random, wallClock } from './protocol.js';

export interface FormatOptions extends GeometryOptions {
  /** The memory is known to be zero: every page begins clean, and nothing need be zeroed again. */
  zeroed?: boolean;
  /** Format although there is a region already: everything in it is lost. */
  force?: boolean;
  /** Whose coordination rules the region, for good. Default `atomic`. */
  policy?: Pick<AllocationPolicy, 'name' | 'feature'>;
  /** Milliseconds; see the superblock. */
  lease?: number;
  delay?: number;
  wait?: number;
}

const chunk = 256 * 1024;

/** Lays a region of that variant out. @throws `OutOfRange` */
function planFor(size: number, variant: bigint, options: GeometryOptions): Geometry {
  if (variant !== incompatible.locked) return planGeometry(size, { ...options, redoBytes: 0 });
  const { memberSlots } = planGeometry(size, options);
  return planGeometry(size, { redoBytes: defaultRedoBytes(size, memberSlots), ...options });
}

/**
 * Makes a region of `size` bytes: superblock, empty tables, its copy.
 * @throws `Exists` if there is one and `force` is not set, `Busy` if somebody else is formatting, `OutOfRange`.
 */
export function* format(size: number, options: FormatOptions = {}): Protocol<Superblock> {
  const variant = options.policy?.feature ?? incompatible.atomic;
  const geometry = planFor(size, variant, options);
  const lease = options.lease ?? 10_000;
  if (!Number.isSafeInteger(lease) || lease < 100 || lease > 3_600_000) {
    throw new ExomemError('OutOfRange', `a lease of ${lease} ms is not possible: it must be from 100 ms to an hour`);
  }
  const delay = options.delay ?? Math.ceil(lease / 5);
  const drift = 10_000;
  const wait = options.wait ?? Math.ceil(((lease + delay) * (1_000_000 + drift)) / 1_000_000 / 100) * 100;

  const before = (yield load(stateOffset)) as bigint;
  const state = Number(before & 15n);
  if (state === superblockState.ready && !options.force) {
    throw new ExomemError('Exists', 'there is a region already', {
      advice: 'open it; or format it by force, and lose what is in it',
    });
  }
  const nonce = BigInt(yield* number()) * 2n ** 28n + BigInt((yield* number()) % 2 ** 28);
  const begun = (nonce << 4n) | BigInt(superblockState.formatting);
  if (((yield compareExchange(stateOffset, before, begun)) as bigint) !== before) {
    throw new ExomemError('Busy', 'somebody else is formatting this region');
  }
  // Nobody opens a region that is not ready: until then plain writes are ours.
  const uuid = new Uint8Array(16);
  for (let at = 0; at < 16; at += 4) new DataView(uuid.buffer).setUint32(at, yield* number(), true);
  uuid[6] = (uuid[6]! & 0x0f) | 0x40;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  const block: Superblock = {
    version: formatVersion,
    compat: 0n,
    incompat: variant,
    roCompat: 0n,
    uuid,
    geometry,
    lease,
    delay,
    drift,
    wait,
    created: (yield wallClock) as bigint,
  };
  if (!options.zeroed) yield* fill(superblockBytes, geometry.groupOffset - superblockBytes, 0n);
  yield* fill(
    geometry.groupOffset,
    geometry.groupCount * 8,
    options.zeroed ? joinWord(0, repeatBits(geometry.groupPages, pageBits.clean)) : 0n,
  );
  if (!options.zeroed) yield* fill(geometry.logOffset, geometry.dataOffset - geometry.logOffset, 0n);
  const bytes = encodeSuperblock(block);
  yield write(0, bytes.subarray(0, stateOffset));
  yield write(stateOffset + 8, bytes.subarray(stateOffset + 8));
  yield write(geometry.copyOffset, bytes);
  const ready = BigInt(superblockState.ready);
  if (((yield compareExchange(stateOffset, begun, ready)) as bigint) !== begun) {
    throw new ExomemError('Busy', 'somebody else formatted this region meanwhile');
  }
  return block;
}

function* fill(offset: number, length: number, word: bigint): Protocol<void> {
  const words = new BigUint64Array(Math.min(length, chunk) / 8).fill(word);
  for (let at = 0; at < length; at += chunk) {
    yield write(offset + at, new Uint8Array(words.buffer, 0, Math.min(chunk, length - at)));
  }
}

function* number(): Protocol<number> {
  return (yield random) as number;
}

/**
 * Reads what a region says of itself.
 * @throws `NotFormatted`, `Damaged`, `Incompatible`.
 */
export function* readSuperblock(size: number): Protocol<DecodedSuperblock> {
  if (size < superblockBytes) throw new ExomemError('NotFormatted', `${size} bytes are too few for a region`);
  const bytes = new Uint8Array(superblockBytes);
  yield* surely(read(0, bytes));
  return decodeSuperblock(bytes, size);
}
