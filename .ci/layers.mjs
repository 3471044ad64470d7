// Who may import whom.
//
//   examples, tests, benchmarks   anything that their package.json names
//   adapters/exomem               anything: the one place where everything is put together
//   other adapters                core
//   mount, transports/*           core
//   conformance                   core, fast-check
//   core                          nothing of ours, no module of Node, of other packages rxjs alone
//
// No file reaches into another package by a relative path.

import { readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { imports } from './imports.mjs';
import { files, packages } from './workspace.mjs';

const layers = [
  { folder: /^core$/, ours: [], outside: ['rxjs'], node: false },
  { folder: /^transports\/[^/]+$/, ours: ['core'] },
  { folder: /^mount$/, ours: ['core'] },
  { folder: /^conformance$/, ours: ['core'], outside: ['fast-check'] },
  { folder: /^conformance\/testing$/, ours: [], outside: ['uvu'] },
  { folder: /^adapters\/exomem$/ },
  { folder: /^adapters\/[^/]+$/, ours: ['core'] },
  { folder: /^examples$/ },
];

const builtin = new Set(builtinModules);

/** What breaks the rules in the workspace at `base`, a line each. */
export function violations(base) {
  const folders = packages(base);
  const manifests = new Map(
    folders.map((folder) => [folder, JSON.parse(readFileSync(join(base, folder, 'package.json'), 'utf8'))]),
  );
  const folderOf = new Map(folders.map((folder) => [manifests.get(folder).name, folder]));
  const found = [];
  for (const folder of folders) {
    const layer = layers.find((one) => one.folder.test(folder));
    if (layer === undefined) {
      found.push(`${folder}: no rule in .ci/layers.mjs says what it may import`);
      continue;
    }
    for (const path of sources(base, folder, folders)) {
      const place = { base, folder, path, published: path.startsWith(join(base, folder, 'src/')) };
      for (const { line, specifier } of imports(readFileSync(path, 'utf8'))) {
        const wrong = judge(specifier, place, layer, manifests.get(folder), folderOf);
        if (wrong !== undefined) found.push(`${relative(base, path)}:${line}: ${wrong}`);
      }
    }
  }
  return found;
}

/** Files of a package without those of packages inside it. */
function sources(base, folder, folders) {
  const inner = folders.filter((other) => other.startsWith(`${folder}/`)).map((other) => join(base, other, '/'));
  return files(join(base, folder)).filter(
    (path) => /\.[mc]?[jt]sx?$/.test(path) && !inner.some((prefix) => path.startsWith(prefix)),
  );
}

function judge(specifier, { base, folder, path, published }, layer, manifest, folderOf) {
  if (specifier === undefined) return published && !free(layer) ? 'imports what no reader can tell' : undefined;
  if (/^\.{0,2}\//.test(specifier) || specifier === '.' || specifier === '..') {
    const home = published ? join(base, folder, 'src') : join(base, folder);
    const target = resolve(dirname(path), specifier);
    const leaves = relative(home, target).startsWith('..') || specifier.startsWith('/');
    return leaves ? `'${specifier}' leads out of ${relative(base, home)}` : undefined;
  }
  if (specifier.startsWith('node:') || builtin.has(specifier.split('/')[0])) {
    return published && layer.node === false ? `${folder} has no I/O: '${specifier}' is a module of Node` : undefined;
  }
  const name = specifier.split('/', specifier.startsWith('@') ? 2 : 1).join('/');
  if (name === manifest.name) return published ? `'${specifier}' is the package itself` : undefined;
  const { dependencies, optionalDependencies, peerDependencies, devDependencies } = manifest;
  const declared = {
    ...dependencies,
    ...optionalDependencies,
    ...peerDependencies,
    ...(published ? {} : devDependencies),
  };
  if (!(name in declared)) return `'${name}' is not among the dependencies in ${folder}/package.json`;
  if (!published) return undefined;
  const target = folderOf.get(name);
  if (target === undefined) {
    const allowed = layer.outside === undefined || layer.outside.includes(name);
    return allowed
      ? undefined
      : `${folder} may not import '${name}', of outside packages only ${layer.outside.join(', ')}`;
  }
  const allowed = layer.ours === undefined || layer.ours.includes(target);
  return allowed ? undefined : `${folder} may not import '${name}': that arrow does not exist, see .ci/layers.mjs`;
}

/** Puts together what it does not know: a program may load what its user names. */
const free = (layer) => layer.ours === undefined;
