/**
 * Real processes that die, over a real network. `npm run hunt -- WHAT [OPTION ...]`; it ends with 1 if anything was found.
 *
 *   kill        ends a process right before, during and right after each wire step of each operation
 *   stop        stops it there, past its lease, and lets it go on when others have what it had
 *               (--policy NAME: in regions of that policy; --metadata: whose metadata lie in regions of their own)
 *   recoverers  ends two who recover in turn, at any step
 *   seats       ends, then stops, whoever grants groups by messages, so many times
 *   storm       ends, then stops, so many workers at random while three others work, then cuts so many connections
 *
 *   appliances  ends the appliance of the data, that of the metadata, or both, so many times, and serves the same bytes again
 *
 *   trace       replays a trace of allocations by four processes, which it ends at random, for so many seconds
 *   mount       holds the laws of file systems over two mounts of one region, for so many seconds
 *
 * Over subjects that nothing is wrong with:
 *
 *   matrix [PATTERN ...] [--seconds N]        each transport, without each capability, through each wrapper
 *   false-alarms [--seeds N] [--runs N] [--at-once N]
 *                                             the kit again and again: what is broken is a false alarm
 *
 * Over images of regions:
 *
 *   damage [--seeds N] [--seconds N]          bytes of metadata are harmed: they are named, repaired or left, never worse
 *
 * And without a process or a network, every way that small worlds can go:
 *
 *   exhaustive [NAME ...] [--limit STATES] [--mutants] [--path WAY] [--table]
 *   policies [NAME ...] [--limit STATES]      allocation policies by themselves, with larger meetings than the laws have
 */
import { parseArgs } from 'node:util';
import { endAppliances } from './appliances.js';
import { huntDamage } from './damage/index.js';
import { type Side, sides } from './deadly.js';
import { exhaustive } from './exhaustive/main.js';
import { falseAlarms } from './false-alarms.js';
import { kill } from './kill.js';
import { matrix } from './matrix.js';
import { huntMounts } from './mount.js';
import { operations } from './operations/index.js';
import { policies } from './policies.js';
import { recoverersInTurn } from './recoverers.js';
import { emptySeats } from './seats.js';
import { cutAtRandom, killAtRandom, stopAtRandom } from './storms.js';
import { scanObstacle } from './trace/foreign-scan.js';
import { huntTrace } from './trace/index.js';
import { readTrace } from './trace/trace.js';

const { values, positionals } = parseArgs({
  options: {
    operation: { type: 'string', multiple: true },
    from: { type: 'string' },
    to: { type: 'string' },
    side: { type: 'string', multiple: true },
    sample: { type: 'string' },
    seed: { type: 'string' },
    'at-once': { type: 'string' },
    lease: { type: 'string' },
    count: { type: 'string' },
    limit: { type: 'string' },
    seeds: { type: 'string' },
    runs: { type: 'string' },
    mutants: { type: 'boolean' },
    path: { type: 'string' },
    table: { type: 'boolean' },
    law: { type: 'string', multiple: true },
    seconds: { type: 'string' },
    trace: { type: 'string' },
    policy: { type: 'string' },
    metadata: { type: 'boolean' },
  },
  allowPositionals: true,
});
const number = (text: string | undefined): number | undefined => (text === undefined ? undefined : Number(text));

async function atSteps(signal: 'SIGKILL' | 'SIGSTOP'): Promise<boolean> {
  const wrong = values.side?.find((side) => !sides.includes(side as Side));
  if (wrong !== undefined) throw new Error(`there is no side "${wrong}"; there are ${sides.join(', ')}`);
  const began = performance.now();
  const { cases, failures, mistakes } = await kill({
    signal,
    operations: values.operation,
    from: number(values.from),
    to: number(values.to),
    sides: values.side as Side[] | undefined,
    sample: number(values.sample),
    seed: number(values.seed),
    atOnce: number(values['at-once']),
    lease: number(values.lease),
    policy: values.policy,
    apart: values.metadata,
    tell: (line) => console.log(line),
  });
  const seconds = Math.round((performance.now() - began) / 1000);
  console.log(
    `${cases} cases, ${failures.length} failed, ${seconds} s; ${mistakes} begun again, somebody was taken for dead by mistake`,
  );
  return failures.length === 0;
}

const [what, ...names] = positionals;
const count = number(values.count) ?? 100;
const seed = number(values.seed) ?? Math.floor(Math.random() * 1000);
const lease = number(values.lease);

async function twoRecoverers(): Promise<boolean> {
  const { cases, failures } = await recoverersInTurn({ count, seed, lease, tell: (line) => console.log(line) });
  console.log(`${cases} cases, ${failures.length} failed; seed ${seed}`);
  return failures.length === 0;
}

async function storm(): Promise<boolean> {
  let well = true;
  for (const [what, hunt] of Object.entries({ killed: killAtRandom, stopped: stopAtRandom, cut: cutAtRandom })) {
    const began = performance.now();
    const { hit, acts, mistakes } = await hunt({ count, seed, lease, policy: values.policy, apart: values.metadata });
    const seconds = Math.round((performance.now() - began) / 1000);
    console.log(
      `${hit} ${what} in ${seconds} s, others did ${acts} things; ${mistakes} of them declared dead by mistake; seed ${seed}`,
    );
    // A cut is no death.
    if (hunt === cutAtRandom && mistakes > 0) well = false;
  }
  return well;
}

const hunts: Record<string, () => Promise<boolean>> = {
  kill: () => atSteps('SIGKILL'),
  stop: () => atSteps('SIGSTOP'),
  recoverers: twoRecoverers,
  seats: async () => {
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      console.log(
        `${await emptySeats({ count, signal, seed, lease })} times another took the seat, by ${signal}; seed ${seed}`,
      );
    }
    return true;
  },
  storm,
  appliances: async () => {
    const { data, metadata, acts, ended } = await endAppliances({ count, seed, lease, policy: values.policy });
    console.log(
      `killed: ${data} of the data, ${metadata} of the metadata; workers did ${acts} things, ${ended} of ${3 * count} gave up; seed ${seed}`,
    );
    return true;
  },
  trace: async () => {
    const obstacle = scanObstacle();
    if (obstacle !== undefined) throw new Error(`the judge of it is a program of Python: ${obstacle}`);
    const { trace, policy } = values;
    const found = await huntTrace({
      seconds: number(values.seconds) ?? 60,
      seed,
      ...(trace === undefined ? {} : { trace: readTrace(trace) }),
      ...(policy === undefined ? {} : { policy }),
      ...(lease === undefined ? {} : { lease }),
      tell: (line) => console.log(line),
    });
    console.log(
      `${found.steps} steps, ${found.allocations} allocations, ${found.full} found no room, ${found.kills} processes killed, ` +
        `${found.judgements} judgements, at most ${Math.round(100 * found.fullest)} % held; ` +
        `${found.mistakes} declared dead by mistake; seed ${seed}`,
    );
    return true;
  },
  mount: async () => {
    const seconds = number(values.seconds) ?? 60;
    const { failed } = await huntMounts({
      seconds,
      seed,
      laws: values.law,
      path: values.path,
      tell: (line) => console.log(line),
    });
    return failed === 0;
  },
  matrix: () => {
    const seconds = number(values.seconds);
    const budget = seconds === undefined ? undefined : 1000 * seconds;
    return matrix({ budget, seed: number(values.seed), names, tell: (line) => console.log(line) });
  },
  'false-alarms': () =>
    falseAlarms({
      seeds: number(values.seeds),
      atOnce: number(values['at-once']),
      runs: number(values.runs),
      seed: number(values.seed),
      tell: (line) => console.log(line),
    }),
  damage: () =>
    huntDamage({
      seeds: number(values.seeds),
      seconds: number(values.seconds),
      seed: number(values.seed),
      tell: (line) => console.log(line),
    }),
  policies: async () =>
    policies(names, {
      limit: number(values.limit),
      tell: (line) => console.log(line),
      progress: (line) => console.error(line),
    }),
  exhaustive: async () =>
    exhaustive(names, {
      limit: number(values.limit),
      mutants: values.mutants,
      path: values.path,
      table: values.table,
    }),
};

if (what === undefined || hunts[what] === undefined) {
  console.error(`npm run hunt -- ${Object.keys(hunts).join(' | ')} [--operation NAME] [--from STEP] [--to STEP] ...`);
  console.error(`operations: ${operations.map(({ name }) => name).join(', ')}`);
  process.exitCode = 2;
} else {
  process.exitCode = (await hunts[what]()) ? 0 : 1;
}
