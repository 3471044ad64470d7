import type { Fact } from './operation.js';
import { differs } from './pattern.js';
import { mustBe, type Scene } from './scene.js';

interface Version {
  readonly seed: number;
  readonly length: number;
}
interface Entry {
  /** What was acknowledged last; undefined: no such file. */
  settled: Version | undefined;
  /** What it may have become, if the worker died over it. */
  pending?: { readonly to: Version | undefined };
}

/** Holds the files of a worker against what it was told. */
export async function holdFiles(scene: Scene, told: readonly Fact[]): Promise<void> {
  const files = new Map<string, Entry>();
  for (const fact of told as (Fact & Version & { path: string })[]) {
    const { path, seed, length } = fact;
    const settled = files.get(path)?.settled;
    if (fact.note === 'will put') files.set(path, { settled, pending: { to: { seed, length } } });
    else if (fact.note === 'will remove') files.set(path, { settled, pending: { to: undefined } });
    else if (fact.note === 'put') files.set(path, { settled: { seed, length } });
    else if (fact.note === 'removed') files.set(path, { settled: undefined });
  }
  for (const [path, { settled, pending }] of files) {
    const bytes = await scene.read(path);
    const isSettled = settled === undefined ? bytes === undefined : is(bytes, settled);
    const isPending = pending !== undefined && (pending.to === undefined ? bytes === undefined : is(bytes, pending.to));
    if (isSettled || isPending) continue;
    if (settled === undefined) throw new Error(`${path} has ${bytes?.length} bytes, and should be gone`);
    mustBe(path, bytes, settled.seed, settled.length);
  }
}

function is(bytes: Uint8Array | undefined, { seed, length }: Version): boolean {
  return bytes?.length === length && differs(bytes, seed) < 0;
}
