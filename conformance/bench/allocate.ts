import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { createRegion } from '@exomem/transport-shared-array-buffer';
import type { Asked, Given } from './allocate-worker.js';
import { compare, type Row } from './row.js';

const group = 'shared memory';
const size = 64 * 1024 * 1024;
const count = 200_000;

/** Millions a second that all threads together come to, each with a client of its own on one region. */
async function rate(threads: readonly Worker[], work: Asked['work']): Promise<number> {
  const times = threads.map((thread) => once(thread, 'message') as Promise<[number]>);
  for (const thread of threads) thread.postMessage({ work, count, threads: threads.length } satisfies Asked);
  const slowest = Math.max(...(await Promise.all(times)).map(([milliseconds]) => milliseconds));
  return (threads.length * count) / slowest / 1000;
}

/** Pairs of allocate and free of one page, through the same protocols as everywhere. */
export async function run(): Promise<Row[]> {
  const region = createRegion(size);
  const gate = new SharedArrayBuffer(8);
  const threads = [1, 2].map((thread) => {
    const given: Given = { region, size, thread, gate };
    return new Worker(new URL('./allocate-worker.js', import.meta.url), { workerData: given });
  });
  try {
    const rows: Row[] = [];
    for (const [name, some, aim] of [
      ['one thread', threads.slice(0, 1), 'at least 1.5 M/s'],
      ['two threads', threads, 'more than one alone'],
    ] as const) {
      const row = { group, name: `allocate + free, ${name}`, unit: 'M pairs/s', baseline: 'compareExchange pair' };
      rows.push(
        await compare(
          aim === undefined ? row : { ...row, aim },
          () => rate(some, 'pairs'),
          () => rate(some, 'bare'),
        ),
      );
    }
    return rows;
  } finally {
    for (const thread of threads) await thread.terminate();
  }
}
