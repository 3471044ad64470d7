// Where things are in this workspace.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Folders of the packages, relative to the root of the workspace: what pnpm-workspace.yaml lists, without duplicates. */
export function packages(base = root) {
  const yaml = readFileSync(join(base, 'pnpm-workspace.yaml'), 'utf8');
  const list = /^packages:\n((?: +- .*\n|\n|#.*\n)*)/m.exec(yaml)?.[1] ?? '';
  const found = new Set();
  for (const [, pattern] of list.matchAll(/^ +- ['"]?([^'"\n]+)['"]?$/gm)) {
    const parent = pattern.endsWith('/*') ? pattern.slice(0, -2) : undefined;
    const folders = parent === undefined ? [pattern] : children(join(base, parent)).map((name) => `${parent}/${name}`);
    for (const folder of folders) if (isFile(join(base, folder, 'package.json'))) found.add(folder);
  }
  return [...found].sort();
}

export function children(directory) {
  try {
    return readdirSync(directory).sort();
  } catch {
    return [];
  }
}

export function isFile(path) {
  return statSync(path, { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Files below a folder, sorted, as paths that begin with it; folders in `without` are passed over. */
export function files(directory, without = ['node_modules', 'dist']) {
  const found = [];
  for (const name of children(directory)) {
    if (without.includes(name)) continue;
    const path = join(directory, name);
    const stat = statSync(path, { throwIfNoEntry: false });
    if (stat?.isDirectory()) found.push(...files(path, without));
    else if (stat?.isFile()) found.push(path);
  }
  return found;
}
