import { ExomemError } from '../errors.js';
import type { AllocationPolicy } from '../policy/policy.js';
import { surely } from '../policy/resolve.js';
import { ruleOf } from '../policy/shipped.js';
import {
  type DataRegion,
  dataMagic,
  encodeDataHeader,
  gateOffset,
  planDataRegion,
  refusalOfData,
} from '../region/data-region.js';
import type { Geometry, GeometryOptions } from '../region/geometry.js';
import {
  defaultRedoBytes,
  groupWordOffset,
  memberLineOffset,
  memberStride,
  pageOffset,
  planGeometry,
  superblockBytes,
  userGroups,
} from '../region/geometry.js';
import type { DecodedSuperblock, Superblock } from '../region/superblock.js';
import {
  compatible,
  decodeSuperblock,
  encodeSuperblock,
  formatVersion,
  incompatible,
  stateOffset,
  superblockState,
} from '../region/superblock.js';
import { decodeMember, encodeMember, joinWord, memberState, pageBits, repeatBits } from '../region/words.js';
import { compareExchange, load, read, write } from '../transport/step.js';
import type { Protocol } from './protocol.js';
import { random, readBytes, wallClock } from './protocol.js';

export interface FormatOptions extends GeometryOptions {
  /**
   * The memory is known to be zero: every page begins clean, and nothing need be zeroed again. `data`: that of a data region
   * of its own is.
   */
  zeroed?: boolean | 'data';
  /**
   * When pages become zero: `lazily` (default), when they are given out and not known to be zero; `before`, here and now, and
   * from then on before they are free, so that nobody who allocates waits for it and nothing that was freed stays readable.
   */
  initialise?: 'lazily' | 'before';
  /** Format although there is a region already: everything in it is lost. */
  force?: boolean;
  /** Whose coordination rules the region, for good. Default `atomic`. */
  policy?: Pick<AllocationPolicy, 'name' | 'feature'>;
  /**
   * With the policy `message` alone: member numbers are configured, and once it is formatted nothing of the region is changed by
   * compareExchange. It has no names then, and nobody is declared dead. For transports that only read and write.
   */
  configured?: boolean;
  /** Milliseconds; see the superblock. */
  lease?: number;
  delay?: number;
  wait?: number;
}

const chunk = 256 * 1024;

/** Lays a region of that variant out. @throws `OutOfRange` */
function planFor(size: number, variant: bigint, options: GeometryOptions): Geometry {
  const mailboxes = variant === incompatible.message;
  if (variant !== incompatible.locked) return planGeometry(size, { ...options, redoBytes: 0, mailboxes });
  const { memberSlots } = planGeometry(size, options);
  return planGeometry(size, { redoBytes: defaultRedoBytes(size, memberSlots), ...options });
}

/** How {@link format} lays a region out. @throws `OutOfRange` */
export function planRegion(size: number, options: FormatOptions): Geometry {
  const { incompat } = options.policy === undefined ? { incompat: incompatible.atomic } : ruleOf(options.policy);
  return planFor(size, incompat, options);
}

/**
 * Makes a region of `size` bytes: superblock, empty tables, its copy. With `dataBytes` it is a metadata region of that size,
 * and the steps are those of the whole, data region included (see `PairSession`).
 * @throws `Exists` if there is one and `force` is not set, `Busy` if somebody else is formatting, `OutOfRange`.
 */
export function* format(size: number, options: FormatOptions = {}): Protocol<Superblock> {
  const wipe = options.initialise === 'before';
  const rule = options.policy === undefined ? { incompat: incompatible.atomic } : ruleOf(options.policy);
  const geometry = planFor(size, rule.incompat, options);
  const lease = options.lease ?? 10_000;
  if (!Number.isSafeInteger(lease) || lease < 100 || lease > 3_600_000) {
    throw new ExomemError('OutOfRange', `a lease of ${lease} ms is not possible: it must be from 100 ms to an hour`);
  }
  const delay = options.delay ?? Math.ceil(lease / 5);
  const drift = 10_000;
  const wait = options.wait ?? Math.ceil(((lease + delay) * (1_000_000 + drift)) / 1_000_000 / 100) * 100;

  if (options.configured && rule.incompat !== incompatible.message) {
    throw new ExomemError('InvalidArgument', 'member numbers are configured in regions of the policy `message` alone', {
      advice: 'choose that policy, or let members be won',
    });
  }
  const data = options.dataBytes === undefined ? undefined : planDataRegion(geometry, new Uint8Array(16));
  const states = data === undefined ? [stateOffset] : [stateOffset, data.offset + stateOffset];
  const found: bigint[] = [];
  for (const at of states) {
    const word = (yield load(at)) as bigint;
    if (Number(word & 15n) === superblockState.ready && !options.force) {
      throw new ExomemError('Exists', 'there is a region already', {
        advice: 'open it; or format it by force, and lose what is in it',
      });
    }
    found.push(word);
  }
  const last = data === undefined ? [] : yield* lastIncarnations(geometry, data, found);
  const nonce = BigInt(yield* number()) * 2n ** 28n + BigInt((yield* number()) % 2 ** 28);
  const begun = (nonce << 4n) | BigInt(superblockState.formatting);
  for (const [index, at] of states.entries()) {
    if (((yield compareExchange(at, found[index]!, begun)) as bigint) !== found[index]) {
      throw new ExomemError('Busy', 'somebody else is formatting this region');
    }
  }
  // Nobody opens a region that is not ready: until then plain writes are ours.
  const uuid = yield* newUuid();
  if (data !== undefined) data.uuid.set(yield* newUuid());
  const block: Superblock = {
    version: formatVersion,
    compat: wipe ? compatible.wipe : 0n,
    roCompat: 0n,
    ...rule,
    incompat: rule.incompat | (data === undefined ? 0n : incompatible.separateMetadata),
    uuid,
    geometry,
    lease,
    delay,
    drift,
    wait,
    created: (yield wallClock) as bigint,
    ...(options.configured ? { configured: true } : {}),
    ...(data === undefined ? {} : { data }),
  };
  const { groupOffset, groupCount, groupPages, pageSize } = geometry;
  if (options.zeroed !== true) yield* fill(superblockBytes, groupOffset - superblockBytes, 0n);
  // Groups of pages that are known to be zero, or will be: of the reserve, if all is.
  const users = userGroups(geometry);
  const known = options.zeroed === true ? groupCount : options.zeroed === 'data' || wipe ? users : 0;
  yield* fill(groupOffset, known * 8, joinWord(0, repeatBits(groupPages, pageBits.clean)));
  yield* fill(groupWordOffset(geometry, known), (groupCount - known) * 8, 0n);
  if (wipe && !options.zeroed) yield* fill(pageOffset(geometry, 0), users * groupPages * pageSize, 0n);
  const tablesEnd = data?.offset ?? geometry.dataOffset;
  if (options.zeroed !== true) yield* fill(geometry.logOffset, tablesEnd - geometry.logOffset, 0n);
  for (const [slot, incarnation] of last.entries()) {
    if (incarnation === 0) continue;
    const word = encodeMember({ state: memberState.free, incarnation, beat: 0 });
    yield write(memberLineOffset(geometry, slot), new Uint8Array(new BigUint64Array([word]).buffer));
  }
  const bytes = encodeSuperblock(block);
  if (data !== undefined) {
    if (!options.zeroed) yield* fill(data.offset + gateOffset, geometry.memberSlots * 8, 0n);
    yield* writeBlock(data.offset, encodeDataHeader(block));
  }
  yield* writeBlock(0, bytes);
  yield write(geometry.copyOffset, bytes);
  const ready = BigInt(superblockState.ready);
  // The superblock last: who sees it ready finds the data region ready, too.
  for (const at of states.reverse()) {
    if (((yield compareExchange(at, begun, ready)) as bigint) !== begun) {
      throw new ExomemError('Busy', 'somebody else formatted this region meanwhile');
    }
  }
  return block;
}

/**
 * The highest incarnation that each slot had in what was formatted here before. Who serves a part may still be the same, and
 * remember whom it shut out: incarnations go on from there.
 * @param states the state words of both parts
 */
function* lastIncarnations(
  { memberSlots, memberOffset }: Geometry,
  { offset }: DataRegion,
  states: readonly bigint[],
): Protocol<number[]> {
  const highest = new Array<number>(memberSlots).fill(0);
  for (const [part, start] of [0, offset].entries()) {
    if (Number(states[part]! & 15n) !== superblockState.ready) continue;
    const view = new DataView((yield* readBytes(start, superblockBytes)).buffer);
    // Both have their table at the beginning, always at the same place, and say how many slots there are.
    const gates = view.getBigUint64(0, true) === dataMagic;
    const count = Math.min(memberSlots, Number(view.getBigUint64(gates ? 96 : 104, true)));
    const stride = gates ? 8 : memberStride;
    const table = yield* readBytes(start + (gates ? gateOffset : memberOffset), count * stride);
    for (let slot = 0; slot < count; slot++) {
      const word = new DataView(table.buffer).getBigUint64(slot * stride, true);
      highest[slot] = Math.max(highest[slot]!, decodeMember(word).incarnation);
    }
  }
  return highest;
}

/** All but the state word. */
function* writeBlock(offset: number, bytes: Uint8Array): Protocol<void> {
  yield write(offset, bytes.subarray(0, stateOffset));
  yield write(offset + stateOffset + 8, bytes.subarray(stateOffset + 8));
}

function* newUuid(): Protocol<Uint8Array> {
  const uuid = new Uint8Array(16);
  for (let at = 0; at < 16; at += 4) new DataView(uuid.buffer).setUint32(at, yield* number(), true);
  uuid[6] = (uuid[6]! & 0x0f) | 0x40;
  uuid[8] = (uuid[8]! & 0x3f) | 0x80;
  return uuid;
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
 * @throws `NotFormatted`, `Damaged`, `Incompatible` (also of a data region that is another one's).
 */
export function* readSuperblock(size: number): Protocol<DecodedSuperblock> {
  if (size < superblockBytes) throw new ExomemError('NotFormatted', `${size} bytes are too few for a region`);
  const bytes = new Uint8Array(superblockBytes);
  yield* surely(read(0, bytes));
  const decoded = decodeSuperblock(bytes, size);
  const { data } = decoded.block;
  if (data !== undefined) {
    yield* surely(read(data.offset, bytes));
    const refusal = refusalOfData(bytes, decoded.block);
    if (refusal !== undefined) throw refusal;
  }
  return decoded;
}
