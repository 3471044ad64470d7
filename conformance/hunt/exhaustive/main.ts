import { searches } from './searches/index.js';
import { explore, story } from './subject.js';

/**
 * `npm run hunt -- exhaustive [NAME ...] [--limit N]`: goes every way that small worlds can go, with the shipped protocols.
 * Whether nothing was found.
 */
export function exhaustive(args: readonly string[]): boolean {
  const limits = args.indexOf('--limit');
  const limit = limits < 0 ? undefined : Number(args[limits + 1]);
  const names = args.filter(
    (argument, at) => !argument.startsWith('-') && at !== limits + 1 - Number(limits < 0) * 1e9,
  );
  const chosen = searches.filter(({ name }) => names.length === 0 || names.some((one) => name.includes(one)));
  if (chosen.length === 0) throw new Error(`there are ${searches.map(({ name }) => name).join(', ')}`);
  let well = true;
  for (const subject of chosen) {
    const { searched, found } = explore(subject, limit ?? subject.limit);
    const { crashes, losses } = subject.bound;
    const bound = `${crashes} crash, ${losses} lost reply`;
    if (found !== undefined) {
      well = false;
      console.log(`${subject.name}: FOUND after ${found.states} states: ${found.message}\n${story(subject, found)}`);
      continue;
    }
    const { states, ends, depth, milliseconds, complete } = searched!;
    const how = complete ? 'complete' : 'a bounded hunt, stopped by its limit';
    console.log(
      `${subject.name}: ${states} states, ${ends} ends, ${depth} steps at most, ${bound}, ${(milliseconds / 1000).toFixed(1)} s, ${how}`,
    );
  }
  return well;
}
