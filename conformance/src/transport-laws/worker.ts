// The program that runs in a worker thread or a child process: opens a session through the subject's worker module,
// carries out one task over it, and tells how it went.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { ConnectOptions } from '@exomem/core';
import type { WorkerConnect } from './subject.js';
import { runTask, type Task } from './tasks.js';

export interface Assignment {
  readonly module: string;
  readonly data: unknown;
  readonly connect: ConnectOptions;
  readonly task: Task;
}

export type Report =
  | { readonly event: 'reached' }
  | { readonly event: 'ended'; readonly result: bigint }
  | { readonly event: 'failed'; readonly reason: string };

/** What is told to a worker that is under way. */
export const stopMessage = 'stop';

let stopped = false;

async function carryOut({ module, data, connect, task }: Assignment, report: (report: Report) => void): Promise<void> {
  try {
    const entry = (await import(module)) as { connect: WorkerConnect };
    const session = await entry.connect(data as never, { ...connect, clientId: Uint8Array.from(connect.clientId) });
    const result = await runTask(session, task, {
      stopped: () => stopped,
      reached: () => report({ event: 'reached' }),
    });
    await session.close();
    report({ event: 'ended', result });
  } catch (error) {
    report({ event: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  port.on('message', () => {
    stopped = true;
    port.unref();
  });
  await carryOut(workerData as Assignment, (report) => port.postMessage(report));
  port.close();
} else if (process.send !== undefined) {
  const send = process.send.bind(process);
  process.once('message', (assignment: Assignment) => {
    process.on('message', () => {
      stopped = true;
    });
    carryOut(assignment, (report) => send(report)).finally(() => process.disconnect());
  });
  // Whoever started this has died.
  process.once('disconnect', () => process.exit());
}
