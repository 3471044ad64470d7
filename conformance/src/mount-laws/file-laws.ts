import fc from 'fast-check';
import { expect } from '../transport-laws/expect.js';
import { expectFile, FilePlayer, type FileStepKind, fileSteps, programText, stepText } from './file-steps.js';
import type { MountDraft, MountTrial } from './law.js';
import { expectRead, expectSize, fill, ModelFile } from './model-file.js';
import { type Attributes, flags } from './operations.js';
import { Play } from './play.js';

type Weights = { readonly [K in FileStepKind]?: number };

/** A file that is open by three descriptors is, step by step, what the model has. */
async function holdFile(trial: MountTrial, weights: Weights): Promise<void> {
  const mapped = weights.store !== undefined;
  await trial.property(
    fileSteps(weights),
    async (steps, place) => {
      const [model, play, path] = [new ModelFile(), new Play(), place.path(0, 'f')];
      const agent = await trial.agent(0);
      const player = new FilePlayer(model, agent, play, path, mapped ? trial.mapper() : undefined);
      await player.open();
      for (const [at, step] of steps.entries()) await player.act(step, at);
      await player.unmap();
      play.step(steps.length, 'read it whole');
      await expectFile(play, agent, path, model);
      await play.end();
    },
    (steps) => programText(steps.map((step) => ({ text: stepText(step) }))),
  );
}

/** Laws of the bytes of one file. */
export const fileLaws: readonly MountDraft[] = [
  {
    id: 'bytes',
    sentence: 'a file holds what was written to it, wherever reads and writes begin and end, and zeros between',
    check: (trial) => holdFile(trial, { write: 5, read: 4, reopen: 1, sync: 1 }),
  },
  {
    id: 'truncated',
    sentence: 'what was cut off a file is gone: if it grows again, zeros are there',
    check: (trial) => holdFile(trial, { truncate: 4, write: 3, read: 2, reopen: 1 }),
  },
  {
    id: 'append',
    sentence: 'O_APPEND writes at the end that the file has, whatever others did to it',
    check: (trial) => holdFile(trial, { append: 5, write: 2, truncate: 1, read: 1, reopen: 1 }),
  },
  {
    id: 'mapped',
    sentence: 'a shared mapping and the reads and writes of other processes show the same bytes',
    needs: 'mmap',
    check: (trial) =>
      holdFile(trial, { store: 4, load: 3, write: 2, read: 2, append: 1, truncate: 1, reopen: 1, msync: 1 }),
  },
  {
    id: 'far',
    sentence: 'offsets past 2 and 4 GiB are as good as others, and what lies between takes no room',
    needs: 'far',
    check: (trial) =>
      trial.property(
        fc.array(fc.record({ gib: fc.constantFrom(0, 2, 4, 5), off: fc.integer({ min: -9, max: 9 }) }), {
          minLength: 1,
          maxLength: 6,
        }),
        async (places, { path }) => {
          const [agent, play] = [await trial.agent(0), new Play()];
          const written = new Map<number, number>();
          await play.must(agent, ['open', 0, path(0, 'f'), flags.make]);
          for (const [step, { gib, off }] of places.entries()) {
            const at = Math.max(0, gib * 2 ** 30 + off);
            play.step(step, `write 5 bytes at ${at}`);
            for (const [index, byte] of fill(step, 5).entries()) written.set(at + index, byte);
            await play.must(agent, ['write', 0, at, fill(step, 5)]);
          }
          const size = Math.max(...written.keys()) + 1;
          await play.must(agent, ['attributes', 0], (got: Attributes) => expectSize(got.size, size));
          for (const around of written.keys()) {
            const from = Math.max(0, around - 20);
            const wanted = Uint8Array.from(
              { length: Math.min(40, size - from) },
              (_, index) => written.get(from + index) ?? 0,
            );
            await play.must(agent, ['read', 0, from, 40], (got) => expectRead(got, wanted, from));
          }
          await play.end();
        },
        (places) => programText(places.map(({ gib, off }) => ({ text: `write 5 bytes at ${gib} GiB + ${off}` }))),
      ),
  },
  {
    id: 'attributes',
    sentence: 'a name shows the permissions that it was given, and a time that moves on when the file is written',
    check: (trial) =>
      trial.once(async ({ path }) => {
        const agent = await trial.agent(0);
        const file = path(0, 'f');
        await agent.must('open', 0, file, flags.make);
        for (const mode of [0o600, 0o755, 0o444, 0o644]) {
          await agent.must('chmod', file, mode);
          const got = (await agent.must('stat', file)).mode;
          expect(got === mode, () => `chmod to ${mode.toString(8)} shows ${got.toString(8)}`);
        }
        const before = (await agent.must('stat', file)).mtime;
        const began = performance.now();
        // File systems keep times as coarse as two seconds.
        for (let now = before; now <= before; now = (await agent.must('stat', file)).mtime) {
          await agent.must('write', 0, 0, fill(1, 10));
          expect(performance.now() - began < 4_000, 'it was written for four seconds, and its time stands still');
        }
      }),
  },
];
