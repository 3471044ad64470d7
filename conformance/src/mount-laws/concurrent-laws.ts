import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from '../transport-laws/expect.js';
import type { Answer, Call } from './agent.js';
import type { MountDraft, MountTrial, Side } from './law.js';
import { expectRead, fill } from './model-file.js';
import { flags } from './operations.js';

/** What succeeds, or the law says nothing. */
function mustAll(answers: readonly Answer[], script: readonly Call[]): void {
  for (const [at, { error }] of answers.entries()) {
    expect(error === undefined, () => `${script[at]![0]} fails with ${error} while another program works`);
  }
}

/** Sizes of files that are replaced: below a page, and over several. */
const sizeOf = (round: number): number => [900, 6_000, 70_000, 5, 20_000][round % 5]!;

/**
 * One replaces a file by renames; the other, from `side`, opens it by its name again and again. The versions are written
 * before: a file system may take its time to learn that a file was closed, and that is another law.
 */
async function holdReplaced(trial: MountTrial, side: Side): Promise<void> {
  const { rounds } = trial.effort;
  await trial.once(async ({ path }) => {
    const [writer, reader] = [await trial.agent(0), await trial.agent(side, 1)];
    const versions = Array.from({ length: 2 * rounds }, (_, round) => fill(round, sizeOf(round)));
    const before = versions.flatMap((bytes, round): Call[] => [
      ['open', 0, path(0, `new${round}`), flags.make],
      ['write', 0, 0, bytes],
      ['close', 0],
    ]);
    mustAll(await writer.run(before), before);
    const look: Call[] = [
      ['open', 0, path(side, 'current'), flags.read],
      ['read', 0, 0, 100_000],
      ['close', 0],
    ];
    const renames = versions.map((_, round): Call => ['rename', path(0, `new${round}`), path(0, 'current')]);
    mustAll(await writer.run(renames.slice(0, 1)), renames);
    let ended = false;
    const renamed = writer.run(renames.slice(1)).finally(() => {
      ended = true;
    });
    renamed.catch(() => undefined);
    do {
      const [opened, read] = await reader.run(look);
      expect(opened!.error === undefined, () => `a name that is replaced by renames gives ${opened!.error} to an open`);
      expect(read!.error === undefined, () => `reading a file that was replaced fails with ${read!.error}`);
      const bytes = read!.value as Uint8Array;
      const whole = versions.some((version) => Buffer.compare(version, bytes) === 0);
      expect(whole, () => `an open finds ${bytes.length} bytes that are no version of the file`);
    } while (!ended);
    mustAll(await renamed, renames.slice(1));
  });
}

/** Two make the same names, each to be the one who made it. */
async function holdExclusive(trial: MountTrial, side: Side): Promise<void> {
  const { rounds } = trial.effort;
  await trial.once(async ({ path }) => {
    const agents = [await trial.agent(0), await trial.agent(side, 1)];
    const script = (from: Side): Call[] =>
      Array.from({ length: rounds }, (_, at): Call => ['open', at, path(from, `lock${at}`), flags.exclusive]);
    const [one, other] = await Promise.all([agents[0]!.run(script(0)), agents[1]!.run(script(side))]);
    for (let at = 0; at < rounds; at++) {
      const errors = [one![at]!.error, other![at]!.error];
      const winners = errors.filter((error) => error === undefined).length;
      expect(winners === 1, () => `${winners} programs made the same name with O_EXCL`);
      const loser = errors.find((error) => error !== undefined);
      expect(loser === 'EEXIST', () => `who came second is told ${loser} instead of EEXIST`);
    }
  });
}

/** One makes and removes names, the other, from `side`, lists the directory, in which some stay. */
async function holdListed(trial: MountTrial, side: Side): Promise<void> {
  const { rounds } = trial.effort;
  await trial.once(async ({ path }) => {
    const [maker, reader] = [await trial.agent(0), await trial.agent(side, 1)];
    const stay = Array.from({ length: 150 }, (_, at) => `stays${at}`);
    const make = (name: string, as: number): Call[] => [
      ['open', as, path(0, name), flags.make],
      ['close', as],
    ];
    const before = [
      ...Array.from({ length: rounds }, (_, at) => make(`goes${at}`, 0)),
      ...stay.map((name) => make(name, 0)),
    ].flat();
    mustAll(await maker.run(before), before);
    // All removals, then all that is new: a reader that goes on at a count is off by many.
    const changes = [
      ...Array.from({ length: rounds }, (_, at): Call => ['unlink', path(0, `goes${at}`)]),
      ...Array.from({ length: rounds }, (_, at) => make(`comes${at}`, 0)).flat(),
    ];
    let ended = false;
    const changed = maker.run(changes).finally(() => {
      ended = true;
    });
    changed.catch(() => undefined);
    do {
      const list = await reader.must('list', path(side));
      const seen = new Set(list);
      expect(
        seen.size === list.length,
        () => `a name is listed twice: ${list.find((name, at) => list.indexOf(name) < at)}`,
      );
      const missing = stay.find((name) => !seen.has(name));
      expect(
        missing === undefined,
        () => `${missing} is there all the time, and is not listed while others come and go`,
      );
    } while (!ended);
    mustAll(await changed, changes);
  });
}

/** Laws of what several programs do at once. */
export const concurrentLaws: readonly MountDraft[] = [
  {
    id: 'rename-atomic',
    sentence: 'who opens a name that is replaced by renames finds the old file or the new one, whole',
    needs: 'replace-open',
    check: (trial) => holdReplaced(trial, 0),
  },
  {
    id: 'exclusive-create',
    sentence: 'of two programs that make a name with O_EXCL one succeeds, and the other is told EEXIST',
    check: (trial) => holdExclusive(trial, 0),
  },
  {
    id: 'concurrent-appends',
    sentence: 'what two programs append to one file at once is all there, each piece whole and in its order',
    check: (trial) =>
      trial.once(async ({ path }) => {
        const { rounds } = trial.effort;
        const agents = [await trial.agent(0), await trial.agent(0, 1)];
        const line = (who: number, at: number): Uint8Array =>
          Buffer.from(`${who} ${at} ${'x'.repeat(1 + ((at * 137) % 5_000))}\n`);
        const script = (who: number): Call[] => [
          ['open', 0, path(0, 'log'), flags.append],
          ...Array.from({ length: rounds }, (_, at): Call => ['append', 0, line(who, at)]),
        ];
        const answers = await Promise.all(agents.map((agent, who) => agent.run(script(who))));
        for (const [who, one] of answers.entries()) mustAll(one, script(who));
        const bytes = await agents[0]!.must('read', 0, 0, 10_000 * rounds);
        const lines = Buffer.from(bytes).toString('latin1').split('\n').slice(0, -1);
        const next = [0, 0];
        for (const [at, text] of lines.entries()) {
          const who = Number(text[0]);
          const wanted = who < 2 ? Buffer.from(line(who, next[who]!++)).toString() : '';
          expect(
            `${text}\n` === wanted,
            () => `line ${at + 1} of the log is "${text.slice(0, 40)}", which nobody wrote there`,
          );
        }
        const all = 2 * rounds;
        expect(lines.length === all, () => `${lines.length} lines are there of ${all} that were appended`);
      }),
  },
  {
    id: 'listing',
    sentence: 'a name that is there all the time is in every listing, once, while others come and go',
    check: (trial) => holdListed(trial, 0),
  },
  {
    id: 'program-killed',
    sentence: 'what a program synced is there when it is killed, and nothing that it had open is in the way',
    check: (trial) =>
      trial.once(async ({ path }) => {
        const doomed = await trial.agent(0, 1);
        const size = 150_000;
        const held: Call[] = [
          ['open', 0, path(0, 'synced'), flags.make],
          ['write', 0, 0, fill(1, size)],
          ['sync', 0],
          ['open', 1, path(0, 'gone'), flags.make],
          ['write', 1, 0, fill(2, size)],
          ['unlink', path(0, 'gone')],
          ['open', 2, path(0, 'busy'), flags.make],
        ];
        mustAll(await doomed.run(held), held);
        const busy = Array.from({ length: 3_000 }, (_, at): Call => ['write', 2, 0, fill(at, 5_000)]);
        const under = doomed.run(busy).catch(() => undefined);
        await sleep(randomInt(30));
        await doomed.kill();
        await under;
        const heir = await trial.agent(0);
        await heir.must('open', 0, path(0, 'synced'), flags.both);
        expectRead(await heir.must('read', 0, 0, size + 1), fill(1, size));
        const list = (await heir.must('list', path(0))).sort().join(' ');
        expect(list === 'busy synced', () => `the directory lists "${list}" instead of "busy synced"`);
        await heir.must('open', 2, path(0, 'busy'), flags.both);
        await heir.must('write', 2, 0, fill(3, 6_000));
        expectRead(await heir.must('read', 2, 0, 6_001), fill(3, 6_000));
      }),
  },
  {
    id: 'rename-atomic-across',
    sentence: 'the same from another mount: the old file or the new one, whole',
    across: true,
    check: (trial) => holdReplaced(trial, 1),
  },
  {
    id: 'exclusive-create-across',
    sentence: 'of two programs on two mounts that make a name with O_EXCL one succeeds, and the other is told EEXIST',
    across: true,
    check: (trial) => holdExclusive(trial, 1),
  },
  {
    id: 'listing-across',
    sentence: 'a name that is there all the time is in every listing of the other mount, once',
    across: true,
    check: (trial) => holdListed(trial, 1),
  },
];
