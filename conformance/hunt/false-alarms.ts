import { conform, policyLaws, reportText, transportLaws, transportSubject } from '@exomem/conformance';
import { atomic, locked } from '@exomem/core';
import { shippedTransports } from './sound-subjects.js';

export interface FalseAlarmOptions {
  /** Seeds with which each law is held once, with little effort. Default 100. */
  readonly seeds?: number | undefined;
  /** Full runs of the kit with the usual effort. Default 1. */
  readonly runs?: number | undefined;
  /** The first seed. Default 1. */
  readonly seed?: number | undefined;
  readonly tell: (line: string) => void;
}

const policies = [
  { name: 'atomic', policy: atomic },
  { name: 'locked', policy: locked, progress: false },
] as const;
/** What chance has a part in, with as little as shows something: most of the time of a law is its region. */
const little = { runs: 2, increments: 50, cuts: 1, tearing: 10, corpus: [] } as const;

/**
 * `npm run hunt -- false-alarms [--seeds N] [--runs N]`: the kit over subjects that nothing is wrong with, in one process. A law that
 * is broken is a false alarm, or a bug that nobody knew. Whether there was none.
 */
export async function falseAlarms({ seeds = 100, runs = 1, seed = 1, tell }: FalseAlarmOptions): Promise<boolean> {
  const began = process.cpuUsage();
  let held = 0;
  let alarms = 0;
  const hold = async (name: string, law: { id: string; skip?: string; run(): Promise<void> }, at: number) => {
    if (law.skip !== undefined) return;
    held++;
    await law.run().catch((error: unknown) => {
      alarms++;
      tell(`seed ${at}, ${name}, ${law.id}: ${error instanceof Error ? error.message : String(error)}`);
    });
  };
  for (let at = seed; at < seed + seeds; at++) {
    for (const [name, make] of Object.entries(shippedTransports)) {
      const subject = await transportSubject(
        make((same) => same),
        name,
      );
      for (const law of transportLaws(subject, { ...little, seed: at })) await hold(name, law, at);
    }
    for (const subject of policies) {
      for (const law of policyLaws(subject, { seed: at, schedules: 10, states: 100, corpus: [] })) {
        await hold(subject.name, law, at);
      }
    }
    if ((at - seed) % 100 === 99) tell(`${at - seed + 1} seeds, ${held} laws held, ${alarms} alarms`);
  }
  let full = 0;
  for (let run = 0; run < runs; run++) {
    const subjects = [
      ...(await Promise.all(
        Object.entries(shippedTransports).map(async ([name, make]) => ({
          kind: 'transport' as const,
          transport: await transportSubject(
            make((same) => same),
            name,
          ),
        })),
      )),
      ...policies.map((policy) => ({ kind: 'policy' as const, policy })),
    ];
    for (const subject of subjects) {
      const report = await conform(subject, { seed: seed + run });
      full++;
      alarms += report.failed;
      if (report.failed > 0) tell(reportText(report));
    }
    tell(`${run + 1} full runs over ${subjects.length} subjects each, ${alarms} alarms`);
  }
  const { user, system } = process.cpuUsage(began);
  const cpu = ((user + system) / 1e6).toFixed(0);
  tell(`${seeds} seeds, ${held} laws held; ${full} full runs; ${alarms} alarms; ${cpu} s of CPU`);
  return alarms === 0;
}
