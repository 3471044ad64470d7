import { ExomemError } from '../errors.js';
import type { Awaitable, CallOptions } from './transport.js';

/** Told to a driver whose caller stopped waiting: the answer, when it comes, must not touch the caller's buffers. */
export interface Wait {
  abandoned: boolean;
  /** Nobody can give it up. */
  readonly attended?: boolean;
  /** Set by a driver that hands the call on, to be told when the caller stops waiting. */
  controller?: AbortController;
}

/** Of a call that nobody can give up. */
export const attended: Wait = { abandoned: false, attended: true };

/** A timer that is set for longer fires at once. A deadline so far away is none. */
const longestTimer = 2 ** 31 - 1;

/** What a call is that can be given up. */
export interface WaitedCall {
  readonly options: CallOptions;
  /** It leaves a trace if it happens: given up in flight, its outcome is unknown. */
  readonly changes: boolean;
  readonly where: string;
  /** It is given up while in flight. */
  onGiveUp(): void;
}

/**
 * Runs a call with an abort signal and a deadline.
 * @throws `Aborted`, `DeadlineExceeded` if it is over before it begins; rejects with these, or `OutcomeUnknown`.
 */
export function waitFor<T>(run: (wait: Wait) => Awaitable<T>, call: WaitedCall): Awaitable<T> {
  const { options, changes, where } = call;
  const { signal, timeout } = options;
  if (signal?.aborted) throw new ExomemError('Aborted', 'aborted before it began', { where, cause: signal.reason });
  if (timeout !== undefined && !(timeout > 0)) {
    throw new ExomemError('DeadlineExceeded', `a deadline of ${timeout} ms is over at once`, { where });
  }
  const wait: Wait = { abandoned: false };
  const answer = run(wait);
  if (!(answer instanceof Promise) || (signal === undefined && timeout === undefined)) return answer;
  return new Promise<T>((resolve, reject) => {
    const giveUp = (code: 'Aborted' | 'DeadlineExceeded', what: string, cause?: unknown): void => {
      wait.abandoned = true;
      call.onGiveUp();
      wait.controller?.abort();
      end();
      const reason = new ExomemError(code, what, { where, cause });
      if (!changes) reject(reason);
      else reject(new ExomemError('OutcomeUnknown', `${what}; the step was in flight`, { where, cause: reason }));
    };
    const onAbort = (): void => giveUp('Aborted', 'aborted', signal?.reason);
    const onDeadline = (): void => giveUp('DeadlineExceeded', `no answer within ${timeout} ms`);
    const timer = timeout === undefined || timeout > longestTimer ? undefined : setTimeout(onDeadline, timeout);
    const end = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
    };
    signal?.addEventListener('abort', onAbort, { once: true });
    answer.then(
      (value) => {
        if (wait.abandoned) return;
        end();
        resolve(value);
      },
      (error) => {
        if (wait.abandoned) return;
        end();
        reject(error);
      },
    );
  });
}
