import { ModelFile } from './model-file.js';

/** What a name may stand for. */
export type Node =
  | { readonly kind: 'file'; readonly file: ModelFile; links: number }
  | { readonly kind: 'directory'; readonly entries: Map<string, Node> };
type Directory = Extract<Node, { kind: 'directory' }>;

/** The call must fail with one of these. */
export class Refusal extends Error {
  readonly codes: readonly string[];
  constructor(codes: readonly string[]) {
    super(codes.join(' or '));
    this.codes = codes;
  }
}

export type Path = readonly string[];

/**
 * A tree of directories and files: the trivial model. Where several errors fit, any of them is right: POSIX gives them no
 * order.
 */
export class ModelTree {
  readonly root: Directory = { kind: 'directory', entries: new Map() };

  /** What the path leads to; the errors of the way there. */
  find(path: Path): { readonly node?: Node; readonly error?: string } {
    let node: Node = this.root;
    for (const name of path) {
      if (node.kind !== 'directory') return { error: 'ENOTDIR' };
      const next: Node | undefined = node.entries.get(name);
      if (next === undefined) return { error: 'ENOENT' };
      node = next;
    }
    return { node };
  }

  /** @throws `Refusal` if there is nothing. */
  get(path: Path): Node {
    const { node, error } = this.find(path);
    if (node === undefined) throw new Refusal([error!]);
    return node;
  }

  /** The directory that a path is in. @throws `Refusal` */
  #parent(path: Path): Map<string, Node> {
    const node = this.get(path.slice(0, -1));
    if (node.kind !== 'directory') throw new Refusal(['ENOTDIR']);
    return node.entries;
  }

  #make(path: Path, node: Node): void {
    const parent = this.#parent(path);
    const name = path.at(-1)!;
    if (parent.has(name)) throw new Refusal(['EEXIST']);
    parent.set(name, node);
  }

  mkdir(path: Path): void {
    this.#make(path, { kind: 'directory', entries: new Map() });
  }

  /** The file, made if need be, and empty. */
  write(path: Path): ModelFile {
    const parent = this.#parent(path);
    const there = parent.get(path.at(-1)!);
    if (there?.kind === 'directory') throw new Refusal(['EISDIR']);
    if (there !== undefined) {
      there.file.truncate(0);
      return there.file;
    }
    const file = new ModelFile();
    parent.set(path.at(-1)!, { kind: 'file', file, links: 1 });
    return file;
  }

  rmdir(path: Path): void {
    const node = this.get(path);
    if (node.kind !== 'directory') throw new Refusal(['ENOTDIR']);
    if (node.entries.size > 0) throw new Refusal(['ENOTEMPTY', 'EEXIST']);
    this.#parent(path).delete(path.at(-1)!);
  }

  unlink(path: Path): void {
    const node = this.get(path);
    if (node.kind === 'directory') throw new Refusal(['EISDIR', 'EPERM']);
    node.links--;
    this.#parent(path).delete(path.at(-1)!);
  }

  link(from: Path, to: Path): void {
    const codes: string[] = [];
    const { node, error } = this.find(from);
    if (node === undefined) codes.push(error!);
    if (node?.kind === 'directory') codes.push('EPERM');
    this.#gather(codes, () => {
      if (this.#parent(to).has(to.at(-1)!)) throw new Refusal(['EEXIST']);
    });
    if (codes.length > 0) throw new Refusal(codes);
    const file = node as Extract<Node, { kind: 'file' }>;
    file.links++;
    this.#parent(to).set(to.at(-1)!, file);
  }

  rename(from: Path, to: Path): void {
    const codes: string[] = [];
    const { node, error } = this.find(from);
    if (node === undefined) codes.push(error!);
    this.#gather(codes, () => {
      const there = this.#parent(to).get(to.at(-1)!);
      if (isInside(to, from)) throw new Refusal(['EINVAL']);
      if (isInside(from, to)) throw new Refusal(['ENOTEMPTY', 'EEXIST']);
      if (node === undefined || there === undefined || there === node) return;
      if (node.kind === 'file' && there.kind === 'directory') throw new Refusal(['EISDIR']);
      if (node.kind === 'directory' && there.kind === 'file') throw new Refusal(['ENOTDIR']);
      if (there.kind === 'directory' && there.entries.size > 0) throw new Refusal(['ENOTEMPTY', 'EEXIST']);
    });
    if (codes.length > 0) throw new Refusal(codes);
    const target = this.#parent(to);
    const there = target.get(to.at(-1)!);
    // Two names of one file: nothing happens.
    if (there === node) return;
    if (there?.kind === 'file') there.links--;
    this.#parent(from).delete(from.at(-1)!);
    target.set(to.at(-1)!, node!);
  }

  list(path: Path): string[] {
    const node = this.get(path);
    if (node.kind !== 'directory') throw new Refusal(['ENOTDIR']);
    return [...node.entries.keys()].sort();
  }

  #gather(codes: string[], act: () => void): void {
    try {
      act();
    } catch (error) {
      codes.push(...(error as Refusal).codes);
    }
  }
}

/** Whether `inner` lies in `outer`, and is not itself it. */
function isInside(inner: Path, outer: Path): boolean {
  return inner.length > outer.length && outer.every((name, at) => inner[at] === name);
}
