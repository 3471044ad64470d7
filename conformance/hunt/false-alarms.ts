import {
  conform,
  type Law,
  policyLaws,
  reportText,
  type Subject,
  transportLaws,
  transportSubject,
} from '@exomem/conformance';
import { atomic, locked, message } from '@exomem/core';
import { shippedTransports } from './sound-subjects.js';

export interface FalseAlarmOptions {
  /** Seeds with which each law is held once, with little effort. Default 100. */
  readonly seeds?: number | undefined;
  /** Seeds that are under way at the same time: most of them wait. Default 8. */
  readonly atOnce?: number | undefined;
  /** Full runs of the kit with the usual effort. Default 1. */
  readonly runs?: number | undefined;
  /** The first seed. Default 1. */
  readonly seed?: number | undefined;
  readonly tell: (line: string) => void;
}

const policies = [
  { name: 'atomic', policy: atomic },
  { name: 'locked', policy: locked, progress: false },
  { name: 'message', policy: message, progress: false },
] as const;
/** What chance has a part in, with as little as shows something: most of the time of a law is its region. */
const little = { runs: 2, increments: 50, cuts: 1, tearing: 10, corpus: [] } as const;

/**
 * `npm run hunt -- false-alarms [--seeds N] [--at-once N] [--runs N]`: the kit over subjects that nothing is wrong with, in one
 * process. A law that is broken is a false alarm, or a bug that nobody knew. Whether there was none.
 */
export async function falseAlarms(options: FalseAlarmOptions): Promise<boolean> {
  const { seeds = 100, atOnce = 8, runs = 1, seed = 1, tell } = options;
  const began = process.cpuUsage();
  let held = 0;
  let alarms = 0;
  const hold = async (name: string, law: Law, at: number) => {
    if (law.skip !== undefined) return;
    held++;
    await law.run().catch((error: unknown) => {
      alarms++;
      tell(`seed ${at}, ${name}, ${law.id}: ${error instanceof Error ? error.message : String(error)}`);
    });
  };
  const holdAll = async (at: number) => {
    for (const { name, laws } of await subjects()) for (const law of laws(at)) await hold(name, law, at);
  };
  let next = seed;
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (next < seed + seeds) {
        await holdAll(next++);
        if ((next - seed) % 100 === 0) tell(`${next - seed} seeds begun, ${held} laws held, ${alarms} alarms`);
      }
    }),
  );
  let full = 0;
  for (let run = 0; run < runs; run++) {
    for (const { subject } of await subjects()) {
      const report = await conform(subject, { seed: seed + run });
      full++;
      alarms += report.failed;
      if (report.failed > 0) tell(reportText(report));
    }
    tell(`${run + 1} full runs over each subject, ${alarms} alarms`);
  }
  const { user, system } = process.cpuUsage(began);
  const cpu = ((user + system) / 1e6).toFixed(0);
  tell(`${seeds} seeds, ${held} laws held; ${full} full runs; ${alarms} alarms; ${cpu} s of CPU`);
  return alarms === 0;
}

interface Held {
  readonly name: string;
  readonly subject: Subject;
  /** With little effort. */
  laws(seed: number): Law[];
}

async function subjects(): Promise<Held[]> {
  const transports = Object.entries(shippedTransports).map(async ([name, make]): Promise<Held> => {
    const transport = await transportSubject(
      make((same) => same),
      name,
    );
    const laws = (seed: number): Law[] => transportLaws(transport, { ...little, seed });
    return { name, subject: { kind: 'transport', transport }, laws };
  });
  const held = policies.map((policy): Held => {
    // What is searched is the same with every seed: the full runs have it.
    const laws = (seed: number): Law[] =>
      policyLaws(policy, { seed, schedules: 10, corpus: [] }).filter(({ id }) => id !== 'exhaustive');
    return { name: policy.name, subject: { kind: 'policy', policy }, laws };
  });
  return [...(await Promise.all(transports)), ...held];
}
