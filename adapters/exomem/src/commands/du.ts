import { type Client, ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { printable } from '../command/output.js';
import { formatSize } from '../command/quantity.js';

export interface DuFlags {
  readonly summarize?: boolean;
  readonly humanReadable?: boolean;
}

/** A directory, or the file that was named, with what is below it. */
interface Row {
  readonly path: string;
  /** Bytes of the pages that are really held: holes take nothing, a file with several names counts once. */
  held: number;
  /** Bytes that the sizes of the files add up to. */
  size: number;
  files: number;
}

/** Shows how much of a region the files below a path take. Names themselves lie in the log, and take no pages. */
export async function du(context: Context, text: string | undefined, flags: DuFlags): Promise<void> {
  const { output } = context;
  const { url, path } = context.location(text);
  await using client = await context.look(url);
  const rows = await measure(client, path);
  const shown = flags.summarize ? rows.slice(-1) : rows;
  if (output.json) return output.value(shown);
  output.table(
    shown.map((row) => [flags.humanReadable ? formatSize(row.held) : String(row.held), printable(row.path)]),
    [0],
  );
}

interface Visit {
  readonly row: Row;
  readonly above: Row | undefined;
  readonly left: Iterator<[string, number]>;
}

/** Every directory behind those in it, the one that was named last. */
async function measure(client: Client, path: string): Promise<Row[]> {
  const { namespace, state, where } = client;
  const top = await namespace.resolve(path, { follow: path.endsWith('/') });
  const rows: Row[] = [];
  const counted = new Set<number>();
  const begin = (inode: number, at: string, above: Row | undefined): Visit => {
    counted.add(inode);
    return {
      row: { path: at, held: 0, size: 0, files: 0 },
      above,
      left: [...namespace.entries(inode)].sort(([a], [b]) => (a < b ? -1 : 1)).values(),
    };
  };
  const count = (row: Row, inode: number): void => {
    counted.add(inode);
    const { kind, allocated, size } = namespace.stat(inode);
    if (kind !== 'file') return;
    row.held += allocated;
    row.size += size;
    row.files++;
  };
  if (state.inode(top).kind !== 'directory') {
    const row: Row = { path, held: 0, size: 0, files: 0 };
    count(row, top);
    return [row];
  }
  const under: Visit[] = [begin(top, path.length > 1 ? path.replace(/\/+$/, '') : path, undefined)];
  for (let visit = under.at(-1); visit !== undefined; visit = under.at(-1)) {
    const next = visit.left.next();
    if (next.done) {
      under.pop();
      rows.push(visit.row);
      if (visit.above !== undefined) {
        visit.above.held += visit.row.held;
        visit.above.size += visit.row.size;
        visit.above.files += visit.row.files;
      }
      continue;
    }
    const [name, inode] = next.value;
    const found = state.inodes.get(inode);
    if (found === undefined || counted.has(inode)) {
      // A directory has one name; of a file the others count no more.
      if (found?.kind === 'directory') {
        throw new ExomemError('Damaged', `directory ${inode} has several names`, {
          where,
          advice: '`exomem fsck` shows what else is wrong there',
        });
      }
    } else if (found.kind === 'directory') {
      under.push(begin(inode, `${visit.row.path === '/' ? '' : visit.row.path}/${name}`, visit.row));
    } else count(visit.row, inode);
  }
  return rows;
}
