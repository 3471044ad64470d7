import fc from 'fast-check';
import { expect } from '../transport-laws/expect.js';
import { programText } from './file-steps.js';
import type { MountDraft, MountTrial } from './law.js';
import { expectRead, fill } from './model-file.js';
import { flags } from './operations.js';
import { Play } from './play.js';
import { TreePlayer, type TreeStepKind, treeSteps, treeStepText } from './tree-steps.js';

type Weights = { readonly [K in TreeStepKind]?: number };

/** A tree is, step by step, what the model has; in the end it is from every side. */
async function holdTree(trial: MountTrial, weights: Weights, shape: { depth: number; across: boolean }): Promise<void> {
  await trial.property(
    treeSteps(weights, shape),
    async (steps, place) => {
      const sides = shape.across ? ([0, 1] as const) : ([0] as const);
      const agents = [];
      for (const side of sides) agents.push(await trial.agent(side));
      const play = new Play();
      const player = new TreePlayer(play, agents, place);
      for (const [at, step] of steps.entries()) await player.act(step, at);
      for (const side of sides) {
        play.step(steps.length, side === 0 ? 'look at everything' : 'look at everything on the other mount');
        await player.expectAll(side);
      }
      await play.end();
    },
    (steps) => programText(steps.map((step) => ({ text: treeStepText(step) }))),
    4,
  );
}

const inTree: Weights = { mkdir: 5, write: 3, rename: 4, unlink: 2, rmdir: 3, list: 2, look: 2 };
const target = fc.stringMatching(/^[a-z0-9./ _-]{1,60}$/);

/** Laws of names. */
export const treeLaws: readonly MountDraft[] = [
  {
    id: 'names',
    sentence:
      'directories and files are made, moved, listed and removed as a tree, and what cannot be fails as it should',
    check: (trial) => holdTree(trial, inTree, { depth: 3, across: false }),
  },
  {
    id: 'links',
    sentence: 'all names of a file show its bytes, its size and how many they are; the file goes with the last',
    needs: 'link',
    check: (trial) =>
      holdTree(
        trial,
        { write: 3, link: 4, rename: 2, unlink: 2, look: 2, list: 1, mkdir: 1 },
        { depth: 2, across: false },
      ),
  },
  {
    id: 'symlinks',
    sentence: 'a symbolic link keeps its target as it was given, and leads to it',
    needs: 'symlink',
    check: (trial) =>
      trial.property(
        target,
        async (text, { path }) => {
          const agent = await trial.agent(0);
          await agent.must('symlink', text, path(0, 'kept'));
          const kept = await agent.must('readlink', path(0, 'kept'));
          expect(kept === text, () => `its target is "${kept}"`);
          const { kind, size } = await agent.must('stat', path(0, 'kept'));
          expect(kind === 'symlink' && size === text.length, () => `it shows as a ${kind} of ${size} bytes`);
          await agent.must('mkdir', path(0, 'd'));
          await agent.must('open', 0, path(0, 'd', 'f'), flags.make);
          await agent.must('write', 0, 0, fill(1, 100));
          await agent.must('symlink', 'd/f', path(0, 'leads'));
          await agent.must('open', 1, path(0, 'leads'), flags.read);
          expectRead(await agent.must('read', 1, 0, 200), fill(1, 100));
          await agent.must('unlink', path(0, 'leads'));
          const left = (await agent.must('list', path(0))).sort().join(' ');
          expect(left === 'd kept', () => `when it is removed, "${left}" are left`);
        },
        (text) => `a link to "${text}"`,
      ),
  },
  {
    id: 'open-flags',
    sentence:
      'O_CREAT makes, O_EXCL refuses what is there, O_TRUNC empties, and nothing is made without being asked for',
    check: (trial) =>
      trial.once(async ({ path }) => {
        const [agent, play, file] = [await trial.agent(0), new Play(), path(0, 'f')];
        play.step(0, 'open what is not there');
        await play.refused(agent, ['open', 0, file, flags.both], ['ENOENT']);
        await play.refused(agent, ['open', 0, path(0, 'none', 'f'), flags.make], ['ENOENT']);
        play.step(1, 'make it');
        await play.must(agent, ['open', 0, file, flags.exclusive]);
        await play.must(agent, ['write', 0, 0, fill(1, 9_000)]);
        play.step(2, 'open it again with O_EXCL');
        await play.refused(agent, ['open', 1, file, flags.exclusive], ['EEXIST']);
        play.step(3, 'open it again with O_CREAT');
        await play.must(agent, ['open', 1, file, flags.make]);
        await play.must(agent, ['read', 1, 0, 9_001], (got) => expectRead(got, fill(1, 9_000)));
        play.step(4, 'open it again with O_TRUNC, while it is open');
        await play.must(agent, ['open', 2, file, flags.replace]);
        await play.must(agent, ['read', 0, 0, 9_001], (got) => expectRead(got, new Uint8Array(0)));
        play.step(5, 'open a directory for writing');
        await play.must(agent, ['mkdir', path(0, 'd')]);
        await play.refused(agent, ['open', 3, path(0, 'd'), flags.both], ['EISDIR']);
        play.step(6, 'open a name that is too long');
        await play.refused(agent, ['open', 3, path(0, 'x'.repeat(256)), flags.make], ['ENAMETOOLONG']);
        await play.end();
      }),
  },
  {
    id: 'names-across',
    sentence: 'what one mount does to the tree, the other sees in its next call',
    across: true,
    check: (trial) => holdTree(trial, { ...inTree, list: 5 }, { depth: 2, across: true }),
  },
];
