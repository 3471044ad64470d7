// The program that runs in a worker thread or a child process: opens a session through the subject's worker module,
// carries out one task over it, and tells how it went.
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { ConnectOptions } from '@exomem/core';
import type { WorkerConnect } from './subject.js';
import { type Control, runTask, type Task, type TaskResult } from './tasks.js';

export interface Assignment {
  readonly module: string;
  readonly data: unknown;
  readonly connect: ConnectOptions;
  readonly task: Task;
}

export type Report =
  /** The session is open. */
  | { readonly event: 'ready' }
  | { readonly event: 'reached' }
  | { readonly event: 'ended'; readonly result: TaskResult }
  | { readonly event: 'failed'; readonly reason: string };

/** What is told to a worker: that all are there, that it is to end. */
export type Word = 'begin' | 'stop';

async function carryOut(
  { module, data, connect, task }: Assignment,
  control: Pick<Control, 'begun' | 'stopped'>,
  report: (report: Report) => void,
): Promise<void> {
  try {
    const entry = (await import(module)) as { connect: WorkerConnect };
    const session = await entry.connect(data as never, { ...connect, clientId: Uint8Array.from(connect.clientId) });
    report({ event: 'ready' });
    const result = await runTask(session, task, { ...control, reached: () => report({ event: 'reached' }) });
    await session.close();
    report({ event: 'ended', result });
  } catch (error) {
    report({ event: 'failed', reason: error instanceof Error ? (error.stack ?? error.message) : String(error) });
  }
}

/** What this worker has been told so far. */
function listen(hear: (listener: (word: Word) => void) => void): Pick<Control, 'begun' | 'stopped'> {
  let stopped = false;
  const begun = new Promise<void>((resolve) => {
    hear((word) => {
      if (word === 'stop') stopped = true;
      resolve();
    });
  });
  return { begun, stopped: () => stopped };
}

if (!isMainThread && parentPort !== null) {
  const port = parentPort;
  const control = listen((listener) => port.on('message', listener));
  await carryOut(workerData as Assignment, control, (report) => port.postMessage(report));
  port.close();
} else if (process.send !== undefined) {
  const send = process.send.bind(process);
  process.once('message', (assignment: Assignment) => {
    const control = listen((listener) => process.on('message', listener));
    carryOut(assignment, control, (report) => send(report)).finally(() => process.disconnect());
  });
  // Whoever started this has died.
  process.once('disconnect', () => process.exit());
}
