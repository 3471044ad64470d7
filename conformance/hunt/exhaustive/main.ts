import { convict, mutants } from './mutants.js';
import { searches } from './searches/index.js';
import { explore, story } from './subject.js';

/**
 * `npm run hunt -- exhaustive [NAME ...] [--limit N] [--mutants]`: goes every way that small worlds can go, with the shipped
 * protocols; with `--mutants`, with broken ones, each of which a search must find. Whether all is as it must be.
 */
export function exhaustive(
  names: readonly string[],
  options: { readonly limit?: number; readonly mutants?: boolean } = {},
): boolean {
  const chosen = <T extends { name: string }>(all: readonly T[]): readonly T[] => {
    const some = all.filter(({ name }) => names.length === 0 || names.some((one) => name.includes(one)));
    if (some.length === 0) throw new Error(`there are: ${all.map(({ name }) => name).join(', ')}`);
    return some;
  };
  let well = true;
  if (options.mutants) {
    for (const mutant of chosen(mutants)) {
      const { found, states, subject } = convict(mutant, options.limit);
      if (found === undefined) well = false;
      const verdict =
        found === undefined ? `NOT FOUND in ${states} states` : `${found.states} states: ${found.message}`;
      console.log(`${mutant.name} | ${subject} | ${verdict}`);
    }
    return well;
  }
  for (const subject of chosen(searches)) {
    const { searched, found } = explore(subject, options.limit ?? subject.limit);
    if (found !== undefined) {
      well = false;
      console.log(`${subject.name}: FOUND after ${found.states} states: ${found.message}\n${story(subject, found)}`);
      continue;
    }
    const { states, ends, depth, milliseconds, complete } = searched!;
    const { crashes, losses } = subject.bound;
    const bound = `at most ${crashes} crash and ${losses} lost reply`;
    const how = complete ? 'complete' : 'a bounded hunt, stopped by its limit';
    const seconds = (milliseconds / 1000).toFixed(1);
    console.log(
      `${subject.name}: ${states} states, ${ends} ends, ${depth} steps at most, ${bound}, ${seconds} s, ${how}`,
    );
  }
  return well;
}
