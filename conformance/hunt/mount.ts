import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rmdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { conform, type Lack, type Report, reportText, verdictLine } from '@exomem/conformance';
import { Ground } from './ground.js';

const MiB = 1024 * 1024;
const command = fileURLToPath(new URL('./bin.js', import.meta.resolve('exomem')));
/** What the host fuse-native cannot do. */
const lacks: readonly Lack[] = ['replace-open', 'removed-stat'];

export interface MountHuntOptions {
  readonly seconds: number;
  readonly seed: number;
  readonly laws?: readonly string[] | undefined;
  readonly path?: string | undefined;
  readonly tell?: (line: string) => void;
}

/** Holds the laws of file systems over two mounts of one region, by the command that users type. */
export async function huntMounts({ seconds, seed, laws, path, tell }: MountHuntOptions): Promise<Report> {
  await using ground = await Ground.open({ lease: 5_000 });
  const { url } = await ground.region(256 * MiB, true);
  await using first = await MountProcess.start(url);
  await using second = await MountProcess.start(url);
  const report = await conform(
    { kind: 'mount', mount: { name: 'two mounts', dir: first.dir, dir2: second.dir, lacks } },
    {
      seed,
      budget: seconds * 1000,
      ...(laws === undefined ? {} : { laws }),
      ...(path === undefined ? {} : { path }),
      onVerdict: (verdict) => tell?.(verdictLine(verdict)),
      command: (found) => {
        const where = 'seed' in found ? ` --seed ${found.seed} --path ${found.path}` : '';
        return `npm run hunt -- mount --law ${found.law}${where}`;
      },
    },
  );
  tell?.(reportText(report));
  return report;
}

/** `exomem mount`, in a process of its own, on a directory of its own. */
class MountProcess implements AsyncDisposable {
  readonly dir: string;
  readonly #child: ChildProcess;

  private constructor(dir: string, child: ChildProcess) {
    this.dir = dir;
    this.#child = child;
  }

  static async start(url: string): Promise<MountProcess> {
    const dir = await mkdtemp(join(tmpdir(), 'exomem-hunt-'));
    const child = spawn(process.execPath, [command, 'mount', url, dir, '--json'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const mounted = once(createInterface({ input: child.stdout }), 'line');
    const ended = once(child, 'exit').then(([code, signal]) => {
      throw new Error(`exomem mount ended with ${signal ?? code}`);
    });
    await Promise.race([mounted, ended]);
    ended.catch(() => undefined);
    return new MountProcess(dir, child);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const gone = once(this.#child, 'exit');
      this.#child.kill('SIGINT');
      await gone;
    }
    await rmdir(this.dir);
  }
}
