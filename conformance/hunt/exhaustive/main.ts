import { convict, mutants } from './mutants.js';
import { boundOf, isTrue, readRecord, rowOf, writeRow } from './record.js';
import { searches } from './searches/index.js';
import { explore, story } from './subject.js';

export interface ExhaustiveHunt {
  readonly limit?: number;
  readonly mutants?: boolean;
  /** The way that is to be gone once more: numbers with dots between them. */
  readonly path?: string;
  /** What comes out is written into `docs/proofs.md`. */
  readonly table?: boolean;
}

/**
 * `npm run hunt -- exhaustive [NAME ...] [--limit N] [--mutants] [--path WAY] [--table]`: goes every way that small worlds can
 * go, with the shipped protocols; with `--mutants`, with broken ones, each of which a search must find; with `--table`, those
 * whose rows in `docs/proofs.md` are not true any more, or those that are named, and writes the rows. Whether all is as it must
 * be.
 */
export function exhaustive(names: readonly string[], options: ExhaustiveHunt = {}): boolean {
  const chosen = <T extends { name: string }>(all: readonly T[]): readonly T[] => {
    const exact = all.filter(({ name }) => names.includes(name));
    if (exact.length > 0) return exact;
    const some = all.filter(({ name }) => names.length === 0 || names.some((one) => name.includes(one)));
    if (some.length === 0) throw new Error(`there are: ${all.map(({ name }) => name).join(', ')}`);
    return some;
  };
  const { limit, path } = options;
  let well = true;
  if (options.mutants) {
    for (const mutant of chosen(mutants)) {
      const subject = searches.find(({ name }) => name === mutant.search)!;
      if (path !== undefined) return again(subject, path, mutant);
      const { found, states } = convict(mutant, limit);
      if (found === undefined) well = false;
      const verdict =
        found === undefined ? `NOT FOUND in ${states} states` : `${found.states} states: ${found.message}`;
      console.log(`${mutant.name} | ${subject.name} | ${verdict}`);
      if (found !== undefined)
        console.log(`  again: npm run hunt -- exhaustive --mutants '${mutant.name}' --path ${found.path.join('.')}`);
    }
    return well;
  }
  for (const subject of chosen(searches)) {
    if (path !== undefined) return again(subject, path);
    if (options.table && names.length === 0 && isTrue(subject, readRecord().get(subject.name))) continue;
    const progress = ({ states, milliseconds }: { states: number; milliseconds: number }): void =>
      console.error(`  ${subject.name}: ${states} states after ${Math.round(milliseconds / 1000)} s`);
    const { searched, found } = explore(subject, { limit: limit ?? subject.limit, progress });
    if (found !== undefined) {
      well = false;
      const { told } = story(subject, found.path);
      console.log(`${subject.name}: FOUND after ${found.states} states: ${found.message}\n${told}`);
      console.log(`  again: npm run hunt -- exhaustive ${subject.name} --path ${found.path.join('.')}`);
      continue;
    }
    if (options.table) {
      const row = rowOf(subject, searched!);
      writeRow(row, searches[searches.indexOf(subject) - 1]?.name);
      console.log(row.join(' | '));
      continue;
    }
    const { states, steps, ends, depth, histories, milliseconds, complete } = searched!;
    const bound = boundOf(subject);
    const how = complete ? 'complete' : 'a bounded hunt, stopped by its limit';
    const seconds = (milliseconds / 1000).toFixed(1);
    const size = `${states} states, ${steps} steps, ${histories} histories, ${ends} ends, ${depth} steps to the farthest`;
    console.log(`${subject.name}: ${size}, at most ${bound}, ${seconds} s, ${how}`);
  }
  return well;
}

/** Goes one way again, and says what happens. */
function again(...[subject, path, mutant]: [(typeof searches)[number], string, (typeof mutants)[number]?]): boolean {
  const { told, wrong } = story(subject, path === '' ? [] : path.split('.').map(Number), mutant);
  console.log(told);
  console.log(wrong === undefined ? 'nothing is wrong with that' : wrong.message);
  return wrong === undefined;
}
