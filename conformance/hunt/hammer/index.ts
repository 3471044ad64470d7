/**
 * Threads over shared memory and processes over TCP that do what they can at the same time, and are ended, stopped and cut off
 * at random; what they did is held against linearizability. It ends with 1 if no order explains what they were told.
 *
 *   npm run hammer -- [threads] [words] [memory] [--seconds N] [--seed N] [--history FILE]
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { checkHistory, type HistoryEvent } from '@exomem/conformance';
import { hammerProcesses } from './processes.js';
import { hammerThreads } from './threads.js';

const { values, positionals } = parseArgs({
  options: { seconds: { type: 'string' }, seed: { type: 'string' }, history: { type: 'string' } },
  allowPositionals: true,
});

const hammers: Record<string, (seed: number) => Promise<HistoryEvent[]>> = {
  threads: (seed) => hammerThreads({ seed }),
  words: (seed) => hammerProcesses({ kind: 'words', seed }),
  memory: (seed) => hammerProcesses({ kind: 'memory', seed }),
};

const names = positionals.length > 0 ? positionals : Object.keys(hammers);
const unknown = names.find((name) => hammers[name] === undefined);
const seconds = Number(values.seconds ?? 20);
const first = Number(values.seed ?? Math.floor(Math.random() * 1e6));
if (unknown !== undefined || !(seconds > 0) || !Number.isInteger(first)) {
  console.error(`npm run hammer -- [${Object.keys(hammers).join('] [')}] [--seconds N] [--seed N] [--history FILE]`);
  process.exit(2);
}

for (const name of names) {
  const until = performance.now() + seconds * 1000;
  let events = 0;
  let lost = 0;
  let rounds = 0;
  for (; rounds === 0 || performance.now() < until; rounds += 1) {
    const seed = first + rounds;
    const history = await hammers[name]!(seed);
    if (values.history !== undefined) {
      writeFileSync(values.history, history.map((event) => `${JSON.stringify(event)}\n`).join(''));
    }
    const report = checkHistory(history);
    events += report.events;
    lost += report.unknown;
    for (const { message } of report.violations) console.log(message);
    for (const object of report.undecided) console.log(`${object}: the search was given up`);
    if (report.linearizable) continue;
    console.log(`${name}, seed ${seed}`);
    process.exitCode = 1;
    break;
  }
  console.log(`${name}: ${rounds} rounds, ${events} events, of ${lost} nobody knows the outcome; seed ${first}`);
}
