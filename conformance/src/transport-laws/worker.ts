import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import type { Awaitable, ConnectOptions, Session } from '@exomem/core';
import { LawBroken } from './expect.js';
import { type Control, runTask, type Task, type TaskResult } from './tasks.js';

export interface Assignment {
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

async function carryOut<Data>(
  open: WorkerConnect<Data>,
  { data, connect, task }: Assignment,
  control: Pick<Control, 'begun' | 'stopped'>,
  report: (report: Report) => void,
): Promise<void> {
  try {
    const session = await open(data as Data, { ...connect, clientId: Uint8Array.from(connect.clientId) });
    report({ event: 'ready' });
    const result = await runTask(session, task, { ...control, reached: () => report({ event: 'reached' }) });
    await session.close();
    report({ event: 'ended', result });
  } catch (error) {
    report({ event: 'failed', reason: reasonOf(error) });
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

/** Opens a session. `data` is what the region of the subject has as `workerData`. */
export type WorkerConnect<Data> = (data: Data, options: ConnectOptions) => Awaitable<Session>;

/**
 * Makes a module the program of the laws' workers, threads and processes alike: it opens a session, does over it what
 * the law wants done, and tells how that went. Where the module is loaded by anybody else, nothing happens.
 */
export function transportWorker<Data>(connect: WorkerConnect<Data>): void {
  if (!isMainThread && parentPort !== null) {
    const port = parentPort;
    const control = listen((listener) => port.on('message', listener));
    carryOut(connect, workerData as Assignment, control, (report) => port.postMessage(report)).finally(() =>
      port.close(),
    );
  } else if (process.send !== undefined) {
    const send = process.send.bind(process);
    process.once('message', (assignment: Assignment) => {
      const control = listen((listener) => process.on('message', listener));
      carryOut(connect, assignment, control, (report) => send(report)).finally(() => process.disconnect());
    });
    // Whoever started this has died.
    process.once('disconnect', () => process.exit());
  }
}

/** A broken law is told as it is; of anything else it matters where it came from. */
function reasonOf(error: unknown): string {
  if (error instanceof LawBroken) return error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
