import { readFile, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** A line of /proc/self/mountinfo. */
export interface MountEntry {
  readonly id: number;
  /** `major:minor`; of a FUSE mount the minor number is that of its connection in /sys/fs/fuse/connections. */
  readonly device: string;
  readonly dir: string;
  /** As `fuse.exomem`. */
  readonly type: string;
  readonly source: string;
}

/** What this package's mounts are called in the mount table. */
export const mountType = 'fuse.exomem';
const mostLinks = 40;

/**
 * Where a directory is, without a question to what is mounted on it: a mount whose server is gone or hangs must not take
 * along who asks about it.
 */
export async function placeOf(dir: string): Promise<string> {
  let path = resolve(dir);
  for (let links = 0; ; links++) {
    const parent = await realpath(dirname(path)).catch(() => dirname(path));
    const place = join(parent, basename(path));
    // Of a directory that is mounted on the kernel itself answers this.
    const target = links < mostLinks ? await readlink(place).catch(() => undefined) : undefined;
    if (target === undefined) return place;
    path = resolve(parent, target);
  }
}

/** What is mounted on that directory: the topmost, if several are. */
export async function mountAt(dir: string): Promise<MountEntry | undefined> {
  const place = await placeOf(dir);
  let found: MountEntry | undefined;
  for (const entry of await mountTable()) if (entry.dir === place) found = entry;
  return found;
}

/** Whether something is mounted on that directory. Asks the kernel's table alone, never the mount. */
export async function isMounted(dir: string): Promise<boolean> {
  return (await mountAt(dir)) !== undefined;
}

export async function mountTable(): Promise<MountEntry[]> {
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    // id parent device root dir options [fields ...] - type source options
    const [front, back] = line.split(' - ');
    if (back === undefined) continue;
    const [id, , device, , dir] = front!.split(' ');
    const [type, source] = back.split(' ');
    entries.push({ id: Number(id), device: device!, dir: plain(dir!), type: type!, source: plain(source ?? '') });
  }
  return entries;
}

/** Blanks, line ends and backslashes stand as octal numbers there; what is ASCII only stays a single byte. */
function plain(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}
