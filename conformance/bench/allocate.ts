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

/** The same, if each had a processor for itself: other programs take none of this time. */
async function rateOfCpu(threads: readonly Worker[], work: Asked['work']): Promise<number> {
  const before = process.cpuUsage();
  await rate(threads, work);
  const { user, system } = process.cpuUsage(before);
  return (threads.length * threads.length * count) / (user + system);
}

/** Pairs of allocate and free of one page, through the same protocols as everywhere. */
export async function run(): Promise<Row[]> {
  const region = createRegion(size);
  const gate = new SharedArrayBuffer(8);
  const threads = [1, 2].map((thread) => {
    const given: Given = { region, size, thread, gate };
    return new Worker(new URL('./allocate-worker.js', import.meta.url), { workerData: given });
  });
  const one = threads.slice(0, 1);
  const exchange = { group, unit: 'M pairs/s', baseline: 'compareExchange pair' };
  const alone = { group, unit: 'M pairs/s', baseline: 'one thread alone', aim: 'more than one alone' };
  const least = 'at least 1.5 M/s';
  try {
    return [
      await compare(
        { ...exchange, name: 'allocate + free, one thread', aim: least },
        () => rate(one, 'pairs'),
        () => rate(one, 'bare'),
      ),
      await compare(
        { ...exchange, name: 'the same, by its CPU', unit: 'M pairs/s of CPU', aim: least },
        () => rateOfCpu(one, 'pairs'),
        () => rateOfCpu(one, 'bare'),
      ),
      await compare(
        { ...alone, name: 'allocate + free, two threads' },
        () => rate(threads, 'pairs'),
        () => rate(one, 'pairs'),
      ),
      await compare(
        { ...alone, name: 'the same, by their CPU: two processors', unit: 'M pairs/s of CPU' },
        () => rateOfCpu(threads, 'pairs'),
        () => rateOfCpu(one, 'pairs'),
      ),
    ];
  } finally {
    for (const thread of threads) await thread.terminate();
  }
}
