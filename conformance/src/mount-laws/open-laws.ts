import fc from 'fast-check';
import { expectFile, length, place as offset, programText, sideText } from './file-steps.js';
import type { MountDraft, Side } from './law.js';
import { expectRead, expectSize, fill, ModelFile } from './model-file.js';
import { type Attributes, flags } from './operations.js';
import { Play } from './play.js';

/** What may be done to files while they are open. */
type OpenStep =
  | { readonly do: 'open' | 'unlink'; readonly name: string; readonly as: number }
  | { readonly do: 'replace'; readonly name: string; readonly length: number }
  | { readonly do: 'write'; readonly as: number; readonly at: number; readonly length: number }
  | { readonly do: 'truncate'; readonly as: number; readonly size: number }
  | { readonly do: 'read' | 'close'; readonly as: number };

const name = fc.constantFrom('a', 'b');
const as = fc.nat(2);
const openStep: fc.Arbitrary<OpenStep> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ do: fc.constant('open' as const), name, as }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('unlink' as const), name, as: fc.constant(0) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('replace' as const), name, length }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('write' as const), as, at: offset, length }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('truncate' as const), as, size: offset }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('read' as const), as }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), as }) },
);

function openStepText(step: OpenStep): string {
  switch (step.do) {
    case 'open':
      return `open ${step.name} as ${step.as}, made if need be`;
    case 'unlink':
      return `unlink ${step.name}`;
    case 'replace':
      return `write ${step.length} bytes to another file, and rename it to ${step.name}`;
    case 'write':
      return `write ${step.length} bytes at ${step.at} of ${step.as}`;
    case 'truncate':
      return `truncate ${step.as} to ${step.size}`;
    default:
      return `${step.do} ${step.as}`;
  }
}

/** What one mount does to the file between an open and a close. */
interface Session {
  readonly side: Side;
  readonly how: 'write' | 'append' | 'truncate' | 'replace';
  readonly at: number;
  readonly length: number;
  /** How it lets others see it. */
  readonly by: 'close' | 'fsync';
}

const session: fc.Arbitrary<Session> = fc.record({
  side: fc.constantFrom<Side>(0, 1),
  how: fc.constantFrom('write', 'append', 'truncate', 'replace'),
  at: offset,
  length,
  by: fc.constantFrom('close', 'fsync'),
});

function sessionText({ side, how, at, length, by }: Session): string {
  const what = {
    write: `write ${length} bytes at ${at}`,
    append: `append ${length} bytes`,
    truncate: `truncate to ${at}`,
    replace: `empty it by O_TRUNC, and write ${length} bytes`,
  }[how];
  return `open, ${what}, ${by === 'fsync' ? 'fsync' : 'close'}${sideText(side)}`;
}

/** Laws of files that are open, and of files that were closed elsewhere. */
export const openLaws: readonly MountDraft[] = [
  {
    id: 'open-unlinked',
    sentence: 'a file that is open keeps its bytes when its name goes or another file takes it',
    check: (trial) =>
      trial.property(
        fc.array(openStep, { minLength: 1, maxLength: 40, size: 'max' }),
        async (steps, { path }) => {
          const [agent, play] = [await trial.agent(0), new Play()];
          const names = new Map<string, ModelFile>();
          const open = new Map<number, ModelFile>();
          for (const [at, step] of steps.entries()) {
            play.step(at, openStepText(step));
            const file = 'as' in step ? open.get(step.as) : undefined;
            switch (step.do) {
              case 'open': {
                if (file !== undefined) break;
                const opened = names.get(step.name) ?? new ModelFile();
                names.set(step.name, opened);
                open.set(step.as, opened);
                await play.must(agent, ['open', step.as, path(0, step.name), flags.make]);
                break;
              }
              case 'unlink':
                if (names.delete(step.name)) await play.must(agent, ['unlink', path(0, step.name)]);
                else await play.refused(agent, ['unlink', path(0, step.name)], ['ENOENT']);
                break;
              case 'replace': {
                const fresh = new ModelFile();
                fresh.write(0, fill(at, step.length));
                names.set(step.name, fresh);
                await play.must(agent, ['open', 9, path(0, 'other'), flags.make]);
                await play.must(agent, ['write', 9, 0, fill(at, step.length)]);
                await play.must(agent, ['close', 9]);
                await play.must(agent, ['rename', path(0, 'other'), path(0, step.name)]);
                break;
              }
              case 'write':
                if (file === undefined) break;
                file.write(step.at, fill(at, step.length));
                await play.must(agent, ['write', step.as, step.at, fill(at, step.length)]);
                break;
              case 'truncate':
                if (file === undefined) break;
                file.truncate(step.size);
                await play.must(agent, ['truncate', step.as, step.size]);
                break;
              case 'read': {
                if (file === undefined) break;
                const { size } = file;
                const wanted = file.bytes;
                await play.must(agent, ['attributes', step.as], (got: Attributes) => expectSize(got.size, size));
                await play.must(agent, ['read', step.as, 0, size + 1], (got) => expectRead(got, wanted));
                break;
              }
              case 'close':
                if (open.delete(step.as)) await play.must(agent, ['close', step.as]);
            }
            const shown = [...names.keys()].sort().join(' ');
            await play.must(agent, ['list', path(0)], (got: string[]) => {
              const list = got.sort().join(' ');
              if (list !== shown) throw new Error(`the directory lists "${list}" instead of "${shown}"`);
            });
          }
          for (const [file, model] of names) {
            play.step(steps.length, `read ${file}`);
            await expectFile(play, agent, path(0, file), model);
          }
          await play.end();
        },
        (steps) => programText(steps.map((step) => ({ text: openStepText(step) }))),
      ),
  },
  {
    id: 'close-to-open',
    sentence: 'what was closed or synced on one mount is what an open and a stat on the other find',
    across: true,
    check: (trial) =>
      trial.property(
        fc.array(session, { minLength: 1, maxLength: 12, size: 'max' }),
        async (sessions, { path }) => {
          const [agents, play, model] = [[await trial.agent(0), await trial.agent(1)], new Play(), new ModelFile()];
          for (const [step, { side, how, at, length, by }] of sessions.entries()) {
            play.step(step, sessionText(sessions[step]!));
            const [agent, other] = [agents[side]!, agents[1 - side]!];
            const bytes = fill(step, length);
            const flag = how === 'replace' ? flags.replace : how === 'append' ? flags.append : flags.make;
            await play.must(agent, ['open', 0, path(side, 'f'), flag]);
            if (how === 'truncate') await play.must(agent, ['truncate', 0, at]);
            else if (how === 'append') await play.must(agent, ['append', 0, bytes]);
            else await play.must(agent, ['write', 0, how === 'replace' ? 0 : at, bytes]);
            if (how === 'truncate') model.truncate(at);
            else if (how === 'append') model.write(model.size, bytes);
            else {
              if (how === 'replace') model.truncate(0);
              model.write(how === 'replace' ? 0 : at, bytes);
            }
            await play.must(agent, by === 'fsync' ? ['sync', 0] : ['close', 0]);
            await expectFile(play, other, path((1 - side) as Side, 'f'), model);
            if (by === 'fsync') await play.must(agent, ['close', 0]);
          }
          await play.end();
        },
        (sessions) => programText(sessions.map((one) => ({ text: sessionText(one) }))),
      ),
  },
  {
    id: 'open-unlinked-across',
    sentence: 'a file that is open on one mount keeps its bytes when the other removes it and uses the room again',
    across: true,
    check: (trial) =>
      trial.property(
        fc.array(length, { minLength: 1, maxLength: 5 }),
        async (lengths, { path }) => {
          const [here, there, play] = [await trial.agent(0), await trial.agent(1), new Play()];
          for (const [at, count] of lengths.entries()) {
            play.step(at, `write ${count} bytes to file ${at}, and leave it open`);
            await play.must(here, ['open', at, path(0, `${at}`), flags.make]);
            await play.must(here, ['write', at, 0, fill(at, count)]);
            await play.must(here, ['close', at]);
            await play.must(here, ['open', at, path(0, `${at}`), flags.both]);
          }
          play.step(lengths.length, 'remove all on the other mount, and write others there');
          for (const at of lengths.keys()) await play.must(there, ['unlink', path(1, `${at}`)]);
          for (const [at, count] of lengths.entries()) {
            await play.must(there, ['open', at, path(1, `other${at}`), flags.make]);
            await play.must(there, ['write', at, 0, fill(at + 100, count)]);
            await play.must(there, ['close', at]);
          }
          play.step(lengths.length + 1, 'read those that were left open');
          for (const [at, count] of lengths.entries()) {
            await play.refused(here, ['stat', path(0, `${at}`)], ['ENOENT']);
            await play.must(here, ['read', at, 0, count + 1], (got) => expectRead(got, fill(at, count)));
            await play.must(here, ['write', at, count, fill(at, 100)]);
            await play.must(here, ['read', at, count, 100], (got) => expectRead(got, fill(at, 100), count));
            await play.must(here, ['close', at]);
          }
          await play.end();
        },
        (lengths) => `files of ${lengths.join(', ')} bytes`,
      ),
  },
  {
    id: 'open-attributes-across',
    sentence: 'a file that is open on one mount shows its size when the other has removed it',
    across: true,
    needs: 'removed-stat',
    check: (trial) =>
      trial.property(
        length,
        async (count, { path }) => {
          const [here, there] = [await trial.agent(0), await trial.agent(1)];
          await here.must('open', 0, path(0, 'f'), flags.make);
          await here.must('write', 0, 0, fill(1, count));
          await here.must('sync', 0);
          await there.must('unlink', path(1, 'f'));
          expectSize((await here.must('attributes', 0)).size, count);
          await here.must('truncate', 0, 10);
          expectSize((await here.must('attributes', 0)).size, 10);
        },
        (count) => `a file of ${count} bytes`,
      ),
  },
  {
    id: 'live',
    sentence: 'a file that stays open on one mount shows what the other wrote and synced',
    across: true,
    live: true,
    check: (trial) =>
      trial.property(
        fc.array(session, { minLength: 1, maxLength: 12, size: 'max' }),
        async (sessions, { path }) => {
          const [agents, play, model] = [[await trial.agent(0), await trial.agent(1)], new Play(), new ModelFile()];
          for (const side of [0, 1] as const) await play.must(agents[side]!, ['open', 0, path(side, 'f'), flags.make]);
          for (const [step, { side, how, at, length }] of sessions.entries()) {
            const cut = how === 'truncate';
            play.step(step, `${cut ? `truncate to ${at}` : `write ${length} bytes at ${at}`}${sideText(side)}`);
            if (cut) model.truncate(at);
            else model.write(at, fill(step, length));
            await play.must(agents[side]!, cut ? ['truncate', 0, at] : ['write', 0, at, fill(step, length)]);
            await play.must(agents[side]!, ['sync', 0]);
            const { size } = model;
            const wanted = model.bytes;
            await play.must(agents[1 - side]!, ['attributes', 0], (got: Attributes) => expectSize(got.size, size));
            await play.must(agents[1 - side]!, ['read', 0, 0, size + 1], (got) => expectRead(got, wanted));
          }
          await play.end();
        },
        (sessions) => programText(sessions.map((one) => ({ text: sessionText(one) }))),
      ),
  },
];
