import { fork } from 'node:child_process';
import { Worker } from 'node:worker_threads';
import { connectOptions } from './case.js';
import { describe, LawBroken } from './expect.js';
import type { Trial } from './law.js';
import type { TransportSubject } from './subject.js';
import { runTask, type Task, type TaskResult } from './tasks.js';
import type { Assignment, Report, Word } from './worker.js';

/** A task under way: in a thread, in a process, or, where the subject has no workers, on a session here. */
export interface Laborer {
  /** Its session is open; rejects if it failed before. */
  readonly ready: Promise<void>;
  /** The task has done what it must, and goes on; rejects if it failed before. */
  readonly reached: Promise<void>;
  /** What the task answers. */
  readonly ended: Promise<TaskResult>;
  begin(): void;
  /** Asks it to end. */
  stop(): void;
}

/** Why nothing can contend here; undefined if something can. */
export function loneliness({ capabilities, workers }: TransportSubject): string | undefined {
  if (workers !== undefined || !capabilities.synchronous) return undefined;
  return 'it is synchronous and no other thread reaches it: nothing happens at the same time';
}

/** Starts tasks, each on a client of its own, and has them begin together. They are ended with the trial at the latest. */
export async function startTasks(trial: Trial, tasks: readonly Task[]): Promise<Laborer[]> {
  const laborers = await Promise.all(tasks.map((task) => startTask(trial, task)));
  await Promise.all(laborers.map(({ ready }) => ready));
  for (const laborer of laborers) laborer.begin();
  return laborers;
}

async function startTask(trial: Trial, task: Task): Promise<Laborer> {
  const entry = trial.subject.workers;
  if (entry === undefined) return startHere(trial, task);
  const assignment: Assignment = {
    data: trial.region.workerData,
    connect: connectOptions(),
    task,
  };
  const outcomes = ledger();
  if (entry.kind === 'thread') {
    const thread = new Worker(new URL(entry.module), { workerData: assignment });
    thread.on('message', outcomes.take);
    thread.once('error', (error) => outcomes.lost(describe(error)));
    thread.once('exit', (code) => outcomes.lost(`it exited with ${code}`));
    trial.defer(() => thread.terminate());
    return { ...outcomes.promises, ...tell((word) => thread.postMessage(word)) };
  }
  const child = fork(new URL(entry.module), { serialization: 'advanced', execArgv: [] });
  child.on('message', outcomes.take);
  child.once('error', (error) => outcomes.lost(describe(error)));
  child.once('exit', (code, signal) => outcomes.lost(`it exited with ${signal ?? code}`));
  trial.defer(() => {
    if (child.exitCode !== null || child.signalCode !== null) return undefined;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    return gone;
  });
  child.send(assignment);
  return { ...outcomes.promises, ...tell((word) => child.connected && child.send(word)) };
}

async function startHere(trial: Trial, task: Task): Promise<Laborer> {
  const session = await trial.connect();
  const outcomes = ledger();
  let stopped = false;
  let begin: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const stop = (): void => {
    stopped = true;
    begin();
  };
  trial.defer(stop);
  outcomes.take({ event: 'ready' });
  const reached = (): void => outcomes.take({ event: 'reached' });
  runTask(session, task, { begun, stopped: () => stopped, reached }).then(
    (result) => outcomes.take({ event: 'ended', result }),
    (error) => outcomes.lost(describe(error)),
  );
  return { ...outcomes.promises, begin, stop };
}

const tell = (send: (word: Word) => unknown): Pick<Laborer, 'begin' | 'stop'> => ({
  begin: () => void send('begin'),
  stop: () => void send('stop'),
});

/** Keeps what a worker reports as promises. */
function ledger() {
  let beReady: () => void = () => undefined;
  let reach: () => void = () => undefined;
  let end: (result: TaskResult) => void = () => undefined;
  let fail: (error: LawBroken) => void = () => undefined;
  const ended = new Promise<TaskResult>((resolve, reject) => {
    end = resolve;
    fail = reject;
  });
  const ready = new Promise<void>((resolve, reject) => {
    beReady = resolve;
    ended.then(() => resolve(), reject);
  });
  const reached = new Promise<void>((resolve, reject) => {
    reach = resolve;
    ended.then(() => resolve(), reject);
  });
  // Whoever waits for one of them does not always wait for the others.
  for (const promise of [ready, reached, ended]) promise.catch(() => undefined);
  const lost = (reason: string): void => fail(new LawBroken(`a worker failed: ${reason}`));
  const take = (message: unknown): void => {
    const report = message as Report;
    if (report.event === 'ready') beReady();
    else if (report.event === 'reached') reach();
    else if (report.event === 'ended') end(report.result);
    else lost(report.reason);
  };
  return { promises: { ready, reached, ended }, take, lost };
}
