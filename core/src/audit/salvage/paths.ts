import { type NamespaceState, rootInode } from '../../namespace/state.js';

/** A path that leads to each inode of a tree. */
export function pathsOf(state: NamespaceState): Map<number, string> {
  const paths = new Map([[rootInode, '']]);
  for (const [directory, path] of paths) {
    for (const [name, inode] of state.inodes.get(directory)?.entries ?? []) {
      if (!paths.has(inode)) paths.set(inode, `${path}/${name}`);
    }
  }
  paths.set(rootInode, '/');
  return paths;
}
