import { userGroups } from '../../region/geometry.js';
import { pageBits } from '../../region/words.js';
import { count, type Findings } from '../finding.js';
import type { Tables } from '../image.js';
import { type Case, overImage, overTables } from '../oracle.js';
import { highOf, nameOf, ownerName, type Standing } from '../standing.js';
import type { ToldHandle, ToldRun } from '../told.js';

export const I1 = overImage(
  { id: 'I1', sentence: 'No page is in two handles that were given out.', decidedByBytes: false },
  (found, { tables }, { handles = [] }) => {
    const sorted = [...handles].sort((one, other) => one.page - other.page);
    let last: ToldHandle | undefined;
    for (const handle of sorted) {
      if (last !== undefined && handle.page < last.page + last.pages) {
        found.damage(
          `page ${handle.page} was given to ${nameOf(handle)} and to ${nameOf(last)}`,
          tables?.pageAt(handle.page) ?? 0,
          { page: handle.page },
        );
      }
      if (last === undefined || handle.page + handle.pages > last.page + last.pages) last = handle;
    }
  },
);

export const I2 = overTables(
  { id: 'I2', sentence: 'The word of a handle that lives shows it, whole, to its owner.', decidedByBytes: false },
  (found, { tables, told: { handles = [] } }) => {
    for (const handle of handles) {
      const high = highOf(handle);
      // With a principal that was taken over its handles are void.
      if (!holds(tables.standings.of(high))) continue;
      for (let page = handle.page; page < handle.page + handle.pages; page++) {
        const group = tables.groupOf(page);
        const should =
          handle.kind === 'withheld' ? pageBits.withheld : page === handle.page ? pageBits.head : pageBits.continuation;
        if (tables.high(group) === high && tables.bits(page) === should) continue;
        found.damage(
          `page ${page} was given to ${nameOf(handle)}, ${handle.kind}, and the word of group ${group} does not show it`,
          tables.wordAt(group),
          { page, group },
        );
        break;
      }
      const next = handle.page + handle.pages;
      if (handle.kind === 'anonymous' && next < tables.userPages && continues(tables, high, next))
        found.damage(
          `the run of ${nameOf(handle)} from page ${handle.page} goes on behind its end`,
          tables.pageAt(next),
          {
            page: next,
          },
        );
    }
  },
);

function continues(tables: Tables, high: number, page: number): boolean {
  return tables.high(tables.groupOf(page)) === high && tables.bits(page) === pageBits.continuation;
}

export const I3 = overTables(
  {
    id: 'I3',
    sentence: 'Every allocated page has a handle, a name, an entry in somebody’s ledger or a dead owner.',
    decidedByBytes: false,
  },
  (found, given) => {
    const { tables, told } = given;
    checkFreed(found, tables, told.freed ?? [], told.handles ?? []);
    if (tables.log.complete) checkUnnamed(found, given);
    const complete = new Set((told.complete ?? []).map(highOf));
    if (complete.size === 0) return;
    const handed = new Set<number>();
    for (const { page, pages } of told.handles ?? []) for (let at = 0; at < pages; at++) handed.add(page + at);
    for (let group = 0; group < userGroups(tables.geometry); group++) {
      if (!complete.has(tables.high(group)) || tables.low(group) === 0) continue;
      const first = group * tables.geometry.groupPages;
      for (let page = first; page < first + tables.geometry.groupPages; page++) {
        const bits = tables.bits(page);
        if ((bits === pageBits.head || bits === pageBits.continuation) && !handed.has(page))
          found.damage(
            `page ${page} of ${ownerName(tables.high(group))} is given out, and nobody has it`,
            tables.wordAt(group),
            {
              page,
              group,
            },
          );
      }
    }
  },
);

/** After a free was acknowledged nothing of the run is held in it, unless it was given out again. */
function checkFreed(found: Findings, tables: Tables, freed: readonly ToldRun[], handles: readonly ToldHandle[]): void {
  for (const run of freed) {
    const { page, pages } = run;
    const again = handles.some((handle) => handle.page < page + pages && handle.page + handle.pages > page);
    const group = tables.groupOf(page);
    if (!again && tables.high(group) === highOf(run) && tables.bits(page) === pageBits.head)
      found.damage(`page ${page} was freed by ${nameOf(run)}, and is given out still`, tables.wordAt(group), {
        page,
        group,
      });
  }
}

/** Withheld pages without a name: in a ledger, or waiting for the members to look elsewhere. At rest there are none. */
function checkUnnamed(found: Findings, { tables, told, pending }: Case): void {
  const building = new Set<number>();
  for (const { kind, page, pages } of told.handles ?? []) {
    if (kind === 'withheld') for (let at = 0; at < pages; at++) building.add(page + at);
  }
  let run: { page: number; pages: number; high: number } | undefined;
  const end = (): void => {
    if (run === undefined) return;
    const { page, pages, high } = run;
    const group = tables.groupOf(page);
    found.add(
      // What a dead client had begun in an application's name waits for whoever adopts it.
      tables.standings.of(high) === 'kept' ? 'note' : pending,
      `${count(pages, 'page')} from page ${page} on, of ${ownerName(high)}, ${pages === 1 ? 'is' : 'are'} withheld without a name: under construction, or waiting to be freed`,
      tables.wordAt(group),
      { page, pages, group },
    );
    run = undefined;
  };
  for (let group = 0; group < userGroups(tables.geometry); group++) {
    const low = tables.low(group);
    const high = tables.high(group);
    if (high >>> 16 === 0 || (low & (low << 1) & 0xaaaa_aaaa) === 0) continue;
    const first = group * tables.geometry.groupPages;
    for (let page = first; page < first + tables.geometry.groupPages; page++) {
      if (tables.bits(page) !== pageBits.withheld || tables.named.has(page) || building.has(page)) continue;
      if (run !== undefined && (run.high !== high || run.page + run.pages !== page)) end();
      run ??= { page, pages: 0, high };
      run.pages++;
    }
  }
  end();
}

/** Whether handles of an owner of that standing are worth something. */
function holds(standing: Standing): boolean {
  return standing === 'alive' || standing === 'kept' || standing === 'left' || standing === 'stranded';
}
