import { alone, enter } from './ledger.js';

/** How long the process may stay after its last suite. */
const grace = 5_000;

let open = 0;
let passed = 0;
let failed = 0;
let skipped = 0;
const unfinished = new Map<number, string>();
let watch: NodeJS.Timeout | undefined;

/** Keeps the books of this process: its suites, their results, and what its exit code has to be. */
export const settlement = {
  opened(suite: number, name: string): void {
    clearTimeout(watch);
    open += 1;
    unfinished.set(suite, name);
  },

  count(event: 'passed' | 'failed' | 'skipped'): void {
    if (event === 'passed') passed += 1;
    else if (event === 'failed') failed += 1;
    else skipped += 1;
  },

  ended(suite: number): void {
    open -= 1;
    unfinished.delete(suite);
    if (open > 0) return;
    enter({ event: 'settled' });
    if (alone) console.log(`\n${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`);
    watch = setTimeout(leaked, grace);
    watch.unref();
  },
};

function leaked(): void {
  const resources = process.getActiveResourcesInfo();
  enter({ event: 'leaked', resources });
  console.error(
    `\nThe tests have ended, but the process is kept alive by: ${resources.join(', ') || 'something unknown'}`,
  );
  process.exit(1);
}

// A runner that was killed cannot end its files any more: they end themselves.
if (!alone) {
  const runner = process.ppid;
  setInterval(() => process.ppid === runner || process.exit(1), 1_000).unref();
}

process.on('exit', () => {
  for (const name of unfinished.values()) console.error(`\nThe process ended before the suite "${name}" had run.`);
  if (failed > 0 || unfinished.size > 0) process.exitCode ||= 1;
});
