import type { Stat } from '@exomem/core';

const letters = { file: '-', directory: 'd', symlink: 'l' } as const;

/** As `ls -l` shows it: `-rw-r--r--`. */
export function permissions({ kind, mode }: Stat): string {
  let text: string = letters[kind];
  for (let shift = 6; shift >= 0; shift -= 3) {
    const bits = (mode >> shift) & 7;
    const special = (mode >> (9 + shift / 3)) & 1;
    const letter = shift === 0 ? 't' : 's';
    text += bits & 4 ? 'r' : '-';
    text += bits & 2 ? 'w' : '-';
    if (special) text += bits & 1 ? letter : letter.toUpperCase();
    else text += bits & 1 ? 'x' : '-';
  }
  return text;
}

/** Nanoseconds since 1970 as a time of ISO 8601, to the second. */
export function timeOf(nanoseconds: bigint): string {
  const milliseconds = Number(nanoseconds / 1_000_000n);
  if (Math.abs(milliseconds) > 8.64e15) return String(nanoseconds);
  return new Date(milliseconds).toISOString();
}

/** For programs. */
export function plainStat(stat: Stat): Record<string, unknown> {
  return {
    inode: stat.inode,
    kind: stat.kind,
    mode: stat.mode.toString(8).padStart(4, '0'),
    uid: stat.uid,
    gid: stat.gid,
    links: stat.links,
    size: stat.size,
    allocated: stat.allocated,
    accessed: timeOf(stat.atime),
    modified: timeOf(stat.mtime),
    changed: timeOf(stat.ctime),
    lifetime: stat.owner === undefined ? 'region' : 'owner',
    endsWith: stat.owner,
  };
}
