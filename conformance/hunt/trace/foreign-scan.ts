import { execFile, spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What the scan in Python says, which was written from docs/FORMAT.md alone. Counts of pages. */
export interface ForeignScan {
  readonly findings: readonly string[];
  readonly counts: { readonly free: number; readonly held: number; readonly files: number; readonly members: number };
}

const scanner = fileURLToPath(new URL('../../../../examples/foreign/scan.py', import.meta.url));

/** Why it cannot be run here, if so. */
export function scanObstacle(): string | undefined {
  const { error, stdout } = spawnSync('python3', ['-c', 'import sys; print(sys.version_info >= (3, 11))']);
  if (error !== undefined) return 'there is no python3; apt install python3';
  return stdout.toString().trim() === 'True' ? undefined : 'python3 is older than 3.11';
}

/** Looks at a region in which nothing is under way. */
export function foreignScan(url: string): Promise<ForeignScan> {
  return new Promise((resolve, reject) => {
    execFile('python3', [scanner, url, '--at-rest', '--json'], { maxBuffer: 1 << 26 }, (error, stdout, stderr) => {
      // 7: it found something.
      if (error === null || error.code === 7) resolve(JSON.parse(stdout) as ForeignScan);
      else reject(new Error(`scan.py ended with ${error.code}: ${stderr}`));
    });
  });
}
