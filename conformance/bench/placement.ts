import { firstFit, lowFragmentation, type Placement, placements } from '@exomem/core';
import { bareRefuses } from './placement-bare.js';
import { leastRoom, replay, type Shape } from './placement-replay.js';
import { type Lengths, makeTrace, readTrace, type Trace } from './placement-trace.js';
import { median, type Row } from './row.js';

const least = 96;
const aim = `at least ${least} %`;
/** One course is full at a moment of its own, and comes out a hundredth higher or lower than another. */
const courses = 3;

/** Utilisation and fragmentation of each placement over courses of allocations: of files that were named, or made here. */
export async function run(files: readonly string[] = []): Promise<Row[]> {
  if (files.length > 0) {
    return files.flatMap((file) => {
      const trace = readTrace(file);
      return rowsOf(trace.name, [trace], aim);
    });
  }
  const made = (lengths: Lengths): [string, Trace[]] => {
    const traces = Array.from({ length: courses }, (_, course) => makeTrace(lengths, course));
    return [traces[0]!.name, traces];
  };
  return [...rowsOf(...made('powers of two'), aim), ...rowsOf(...made('any length'), 'what a bare best fit comes to')];
}

/** @param aimed what is aimed for in whole runs, with any placement */
function rowsOf(name: string, traces: readonly Trace[], aimed: string): Row[] {
  const group = `placement, ${name}`;
  const utilised = (some: readonly Trace[], refuses: (trace: Trace, room: number) => boolean): number[] =>
    some.map((trace) => (100 * trace.peak) / leastRoom(trace, (room) => refuses(trace, room)));
  const by = (placement: Placement, shape?: Shape, some = traces) =>
    utilised(some, (trace, room) => replay(trace, placement, room, shape).refused);
  const utilisation = new Map(placements.map((placement) => [placement, by(placement)]));
  // How much of what is free lies together depends on how much is free: one region for all, in which none has to refuse.
  const common = traces.map((trace, at) => {
    const least = Math.min(...[...utilisation.values()].map((values) => values[at]!));
    return trace.peak * Math.max(1.1, 100 / least);
  });
  const fragmentation = new Map(
    placements.map((placement) => [
      placement,
      traces.map((trace, at) => 100 * replay(trace, placement, common[at]!).fragmentation),
    ]),
  );
  const [first, scattered] = [utilisation.get(firstFit)!, fragmentation.get(firstFit)!];
  const beside = (what: string) => `${what}: utilisation before the first refusal`;
  // Of one course: each piece that is refused costs two looks at all groups, and there are thousands.
  const inPieces = (): Row => ({
    ...figure(group, by(lowFragmentation, 'in pieces', traces.slice(0, 1)), first),
    name: beside(`${lowFragmentation.name}, in pieces as a file takes them`),
    aim,
  });
  return [
    ...placements.flatMap((placement): Row[] => [
      { ...figure(group, utilisation.get(placement)!, first), name: beside(placement.name), aim: aimed },
      {
        ...figure(group, fragmentation.get(placement)!, scattered),
        name: `${placement.name}: fragmentation, 1 - longest free run / free`,
      },
    ]),
    { ...figure(group, utilised(traces, bareRefuses), first), name: beside('a bare best fit over single pages') },
    ...(median(utilisation.get(lowFragmentation)!) >= least ? [] : [inPieces()]),
  ];
}

/** Of one course after the other: they come out the same each time. */
function figure(group: string, values: readonly number[], baselines: readonly number[]): Omit<Row, 'name'> {
  return {
    group,
    unit: '%',
    median: median(values),
    least: Math.min(...values),
    most: Math.max(...values),
    baseline: firstFit.name,
    baselineMedian: median(baselines),
    ratio: median(values.map((value, at) => value / baselines[at]!)),
  };
}
