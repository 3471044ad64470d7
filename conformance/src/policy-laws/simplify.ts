import type { WorldRun } from './world.js';

/**
 * Makes a run simpler for as long as it still breaks what it broke: cuts the schedule, lets deeds rest, and puts zeros
 * where it can, which go on as before and leave a fault out.
 */
export function simplifyRun(run: WorldRun, breaks: (run: WorldRun) => boolean, patience: number): WorldRun {
  const until = performance.now() + patience;
  let best = run;
  const attempt = (candidate: WorldRun): boolean => {
    if (performance.now() > until || !breaks(candidate)) return false;
    best = candidate;
    return true;
  };
  for (let before: WorldRun | undefined; before !== best && performance.now() < until; ) {
    before = best;
    attempt({ ...best, takeover: -1 });
    for (let length = best.schedule.length; length >= 1; length = Math.floor(length / 2)) {
      while (best.schedule.length >= length && attempt({ ...best, schedule: best.schedule.slice(0, -length) }));
    }
    for (let client = 0; client < best.deeds.length; client++) {
      for (let at = 0; at < best.deeds[client]!.length; at++) {
        if (best.deeds[client]![at] === 0) continue;
        attempt({ ...best, deeds: best.deeds.map((deeds, one) => (one === client ? put(deeds, at, 1, 0) : deeds)) });
      }
    }
    for (let length = 64; length >= 1; length /= 4) {
      for (let at = 0; at < best.schedule.length; at += length) {
        const part = best.schedule.slice(at, at + length);
        if (part.every((number) => number === 0)) continue;
        if (attempt({ ...best, schedule: put(best.schedule, at, length, 0) })) continue;
        if (length > 1 || part[0]! < 16) continue;
        attempt({ ...best, schedule: put(best.schedule, at, 1, part[0]! % 16) });
      }
    }
  }
  return best;
}

/** The numbers with `length` of them replaced, from `at` on. */
function put(numbers: readonly number[], at: number, length: number, value: number): number[] {
  return numbers.map((number, index) => (index >= at && index < at + length ? value : number));
}
