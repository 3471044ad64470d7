import { threadId, type Worker } from 'node:worker_threads';
import { ExomemError } from '@exomem/core';
import type { SharedRegion } from './region.js';
import { Roster } from './roster.js';

/**
 * Lets the end of a worker thread be known to all threads of a region: from its `exit` event on, every member that it (or
 * a thread that it spawned and supervised) acts for is proven dead, and is recovered by whoever looks next. To be called by the
 * thread that made the worker, right after that; it keeps nothing alive.
 * @throws `InvalidArgument` (the worker has ended, or the region has no roster), `Busy` (the roster is full).
 */
export function supervise(worker: Worker, ...regions: readonly SharedRegion[]): void {
  const thread = worker.threadId;
  const rosters = regions.map(({ roster }) => {
    if (roster === undefined) throw new ExomemError('InvalidArgument', 'that region has no roster of its threads');
    return new Roster(roster);
  });
  for (const roster of rosters) roster.spawned(threadId, thread);
  worker.once('exit', () => {
    for (const roster of rosters) roster.ended(thread);
  });
}
