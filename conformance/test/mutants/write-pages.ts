/**
 * Writes the pages of laws: `npm run laws-pages`. For each law a mutant is hunted that it was seeded for, and what the kit prints
 * about it is shown.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { Kill } from './mutant.js';
import { lawPages, pageText, shownOf } from './pages.js';
import { allLaws, mutants } from './table.js';

process.on('unhandledRejection', () => undefined);
const shown = new Map<string, string>();
for (const { of, id } of allLaws()) {
  const own = mutants.filter((one) => one.law === id && (one.of === 'protocol' ? 'search' : one.of) === of);
  const quick = own.filter(({ slow }) => !slow);
  let kill: Kill | undefined;
  for (let seed = 1; kill === undefined && seed <= 10; seed++) {
    for (const mutant of quick.length > 0 ? quick : own) kill ??= await mutant.hunt(seed, false);
  }
  if (kill === undefined) throw new Error(`nothing breaks ${of} ${id}`);
  shown.set(`${of} ${id}`, shownOf(kill.what));
  console.log(`${of} ${id}: ${kill.what.split('\n')[0]}`);
}
const folder = new URL('../../../../docs/laws/', import.meta.url);
mkdirSync(folder, { recursive: true });
for (const page of lawPages) writeFileSync(new URL(page.file, folder), pageText(page, shown));
process.exit();
