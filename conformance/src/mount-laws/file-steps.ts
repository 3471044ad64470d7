import fc from 'fast-check';
import type { Agent } from './agent.js';
import type { Side } from './law.js';
import type { Mapper } from './mapper.js';
import { expectRead, expectSize, fill, type ModelFile } from './model-file.js';
import type { Attributes } from './operations.js';
import { flags } from './operations.js';
import type { Play } from './play.js';

/** What may be done to one file that is open by three descriptors: two for any place, one that appends. */
export type FileStep =
  | { readonly do: 'write' | 'read'; readonly by: number; readonly at: number; readonly length: number }
  | { readonly do: 'append'; readonly length: number }
  | { readonly do: 'truncate'; readonly by: number; readonly size: number }
  | { readonly do: 'reopen'; readonly by: number; readonly empty: boolean }
  | { readonly do: 'sync'; readonly by: number }
  | { readonly do: 'store' | 'load'; readonly at: number; readonly length: number }
  | { readonly do: 'msync' };

export type FileStepKind = FileStep['do'];

const page = 4_096;
/** Edges where pages, clusters and requests of file systems begin, and a few bytes around them. */
const edge = fc
  .tuple(fc.constantFrom(1, 2, 3, 4, 8, 16, 31, 32, 33, 64), fc.integer({ min: -3, max: 3 }))
  .map(([pages, off]) => pages * page + off);
export const place = fc.oneof(
  { withCrossShrink: true },
  { weight: 3, arbitrary: fc.nat(3 * page) },
  { weight: 3, arbitrary: edge },
  { weight: 1, arbitrary: fc.nat(500_000) },
);
export const length = fc.oneof(
  { withCrossShrink: true },
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 300 }) },
  { weight: 3, arbitrary: edge },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 300_000 }) },
);
const by = fc.nat(1);

const kinds: { readonly [K in FileStepKind]: fc.Arbitrary<FileStep> } = {
  write: fc.record({ do: fc.constant('write' as const), by, at: place, length }),
  read: fc.record({ do: fc.constant('read' as const), by, at: place, length }),
  append: fc.record({ do: fc.constant('append' as const), length }),
  truncate: fc.record({ do: fc.constant('truncate' as const), by, size: place }),
  reopen: fc.record({ do: fc.constant('reopen' as const), by, empty: fc.boolean() }),
  sync: fc.record({ do: fc.constant('sync' as const), by }),
  store: fc.record({ do: fc.constant('store' as const), at: place, length }),
  load: fc.record({ do: fc.constant('load' as const), at: place, length }),
  msync: fc.record({ do: fc.constant('msync' as const) }),
};

/** Programs of such steps. */
export function fileSteps(weights: { readonly [K in FileStepKind]?: number }): fc.Arbitrary<FileStep[]> {
  const choices = Object.entries(weights).map(([kind, weight]) => ({ weight, arbitrary: kinds[kind as FileStepKind] }));
  return fc.array(fc.oneof(...choices), { minLength: 1, maxLength: 40, size: 'max' });
}

export function stepText(step: FileStep): string {
  switch (step.do) {
    case 'write':
    case 'read':
      return `${step.do} ${step.length} bytes at ${step.at}${step.by === 0 ? '' : ' by another descriptor'}`;
    case 'append':
      return `append ${step.length} bytes`;
    case 'truncate':
      return `truncate to ${step.size}`;
    case 'reopen':
      return step.empty ? 'open again with O_TRUNC' : 'close and open again';
    case 'sync':
      return 'fsync';
    case 'store':
    case 'load':
      return `${step.do === 'store' ? 'write' : 'read'} ${step.length} bytes at ${step.at} of the mapping`;
    case 'msync':
      return 'msync';
  }
}

/** A program for people: its steps, numbered as messages do. */
export function programText(steps: readonly { readonly text: string }[]): string {
  return steps.map(({ text }, at) => `\n  ${at + 1}. ${text}`).join('');
}

const appender = 2;

/** Plays steps on a file that is there, open by descriptors 0, 1 and 2. */
export class FilePlayer {
  readonly #model: ModelFile;
  readonly #agent: Agent;
  readonly #play: Play;
  readonly #path: string;
  readonly #mapper: Mapper | undefined;
  /** How many bytes are mapped; undefined: none are. */
  #mapped: number | undefined;

  constructor(model: ModelFile, agent: Agent, play: Play, path: string, mapper?: Mapper) {
    this.#model = model;
    this.#agent = agent;
    this.#play = play;
    this.#path = path;
    this.#mapper = mapper;
  }

  async open(): Promise<void> {
    for (const [as, how] of [flags.make, flags.both, flags.append].entries()) {
      await this.#play.must(this.#agent, ['open', as, this.#path, how]);
    }
  }

  async act(step: FileStep, at: number): Promise<void> {
    this.#play.step(at, stepText(step));
    const [model, play, agent] = [this.#model, this.#play, this.#agent];
    switch (step.do) {
      case 'write': {
        const bytes = fill(at, step.length);
        model.write(step.at, bytes);
        await play.must(agent, ['write', step.by, step.at, bytes], (count) =>
          expectSize(count, step.length, 'what was written'),
        );
        break;
      }
      case 'append': {
        const bytes = fill(at, step.length);
        model.write(model.size, bytes);
        await play.must(agent, ['append', appender, bytes], (count) =>
          expectSize(count, step.length, 'what was written'),
        );
        break;
      }
      case 'read': {
        const wanted = model.read(step.at, step.length);
        await play.must(agent, ['read', step.by, step.at, step.length], (got) => expectRead(got, wanted, step.at));
        break;
      }
      case 'truncate':
        await this.unmap();
        model.truncate(step.size);
        await play.must(agent, ['truncate', step.by, step.size]);
        break;
      case 'reopen':
        if (step.empty) await this.unmap();
        if (step.empty) model.truncate(0);
        await play.must(agent, ['close', step.by]);
        await play.must(agent, ['open', step.by, this.#path, step.empty ? flags.replace : flags.both]);
        break;
      case 'sync':
        await play.must(agent, ['sync', step.by]);
        break;
      default:
        await this.#map(step, at);
    }
    const { size } = model;
    await play.must(agent, ['attributes', 0], (got: Attributes) => expectSize(got.size, size));
  }

  /** What lies past the mapping cannot be reached by it; what is past the end of the file would end the process. */
  async #map(step: Extract<FileStep, { do: 'store' | 'load' | 'msync' }>, at: number): Promise<void> {
    const [model, mapper] = [this.#model, this.#mapper!];
    if (model.size === 0) return;
    await this.#play.end();
    if (this.#mapped === undefined) {
      await mapper.map(0, this.#path);
      this.#mapped = model.size;
    }
    if (step.do === 'msync') {
      await mapper.sync(0);
      return;
    }
    const from = step.at % this.#mapped;
    const length = Math.min(step.length, this.#mapped - from);
    const bytes = fill(at, length);
    if (step.do === 'store') {
      model.write(from, bytes);
      await mapper.write(0, from, bytes);
    } else {
      expectRead(await mapper.read(0, from, length), model.read(from, length), from);
    }
  }

  async unmap(): Promise<void> {
    if (this.#mapped === undefined) return;
    await this.#play.end();
    await this.#mapper!.unmap(0);
    this.#mapped = undefined;
  }
}

/** Opened anew, the file is as the model has it, by its name and by its bytes. */
export async function expectFile(play: Play, agent: Agent, path: string, model: ModelFile): Promise<void> {
  const { size, bytes } = model;
  const probe = 90;
  await play.must(agent, ['open', probe, path, flags.read]);
  await play.must(agent, ['attributes', probe], (got: Attributes) => expectSize(got.size, size, 'the open file'));
  await play.must(agent, ['read', probe, 0, size + 1], (got) => expectRead(got, bytes));
  await play.must(agent, ['close', probe]);
  await play.must(agent, ['stat', path], (got: Attributes) => expectSize(got.size, size, 'its name'));
}

/** What one of the sides is called. */
export const sideText = (side: Side): string => (side === 0 ? '' : ', on the other mount');
