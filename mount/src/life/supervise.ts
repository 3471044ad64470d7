import { type ChildProcess, spawn } from 'node:child_process';
import { ExomemError } from '@exomem/core';
import type { FromChild } from './messages.js';
import { unmountDead } from './mount-point.js';

export interface SuperviseOptions {
  readonly dir: string;
  /** Arguments of the child: a module that calls {@link runMountChild}, and what it needs. */
  readonly args: readonly string[];
  /** The program. Default: this Node. */
  readonly command?: string;
  readonly env?: NodeJS.ProcessEnv;
  /** Milliseconds in which it must have mounted. Default 30,000. */
  readonly patience?: number;
  /** Milliseconds in which it must have unmounted and ended once told so; then it is killed. Default 45,000. */
  readonly stopPatience?: number;
}

/** How a supervised mount came to its end. */
export interface MountEnd {
  /**
   * `stopped`: by `stop()`. `unmounted`: somebody unmounted the directory. `failed`: it never was mounted. `died`: its
   * process crashed or was killed, and the directory was unmounted in its place.
   */
  readonly reason: 'stopped' | 'unmounted' | 'failed' | 'died';
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface SupervisedMount extends AsyncDisposable {
  /** The process that serves it. */
  readonly pid: number;
  readonly dir: string;
  /** Resolves once the directory is mounted. @throws what kept it from being mounted, as a typed error. */
  readonly ready: Promise<void>;
  /** Resolves when nothing is left of it: no process, no mount. */
  readonly ended: Promise<MountEnd>;
  /** Unmounts and waits for the end. What is open is cut off. Idempotent. */
  stop(): Promise<void>;
}

/**
 * Serves a mount from a child process and sees to it that nothing stays behind: a child that dies is unmounted in its
 * place, and a child whose parent dies, by whatever signal, unmounts by itself. In a session of its own, so that Ctrl-C
 * in a terminal reaches the parent alone, which then stops things in their order.
 */
export function superviseMount(options: SuperviseOptions): SupervisedMount {
  const { dir, args, command = process.execPath, env = process.env } = options;
  const child = spawn(command, args, { env, detached: true, stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  let mounted = false;
  let stopped = false;
  let stopping: Promise<void> | undefined;
  let failure: ExomemError | undefined;

  const ended = (async (): Promise<MountEnd> => {
    const { code, signal } = await exitOf(child);
    // Its server is dead, so there is nothing left to be written. What others mounted there is none of ours.
    await unmountDead(dir);
    if (!mounted) return { reason: 'failed', code, signal };
    return { reason: stopped ? 'stopped' : code === 0 ? 'unmounted' : 'died', code, signal };
  })();

  const ready = new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      failure = new ExomemError('DeadlineExceeded', `${dir} was not mounted in time`, { where: dir });
      child.kill('SIGKILL');
    }, options.patience ?? 30_000);
    child.on('message', (message: FromChild) => {
      if (message.type === 'failed') {
        const { code, message: what, where, advice } = message.error;
        failure = new ExomemError(code, what, { where, advice });
      } else {
        mounted = true;
        clearTimeout(timer);
        resolve();
      }
    });
    child.once('error', (error) => {
      failure = new ExomemError('Unavailable', `${command} could not be started`, { where: dir, cause: error });
    });
    void ended.then(({ code, signal }) => {
      clearTimeout(timer);
      reject(
        failure ??
          new ExomemError('Unavailable', `the process that was to serve ${dir} ended (${signal ?? code})`, {
            where: dir,
          }),
      );
    });
  });
  // Who does not ask is not to be killed by an unheard rejection.
  ready.catch(() => undefined);

  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      stopped = true;
      if (child.connected) child.send('stop', () => undefined);
      else child.kill('SIGTERM');
      const timer = setTimeout(() => child.kill('SIGKILL'), options.stopPatience ?? 45_000);
      await ended;
      clearTimeout(timer);
    })();
    return stopping;
  };
  return { pid: child.pid ?? 0, dir, ready, ended, stop, [Symbol.asyncDispose]: stop };
}

function exitOf(child: ChildProcess): Promise<{ code: number | null; signal: NodeJS.Signals | null }> {
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve({ code, signal }));
    child.once('error', () => {
      if (child.pid === undefined) resolve({ code: 1, signal: null });
    });
  });
}
