import type { Trace } from './placement-trace.js';

const pageSize = 4096;

/** Pages in a row that are free. */
interface Run {
  page: number;
  pages: number;
}

/**
 * The smallest run that is long enough, among single pages: an allocator that keeps its list to itself, has no groups, and
 * forgets who owns what. What it cannot place in one piece, no choice among groups of pages is to be blamed for.
 */
class BareBestFit {
  /** By page; no two of them meet. */
  readonly #runs: Run[];

  constructor(pages: number) {
    this.#runs = [{ page: 0, pages }];
  }

  /** The first page; -1 if there is no run that long. */
  allocate(pages: number): number {
    let found = -1;
    for (const [at, run] of this.#runs.entries()) {
      if (run.pages >= pages && (found < 0 || run.pages < this.#runs[found]!.pages)) found = at;
    }
    if (found < 0) return -1;
    const run = this.#runs[found]!;
    const { page } = run;
    run.page += pages;
    run.pages -= pages;
    if (run.pages === 0) this.#runs.splice(found, 1);
    return page;
  }

  free(page: number, pages: number): void {
    let at = this.#runs.findIndex((run) => run.page > page);
    if (at < 0) at = this.#runs.length;
    const [before, after] = [this.#runs[at - 1], this.#runs[at]];
    const joins = before !== undefined && before.page + before.pages === page;
    if (after !== undefined && page + pages === after.page) {
      after.page = joins ? before.page : page;
      after.pages += joins ? before.pages + pages : pages;
      if (joins) this.#runs.splice(at - 1, 1);
    } else if (joins) before.pages += pages;
    else this.#runs.splice(at, 0, { page, pages });
  }
}

/** Whether something of a trace is refused that has room for so many bytes. */
export function bareRefuses(trace: Trace, room: number): boolean {
  const pages = new BareBestFit(Math.ceil(room / pageSize));
  const blocks = new Map<number, Run>();
  for (const [at, id] of trace.ids.entries()) {
    const block = blocks.get(id);
    if (block !== undefined) {
      pages.free(block.page, block.pages);
      blocks.delete(id);
      continue;
    }
    const wanted = Math.ceil(trace.bytes[at]! / pageSize);
    const page = pages.allocate(wanted);
    if (page < 0) return true;
    blocks.set(id, { page, pages: wanted });
  }
  return false;
}
