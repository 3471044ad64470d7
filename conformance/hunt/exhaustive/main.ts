import { convict, mutants } from './mutants.js';
import { searches } from './searches/index.js';
import { explore, story } from './subject.js';

export interface ExhaustiveHunt {
  readonly limit?: number;
  readonly mutants?: boolean;
  /** The way that is to be gone once more: numbers with dots between them. */
  readonly path?: string;
}

/**
 * `npm run hunt -- exhaustive [NAME ...] [--limit N] [--mutants] [--path WAY]`: goes every way that small worlds can go, with the
 * shipped protocols; with `--mutants`, with broken ones, each of which a search must find. Whether all is as it must be.
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
    const { states, steps, ends, depth, histories, milliseconds, complete } = searched!;
    const bound = boundOf(subject);
    const how = complete ? 'complete' : 'a bounded hunt, stopped by its limit';
    const seconds = (milliseconds / 1000).toFixed(1);
    const size = `${states} states, ${steps} steps, ${histories} histories, ${ends} ends, ${depth} steps to the farthest`;
    console.log(`${subject.name}: ${size}, ${bound}, ${seconds} s, ${how}`);
  }
  return well;
}

/** How much may go wrong, in words. */
function boundOf({
  bound: { crashes, losses, restarts = 0, ticks = 0, expiries = 0 },
}: (typeof searches)[number]): string {
  const parts = [`at most ${crashes} deaths`, `${losses} lost replies`];
  if (restarts > 0) parts.push(`${restarts} restarts`);
  if (ticks > 0) parts.push(`${ticks} ticks`);
  if (expiries > 0) parts.push(`${expiries} holders passed over too early`);
  return parts.join(', ');
}

/** Goes one way again, and says what happens. */
function again(...[subject, path, mutant]: [(typeof searches)[number], string, (typeof mutants)[number]?]): boolean {
  const { told, wrong } = story(subject, path === '' ? [] : path.split('.').map(Number), mutant);
  console.log(told);
  console.log(wrong === undefined ? 'nothing is wrong with that' : wrong.message);
  return wrong === undefined;
}
