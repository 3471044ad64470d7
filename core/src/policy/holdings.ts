import type { Protocol } from '../protocol/protocol.js';
import { pageBits, repeatBits } from '../region/words.js';
import { HeldExtent } from './extents.js';
import type { GroupTable } from './group-table.js';
import type { OwnWords, WordChange } from './own-words.js';
import type { Extent } from './policy.js';
import type { TableReading } from './reading.js';
import { setMask } from './run-bits.js';

/** What the structure says that a principal holds. */
export class Holdings {
  readonly #words: OwnWords;
  readonly #table: GroupTable;
  readonly #groupPages: number;
  readonly #reading: TableReading;
  readonly #owner: object;

  constructor(words: OwnWords, reading: TableReading, owner: object) {
    this.#words = words;
    this.#table = words.table;
    this.#groupPages = words.geometry.groupPages;
    this.#reading = reading;
    this.#owner = owner;
  }

  *read(): Protocol<readonly Extent[]> {
    if (this.#words.trouble) yield* this.#words.repair();
    const words = this.#words;
    // Whoever takes this principal from us re-tags its words one by one: only if nobody had begun when they were read is what
    // they showed all of it.
    yield* this.#reading.scan(true);
    const extents: HeldExtent[] = [];
    const strays: WordChange[] = [];
    let run: { page: number; pages: number } | undefined;
    const end = () => {
      if (run !== undefined) extents.push(new HeldExtent(run.page, run.pages, false, this.#owner, 'found'));
      run = undefined;
    };
    const inside = repeatBits(this.#groupPages, pageBits.continuation);
    for (const owned of [...this.#table.owned.values()].sort((a, b) => a.group - b.group)) {
      // The middle of a long run: most groups of whoever has much.
      if (owned.low === inside && run !== undefined && run.page + run.pages === owned.group * this.#groupPages) {
        run.pages += this.#groupPages;
        continue;
      }
      let stray = 0;
      for (let index = 0; index < this.#groupPages; index++) {
        const page = owned.group * this.#groupPages + index;
        const bits = (owned.low >>> (30 - 2 * index)) & 3;
        if (run !== undefined && (bits !== pageBits.continuation || run.page + run.pages !== page)) end();
        if (bits === pageBits.head) run = { page, pages: 1 };
        else if (bits === pageBits.continuation) {
          // Without a head before it, it belongs to a run that was never committed, or is free since its un-commit.
          if (run === undefined) stray |= 1 << index;
          else run.pages++;
        }
      }
      if (stray !== 0) strays.push({ owned, mask: setMask(stray), bits: 0 });
    }
    end();
    // From the far end, as everything of a run goes.
    yield* words.changeAll(strays.reverse());
    return extents;
  }
}
