import {
  type Allocator,
  atomic,
  type Bench,
  type Extent,
  encodePrincipal,
  type Geometry,
  isExomemError,
  type MemoryStep,
  notRun,
  type Placement,
  planGeometry,
  principalState,
  principalWordOffset,
  RegionMemory,
  runSync,
  type Session,
  type StepAnswer,
  userGroups,
} from '@exomem/core';
import type { Trace } from './placement-trace.js';
import { surroundings } from './surroundings.js';

/** What came of a trace in a region of some size. */
export interface Replayed {
  readonly refused: boolean;
  /** Bytes of the region for its users. */
  readonly bytes: number;
  /** The mean of 1 - the longest free run / all that is free, while the region was at least half full. */
  readonly fragmentation: number;
}

/** Operations between two looks at how the free groups lie. */
const sampling = 1000;

/** How what is asked for has to lie: in one run, or in as many as there have to be, as the pages of a file may. */
export type Shape = 'whole' | 'in pieces';

/** Replays a trace by one client in a region with room for that many bytes, up to the first refusal. */
export function replay(trace: Trace, placement: Placement, room: number, shape: Shape = 'whole'): Replayed {
  const geometry = geometryFor(room);
  const word = encodePrincipal({
    state: principalState.active,
    incarnation: 1,
    member: 0,
    memberIncarnation: 1,
    policy: 0,
  });
  const session = tablesOf(geometry);
  session.compareExchange(principalWordOffset(geometry, 1), 0n, word);
  const bench = { session, surroundings };
  const allocator = atomic.create({ geometry, identity: { principal: 1, incarnation: 1, word }, placement });
  const blocks = new Map<number, readonly Extent[]>();
  let sum = 0;
  let samples = 0;
  let refused = false;
  for (let at = 0; at < trace.ids.length && !refused; at++) {
    const id = trace.ids[at]!;
    const bytes = trace.bytes[at]!;
    if (bytes === 0) {
      for (const extent of blocks.get(id)!) runSync(allocator.free(extent), bench);
      blocks.delete(id);
    } else {
      const extents = take(allocator, bench, Math.ceil(bytes / geometry.pageSize), shape);
      if (extents === undefined) refused = true;
      else blocks.set(id, extents);
    }
    if (at % sampling !== 0) continue;
    const { total, free, room: inside, largestRun } = runSync(allocator.inspect(), bench);
    if (free + inside > total / 2 || free + inside === 0) continue;
    sum += 1 - largestRun / (free + inside);
    samples++;
  }
  const bytes = userGroups(geometry) * geometry.groupPages * geometry.pageSize;
  return { refused, bytes, fragmentation: samples === 0 ? 0 : sum / samples };
}

/** Undefined: refused. What does not fit in one piece is taken in halves, as `RegionFile` does. */
function take(allocator: Allocator, bench: Bench, pages: number, shape: Shape): Extent[] | undefined {
  const extents: Extent[] = [];
  for (let left = pages, piece = pages; left > 0; ) {
    try {
      extents.push(runSync(allocator.allocate({ pages: piece, initialise: 'none' }), bench));
      left -= piece;
      piece = Math.min(piece, left);
    } catch (error) {
      if (!isExomemError(error, 'RegionFull') && !isExomemError(error, 'Fragmented')) throw error;
      if (shape === 'whole' || piece === 1) return undefined;
      piece = Math.ceil(piece / 2);
    }
  }
  return extents;
}

/**
 * Bytes of the smallest region, within half a hundredth, in which nothing of a trace is refused.
 * @param refuses whether something is, with room for so many bytes
 */
export function leastRoom(trace: Trace, refuses: (bytes: number) => boolean): number {
  let least = trace.peak;
  let most = trace.peak * 1.02;
  while (refuses(most)) {
    least = most;
    most *= 1.04;
  }
  while (most - least > trace.peak * 0.005) {
    const middle = (most + least) / 2;
    if (refuses(middle)) least = middle;
    else most = middle;
  }
  return most;
}

function geometryFor(room: number): Geometry {
  const tables = { memberSlots: 2, principalSlots: 2, logSlots: 4, arenaBytes: 8192, reserveGroups: 0, pageSize: 4096 };
  const groupBytes = 16 * 4096;
  const groups = Math.max(1, Math.ceil(room / groupBytes));
  // The table of groups takes eight bytes for each.
  return planGeometry(groups * (groupBytes + 8) + 128 * 1024, tables);
}

/** A session that has the tables of a region and no data: what is written to pages is dropped. */
function tablesOf(geometry: Geometry): Session {
  const memory = new RegionMemory([new SharedArrayBuffer(geometry.dataOffset)]);
  const step = ({ op, offset, ...rest }: MemoryStep): StepAnswer => {
    if (op === 'write') return undefined;
    if (op === 'read') return void memory.read(offset, (rest as { bytes: Uint8Array }).bytes);
    const { expected, desired } = rest as { expected: bigint; desired: bigint };
    return op === 'load' ? memory.load(offset) : memory.compareExchange(offset, expected, desired);
  };
  const session: Partial<Session> = {
    where: 'tables:',
    size: geometry.regionBytes,
    load: (offset) => memory.load(offset),
    compareExchange: (offset, expected, desired) => memory.compareExchange(offset, expected, desired),
    read: (offset, target) => memory.read(offset, target),
    write: () => undefined,
    batch(steps, options) {
      let stopped = false;
      return steps.map((one) => {
        if (stopped) return notRun;
        const answer = step(one);
        if (options?.stopOnFail && one.op === 'compareExchange' && answer !== one.expected) stopped = true;
        return answer;
      });
    },
    renew: () => undefined,
  };
  return session as Session;
}
