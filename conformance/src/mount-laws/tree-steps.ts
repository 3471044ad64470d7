import fc from 'fast-check';
import { LawBroken } from '../transport-laws/expect.js';
import type { Agent, Call } from './agent.js';
import { expectFile, length, sideText } from './file-steps.js';
import type { Place, Side } from './law.js';
import { expectSize, fill } from './model-file.js';
import { ModelTree, type Node, type Path, Refusal } from './model-tree.js';
import { type Attributes, flags } from './operations.js';
import type { Play } from './play.js';

/** What may be done to a tree, from one side or the other. */
export type TreeStep = { readonly side: Side } & (
  | { readonly do: 'mkdir' | 'rmdir' | 'unlink' | 'list' | 'look'; readonly path: Path }
  | { readonly do: 'write'; readonly path: Path; readonly length: number }
  | { readonly do: 'rename' | 'link'; readonly from: Path; readonly to: Path }
);
export type TreeStepKind = TreeStep['do'];

const name = fc.constantFrom('a', 'b', 'c');

/** Programs of such steps; paths are no deeper than `depth`. */
export function treeSteps(
  weights: { readonly [K in TreeStepKind]?: number },
  { depth, across }: { readonly depth: number; readonly across: boolean },
): fc.Arbitrary<TreeStep[]> {
  // Most are short: so that they meet, and what they need is there.
  const path = fc.oneof(
    ...Array.from({ length: depth }, (_, at) => ({
      weight: 2 ** (depth - at),
      arbitrary: fc.array(name, { minLength: at + 1, maxLength: at + 1 }),
    })),
  );
  const side: fc.Arbitrary<Side> = across ? fc.constantFrom(0, 1) : fc.constant(0);
  const steps = (kind: TreeStepKind): fc.Arbitrary<TreeStep> => {
    if (kind === 'write') return fc.record({ do: fc.constant(kind), side, path, length });
    if (kind === 'rename' || kind === 'link') return fc.record({ do: fc.constant(kind), side, from: path, to: path });
    if (kind === 'list') return fc.record({ do: fc.constant(kind), side, path: fc.oneof(fc.constant([]), path) });
    return fc.record({ do: fc.constant(kind), side, path });
  };
  const choices = Object.entries(weights).map(([kind, weight]) => ({ weight, arbitrary: steps(kind as TreeStepKind) }));
  return fc.array(fc.oneof(...choices), { minLength: 1, maxLength: 40, size: 'max' });
}

export function treeStepText(step: TreeStep): string {
  const where = sideText(step.side);
  switch (step.do) {
    case 'rename':
    case 'link':
      return `${step.do} ${step.from.join('/')} to ${step.to.join('/')}${where}`;
    case 'write':
      return `write ${step.length} bytes to ${step.path.join('/')}, made or emptied${where}`;
    case 'look':
      return `stat and read ${step.path.join('/')}${where}`;
    default:
      return `${step.do} ${step.path.join('/') || 'the directory'}${where}`;
  }
}

/** Plays steps on an empty directory. */
export class TreePlayer {
  readonly #tree = new ModelTree();
  readonly #play: Play;
  readonly #agents: readonly Agent[];
  readonly #place: Place;

  constructor(play: Play, agents: readonly Agent[], place: Place) {
    this.#play = play;
    this.#agents = agents;
    this.#place = place;
  }

  async act(step: TreeStep, at: number): Promise<void> {
    this.#play.step(at, treeStepText(step));
    const { side } = step;
    const path = (names: Path): string => this.#place.path(side, ...names);
    switch (step.do) {
      case 'mkdir':
      case 'rmdir':
      case 'unlink': {
        const { do: name, path: names } = step;
        return this.#same(side, [name, path(names)], () => this.#tree[name](names));
      }
      case 'rename':
      case 'link': {
        const { do: name, from, to } = step;
        return this.#same(side, [name, path(from), path(to)], () => this.#tree[name](from, to));
      }
      case 'write':
        return this.#write(step, at);
      case 'list':
        return this.#list(side, step.path);
      case 'look':
        return this.#look(side, step.path);
    }
  }

  /** The call succeeds or fails as the model does. */
  async #same(side: Side, call: Call, model: () => unknown, judge?: (value: never) => void): Promise<void> {
    const agent = this.#agents[side]!;
    try {
      model();
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      return this.#play.refused(agent, call, error.codes);
    }
    return this.#play.must(agent, call, judge);
  }

  async #write({ side, path, length }: Extract<TreeStep, { do: 'write' }>, at: number): Promise<void> {
    const agent = this.#agents[side]!;
    const descriptor = 80;
    const call: Call = ['open', descriptor, this.#place.path(side, ...path), flags.replace];
    try {
      this.#tree.write(path).write(0, fill(at, length));
    } catch (error) {
      return this.#play.refused(agent, call, (error as Refusal).codes);
    }
    await this.#play.must(agent, call);
    await this.#play.must(agent, ['write', descriptor, 0, fill(at, length)], (count) =>
      expectSize(count, length, 'what was written'),
    );
    await this.#play.must(agent, ['close', descriptor]);
  }

  async #list(side: Side, path: Path): Promise<void> {
    let wanted: string[] = [];
    await this.#same(
      side,
      ['list', this.#place.path(side, ...path)],
      () => (wanted = this.#tree.list(path)),
      (got: string[]) => {
        const [shown, right] = [got.slice().sort().join(' '), wanted.join(' ')];
        if (shown !== right) throw new LawBroken(`${path.join('/') || 'it'} lists "${shown}" instead of "${right}"`);
      },
    );
  }

  async #look(side: Side, path: Path): Promise<void> {
    const agent = this.#agents[side]!;
    const { node, error } = this.#tree.find(path);
    const where = this.#place.path(side, ...path);
    if (node === undefined) return this.#play.refused(agent, ['stat', where], [error!]);
    // As it is now: steps that follow change it before the answer is judged.
    const wanted = node.kind === 'file' ? { kind: node.kind, links: node.links } : { kind: node.kind };
    await this.#play.must(agent, ['stat', where], (got: Attributes) => expectAttributes(path, got, wanted));
    if (node.kind === 'file') await expectFile(this.#play, agent, where, node.file);
  }

  /** The whole tree, from one side. */
  async expectAll(side: Side): Promise<void> {
    const visit = async (node: Node, path: Path): Promise<void> => {
      await this.#look(side, path);
      if (node.kind !== 'directory') return;
      await this.#list(side, path);
      for (const [child, inner] of node.entries) await visit(inner, [...path, child]);
    };
    await visit(this.#tree.root, []);
  }
}

function expectAttributes(
  path: Path,
  got: Attributes,
  wanted: { readonly kind: string; readonly links?: number },
): void {
  const who = path.join('/') || 'the directory';
  if (got.kind !== wanted.kind) throw new LawBroken(`${who} is a ${got.kind} instead of a ${wanted.kind}`);
  if (wanted.links !== undefined && got.links !== wanted.links) {
    throw new LawBroken(`${who} has ${got.links} names instead of ${wanted.links}`);
  }
}
