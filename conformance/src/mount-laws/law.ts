import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type fc from 'fast-check';
import type { Law } from '../transport-laws/case.js';
import { LawBroken } from '../transport-laws/expect.js';
import { SubjectUnfit } from '../transport-laws/fitness.js';
import { holdProperty } from '../transport-laws/law.js';
import { soon } from '../transport-laws/patience.js';
import { Agent } from './agent.js';
import { Mapper, mapperObstacle } from './mapper.js';
import { type Lack, lacks as lackNames, type MountEffort, type MountSubject, mountName } from './options.js';
import { mountPurposes } from './purpose.js';

/** Which of the two directories. */
export type Side = 0 | 1;

/** How a law of file systems is written down. */
export interface MountDraft {
  readonly id: string;
  readonly sentence: string;
  /** It is about two mounts. */
  readonly across?: boolean;
  /** It says nothing about a file system that declares to lack this. */
  readonly needs?: Lack;
  /** It says nothing about one that does not declare to be live. */
  readonly live?: boolean;
  check(trial: MountTrial): Promise<void>;
}

/** An empty directory for one case, as each of the mounts shows it. */
export interface Place {
  path(side: Side, ...names: string[]): string;
}

/** One law, and the processes that it uses. */
export interface MountTrial {
  readonly subject: MountSubject;
  readonly effort: MountEffort;
  /** A process that uses one of the directories; `which` tells several of one side apart. */
  agent(side: Side, which?: number): Promise<Agent>;
  mapper(): Mapper;
  /** Holds `check` in an empty directory. */
  once(check: (place: Place) => Promise<void>): Promise<void>;
  /** Holds `check` against random values, each in an empty directory: the corpus first, then as many as `effort.runs`. */
  property<T>(
    values: fc.Arbitrary<T>,
    check: (value: T, place: Place) => Promise<void>,
    tell: (value: T) => string,
    /** So many times as many cases: where few of them come to what may go wrong. */
    times?: number,
  ): Promise<void>;
}

export function makeMountLaw(draft: MountDraft, subject: MountSubject, effort: MountEffort): Law {
  const skip = excuse(draft, subject);
  return {
    id: draft.id,
    sentence: draft.sentence,
    purpose: mountPurposes[draft.id] ?? '',
    ...(skip === undefined ? {} : { skip }),
    run: () => runLaw(draft, subject, effort),
  };
}

function excuse({ across, needs, live }: MountDraft, { dir2, lacks, live: isLive }: MountSubject): string | undefined {
  if (across && dir2 === undefined) return 'there is one directory alone';
  if (live && isLive !== true) return 'it does not declare to be live';
  if (needs !== undefined && lacks?.includes(needs)) return `it declares to lack ${lackNames[needs]}`;
  return needs === 'mmap' ? mapperObstacle() : undefined;
}

async function runLaw(draft: MountDraft, subject: MountSubject, effort: MountEffort): Promise<void> {
  const trial = new Trial(draft, subject, effort);
  try {
    await effort.fitness();
    await soon(draft.check(trial), 3 * effort.patience, 'the law');
  } catch (error) {
    throw error instanceof SubjectUnfit ? error : LawBroken.of(draft, mountName(subject), error);
  } finally {
    await trial.end();
  }
}

/** Steps behind the one at which it showed have no part in it. */
function upTo(seen: string, program: string): string {
  const step = /^step (\d+), /.exec(seen)?.[1];
  const lines = program.split('\n');
  const last = lines.findIndex((line) => line.trim().startsWith(`${step}. `));
  return last < 0 ? program : lines.slice(0, last + 1).join('\n');
}

class Trial implements MountTrial {
  readonly subject: MountSubject;
  readonly effort: MountEffort;
  readonly #draft: MountDraft;
  readonly #root = `exomem-laws-${randomBytes(6).toString('hex')}`;
  readonly #agents = new Map<string, Agent>();
  #mapper: Mapper | undefined;
  #places = 0;
  #rooted = false;
  #over = false;

  constructor(draft: MountDraft, subject: MountSubject, effort: MountEffort) {
    this.#draft = draft;
    this.subject = subject;
    this.effort = effort;
  }

  async agent(side: Side, which = 0): Promise<Agent> {
    // What was given up may still be under way, and is to begin nothing new.
    if (this.#over) throw new LawBroken('the law is over');
    const key = `${side}.${which}`;
    const known = this.#agents.get(key);
    if (known?.lives) return known;
    const agent = await Agent.start(this.effort.patience, this.subject.agent);
    this.#agents.set(key, agent);
    if (this.#over) await agent.kill();
    return agent;
  }

  mapper(): Mapper {
    return (this.#mapper ??= new Mapper(this.effort.patience));
  }

  property<T>(
    values: fc.Arbitrary<T>,
    check: (value: T, place: Place) => Promise<void>,
    tell: (value: T) => string,
    times = 1,
  ): Promise<void> {
    const inside = (value: T): Promise<void> => this.once((place) => check(value, place));
    // Longer than a call that hangs, so that it is told which.
    const effort = { ...this.effort, runs: times * this.effort.runs, patience: 1.4 * this.effort.patience };
    return holdProperty(this.#draft, { name: mountName(this.subject) }, effort, {
      values,
      check: inside,
      tell: (value, seen) => upTo(seen, tell(value)),
    });
  }

  async once(check: (place: Place) => Promise<void>): Promise<void> {
    const first = await this.agent(0);
    if (!this.#rooted) await first.must('mkdir', this.#path(0));
    this.#rooted = true;
    const name = String(this.#places++);
    await first.must('mkdir', this.#path(0, name));
    try {
      await check({ path: (side, ...names) => this.#path(side, name, ...names) });
    } catch (error) {
      // What was seen first counts.
      await this.#clear(name).catch(() => undefined);
      throw error;
    }
    await this.#clear(name);
  }

  async #clear(name: string): Promise<void> {
    for (const agent of this.#agents.values()) if (agent.lives) await agent.call('release');
    await (await this.agent(0)).call('clear', this.#path(0, name));
  }

  #path(side: Side, ...names: string[]): string {
    return join(side === 0 ? this.subject.dir : this.subject.dir2!, this.#root, ...names);
  }

  async end(): Promise<void> {
    this.#over = true;
    await Promise.all([...this.#agents.values()].map((agent) => agent.kill()));
    await this.#mapper?.kill();
    if (!this.#rooted) return;
    let cleaner: Agent | undefined;
    try {
      cleaner = await Agent.start(this.effort.patience);
      await cleaner.call('clear', this.#path(0));
    } catch {
      // A file system that hangs keeps what is in it.
    } finally {
      await cleaner?.kill();
    }
  }
}
