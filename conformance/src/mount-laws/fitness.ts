import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe } from '../transport-laws/expect.js';
import { SubjectUnfit } from '../transport-laws/fitness.js';
import { Agent } from './agent.js';
import { flags } from './operations.js';
import type { MountSubject } from './options.js';

/** Milliseconds for which a directory may keep the kit waiting before any law. */
const patience = 30_000;

/**
 * Looks whether there are directories to be held to laws, and whether the second shows what is in the first. By the
 * operations of the system: what others do wrong is for the laws.
 * @throws `SubjectUnfit`
 */
export async function examine({ dir, dir2 }: MountSubject): Promise<void> {
  const unfit = (what: string): SubjectUnfit => new SubjectUnfit(what);
  let agent: Agent | undefined;
  try {
    agent = await Agent.start(patience);
    for (const one of dir2 === undefined ? [dir] : [dir, dir2]) {
      const { value, error } = await agent.call('list', one);
      if (value === undefined) throw unfit(`${one} is no directory that can be listed: ${error}`);
    }
    const name = `exomem-laws-${randomBytes(6).toString('hex')}`;
    const { error } = await agent.call('open', 0, join(dir, name), flags.exclusive);
    if (error !== undefined) throw unfit(`no file can be made in ${dir}: ${error}`);
    await agent.call('close', 0);
    const seen = dir2 === undefined || (await appears(agent, join(dir2, name)));
    await agent.call('unlink', join(dir, name));
    if (!seen) {
      throw unfit(`${dir2} does not show what is made in ${dir}: give the same directory by another mount`);
    }
  } catch (error) {
    throw error instanceof SubjectUnfit ? error : new SubjectUnfit(describe(error), { cause: error });
  } finally {
    await agent?.kill();
  }
}

/** One that shows late what the other mount did is wrong, and the laws say how; one that never does is another directory. */
async function appears(agent: Agent, path: string): Promise<boolean> {
  for (const until = performance.now() + 5_000; ; await sleep(100)) {
    if ((await agent.call('stat', path)).error === undefined) return true;
    if (performance.now() > until) return false;
  }
}
