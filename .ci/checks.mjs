// What is asked of the sources, beside that they compile. Each answers what is wrong, or nothing.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { violations } from './layers.mjs';
import { root } from './workspace.mjs';

/** Biome: format, import order and lint. With `write`, mends what it can. */
export function biome(...options) {
  const bin = join(root, 'node_modules/@biomejs/biome/bin/biome');
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [bin, 'check', '--error-on-warnings', ...options, '.'], { cwd: root });
    let output = '';
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', (error) => resolve(error.message));
    child.once('close', (code) => resolve(code === 0 ? undefined : output));
  });
}

export function layers() {
  const found = violations(root);
  return found.length === 0 ? undefined : found.join('\n');
}

export const checks = { lint: () => biome(), layers };
