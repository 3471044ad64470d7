import { firstFit, placements } from '@exomem/core';
import { leastRegion, replay } from './placement-replay.js';
import { makeTrace, readTrace, type Trace } from './placement-trace.js';
import type { Row } from './row.js';

/** What is to be reached where lengths recur; where none does, a hole is never filled by what fits it. */
const aim = 'at least 96 %';

/** Utilisation and fragmentation of each placement over courses of allocations: of files that were named, or made here. */
export async function run(files: readonly string[] = []): Promise<Row[]> {
  if (files.length > 0) return files.flatMap((file) => rowsOf(readTrace(file), aim));
  return [...rowsOf(makeTrace('powers of two'), aim), ...rowsOf(makeTrace('any length'))];
}

function rowsOf(trace: Trace, aimed?: string): Row[] {
  const group = `placement, ${trace.name}`;
  const regions = new Map(placements.map((placement) => [placement, leastRegion(trace, placement)]));
  // How much of what is free lies together depends on how much is free: one region for all, in which none has to refuse.
  const common = Math.max(1.1 * trace.peak, ...regions.values());
  const fragmented = new Map(
    placements.map((placement) => [placement, 100 * replay(trace, placement, common).fragmentation]),
  );
  const utilised = new Map([...regions].map(([placement, bytes]) => [placement, (100 * trace.peak) / bytes]));
  return placements.flatMap((placement) => [
    {
      ...figure(group, utilised.get(placement)!, utilised.get(firstFit)!),
      name: `${placement.name}: utilisation before the first refusal`,
      ...(aimed === undefined ? {} : { aim: aimed }),
    },
    {
      ...figure(group, fragmented.get(placement)!, fragmented.get(firstFit)!),
      name: `${placement.name}: fragmentation, 1 - longest free run / free`,
    },
  ]);
}

/** One that comes out the same each time. */
function figure(group: string, value: number, baseline: number): Omit<Row, 'name'> {
  const same = { median: value, least: value, most: value };
  return { group, unit: '%', ...same, baseline: firstFit.name, baselineMedian: baseline, ratio: value / baseline };
}
