import type { Awaitable, Session } from '@exomem/core';
import { isExomemError } from '@exomem/core';
import type { HistoryEvent, HistoryOp } from './event.js';

/** What is recorded of a call before it is made; see {@link HistoryEvent}. */
export type HistoryCall = Omit<HistoryEvent, 'client' | 'result' | 'start' | 'end' | 'outcome' | 'error'>;

/** Takes down what a client does, with times of the monotonic clock that all processes of a machine share. */
export class HistoryRecorder {
  readonly #client: string;
  readonly #take: (event: HistoryEvent) => void;
  readonly #begun: ((call: HistoryCall & Pick<HistoryEvent, 'client' | 'start'>) => void) | undefined;

  /**
   * @param take is given each event when it has ended
   * @param begun is told of each call before it is made, for clients that may be killed
   */
  constructor(
    client: string,
    take: (event: HistoryEvent) => void,
    begun?: (call: HistoryCall & Pick<HistoryEvent, 'client' | 'start'>) => void,
  ) {
    this.#client = client;
    this.#take = take;
    this.#begun = begun;
  }

  /**
   * Makes a call and records what became of it. Errors of exomem that say that nothing happened count as failed, every other
   * error as unknown.
   */
  async record<T>(
    call: HistoryCall,
    make: () => Awaitable<T>,
    resultOf: (value: T) => HistoryEvent['result'],
  ): Promise<T> {
    const client = this.#client;
    const start = String(process.hrtime.bigint());
    this.#begun?.({ client, ...call, start });
    try {
      const value = await make();
      const end = String(process.hrtime.bigint());
      this.#take({ client, ...call, result: resultOf(value), start, end, outcome: 'ok' });
      return value;
    } catch (error) {
      const outcome = hasNotHappened(error) ? 'failed' : 'unknown';
      const code = isExomemError(error) ? error.code : String(error);
      this.#take({ client, ...call, result: null, start, end: null, outcome, error: code });
      throw error;
    }
  }

  /** Operations on words of a session, recorded. */
  words(session: Session): RecordedWords {
    const on = (op: HistoryOp, offset: number, more: Partial<HistoryCall> = {}): HistoryCall => ({
      op,
      offset,
      ...more,
    });
    return {
      read: (offset) => this.record(on('read', offset), () => session.load(offset), String),
      write: (offset, value) => {
        const bytes = new Uint8Array(8);
        new DataView(bytes.buffer).setBigUint64(0, value, true);
        return this.record(
          on('write', offset, { value: String(value) }),
          () => session.write(offset, bytes),
          () => null,
        );
      },
      compareExchange: (offset, expected, desired) => {
        const call = on('compareExchange', offset, { expected: String(expected), desired: String(desired) });
        return this.record(call, () => session.compareExchange(offset, expected, desired), String);
      },
      fetchAdd: (offset, delta) => {
        const call = on('fetchAdd', offset, { delta: String(delta) });
        return this.record(call, () => session.fetchAdd(offset, delta), String);
      },
    };
  }
}

export interface RecordedWords {
  read(offset: number): Promise<bigint>;
  write(offset: number, value: bigint): Promise<void>;
  compareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint>;
  fetchAdd(offset: number, delta: bigint): Promise<bigint>;
}

const nothing = [
  ...(['OutOfRange', 'Unaligned', 'InvalidArgument', 'Aborted', 'DeadlineExceeded', 'Disconnected', 'Closed'] as const),
  ...(['Fenced', 'RegionFull', 'Fragmented', 'UnsupportedCapability', 'PermissionDenied', 'StaleHandle'] as const),
];

function hasNotHappened(error: unknown): boolean {
  return nothing.some((code) => isExomemError(error, code));
}
