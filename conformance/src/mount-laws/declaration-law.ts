import { expect, LawBroken } from '../transport-laws/expect.js';
import type { MountDraft, MountTrial, Place } from './law.js';
import { mapperObstacle } from './mapper.js';
import { flags } from './operations.js';
import { type Lack, lacks } from './options.js';

type Try = (trial: MountTrial, place: Place) => Promise<boolean>;

/** Whether the file system has what it says it has not. What chance alone shows is not tried: it may be there at times. */
const tries: Readonly<Record<Exclude<Lack, 'replace-open'>, Try>> = {
  link: async (trial, { path }) =>
    (await (await trial.agent(0)).call('link', path(0, 'f'), path(0, 'l'))).error === undefined,
  symlink: async (trial, { path }) =>
    (await (await trial.agent(0)).call('symlink', 'f', path(0, 's'))).error === undefined,
  far: async (trial) => (await (await trial.agent(0)).call('write', 0, 2 ** 32, Uint8Array.of(1))).error === undefined,
  mmap: async (trial, { path }) => {
    if (mapperObstacle() !== undefined) return false;
    try {
      await trial.mapper().map(0, path(0, 'f'));
      return true;
    } catch (error) {
      if (error instanceof LawBroken) return false;
      throw error;
    }
  },
  'removed-stat': async (trial, { path }) => {
    if (trial.subject.dir2 === undefined) return false;
    const [here, there] = [await trial.agent(0), await trial.agent(1)];
    await here.must('open', 1, path(0, 'r'), flags.make);
    await here.must('write', 1, 0, Uint8Array.of(1));
    await here.must('sync', 1);
    await there.must('unlink', path(1, 'r'));
    return (await here.call('attributes', 1)).error === undefined;
  },
};

export const declarationLaw: MountDraft = {
  id: 'declarations',
  sentence: 'what it declares to lack it does not have',
  check: (trial) =>
    trial.once(async (place) => {
      const agent = await trial.agent(0);
      await agent.must('open', 0, place.path(0, 'f'), flags.make);
      await agent.must('write', 0, 0, Uint8Array.of(1));
      for (const lack of trial.subject.lacks ?? []) {
        if (lack === 'replace-open') continue;
        const has = await tries[lack](trial, place);
        expect(!has, () => `it declares to lack ${lacks[lack]} ("${lack}"), and has that`);
      }
    }),
};
