import { ExomemError } from '../errors.js';
import type { Protocol } from '../protocol/protocol.js';
import { now, pause } from '../protocol/protocol.js';
import type { OwnWords } from './own-words.js';
import type { AllocationRequest } from './policy.js';
import { type TableReading, tableChunk } from './reading.js';
import { allMask } from './run-bits.js';

/** Milliseconds for which an allocation looks at a table that does not hold still. */
const defaultTimeout = 10_000;

/** Where an allocation stands that found nothing. */
export class Search {
  readonly #words: OwnWords;
  readonly #reading: TableReading;
  readonly #request: Pick<AllocationRequest, 'pages' | 'timeout'>;
  readonly #refuse: () => ExomemError;
  /** When it gives up, if the table does not hold still. */
  #until: number | undefined;
  /** A digest of what the last scan saw. */
  #seen: number | undefined;
  /** Two scans in a row saw the same: there is nothing that was overlooked. */
  #settled = false;
  /** Places in a row that somebody else had. */
  #missed = 0;

  /** @param refuse what to throw if nothing is left; default: for the one run of the request */
  constructor(
    words: OwnWords,
    reading: TableReading,
    request: Pick<AllocationRequest, 'pages' | 'timeout'>,
    refuse?: () => ExomemError,
  ) {
    this.#words = words;
    this.#reading = reading;
    this.#request = request;
    this.#refuse = refuse ?? (() => this.#refusal(request.pages));
  }

  /** What is known to be free is all there is. */
  get settled(): boolean {
    return this.#settled;
  }

  /**
   * There was something from that group on, and somebody else has it now: only another look can say that nothing is left.
   * One race that is lost says little; who loses a second one looks about itself, further each time.
   */
  *missed(group: number): Protocol<void> {
    this.#settled = false;
    this.#missed++;
    if (this.#missed > 1) yield* this.#reading.look(group, Math.min(tableChunk, 4 * 16 ** this.#missed));
  }

  /**
   * Nothing that we know of fits: scans the table once more.
   * @throws `RegionFull`, `Fragmented` when two scans in a row saw the same, and nothing of ours is under way that
   * could still make room.
   */
  *lookAgain(): Protocol<void> {
    const words = this.#words;
    const { table } = words;
    const { pages, timeout } = this.#request;
    if (this.#settled) {
      if (words.trouble) {
        yield* words.repair();
      } else if (table.unsettled) {
        yield pause(0);
      } else {
        const empties = pages > table.groupPages ? table.empties() : [];
        if (empties.length === 0) throw this.#refuse();
        yield* words.changeAll(empties.map((owned) => ({ owned, mask: allMask, bits: 0 })));
      }
      this.#seen = undefined;
    }
    const time = (yield now) as number;
    this.#until ??= time + (timeout ?? defaultTimeout);
    if (time >= this.#until) {
      throw new ExomemError(
        'DeadlineExceeded',
        'the table of groups did not hold still for long enough to say whether it is full',
      );
    }
    const seen = yield* this.#reading.scan();
    this.#missed = 0;
    this.#settled = seen === this.#seen;
    this.#seen = seen;
  }

  #refusal(pages: number): ExomemError {
    const { free, longest } = this.#words.table.capacity();
    if (free >= pages) {
      return new ExomemError(
        'Fragmented',
        `${free} pages are free, but no run of ${pages} as it was asked for; the longest has ${longest}`,
      );
    }
    return new ExomemError('RegionFull', `${pages} page(s) were asked for, and this client could have ${free}`);
  }
}
