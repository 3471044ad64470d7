import { readFileSync, statfsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { ExomemError } from '@exomem/core';

/** How much memory may still be taken, and what says so. */
export interface Room {
  /** Bytes. */
  readonly free: number;
  /** The one that binds: the machine, a control group, a file system. */
  readonly of: string;
}

/** Where the system tells it; other places are for tests. */
export interface SystemPaths {
  readonly proc: string;
  readonly cgroup: string;
}

const systemPaths: SystemPaths = { proc: '/proc', cgroup: '/sys/fs/cgroup' };
/** What this process needs beside the region: its heap, its sockets. Bytes. */
const ownNeed = 67_108_864;
/** File systems whose files are memory: their room counts twice, as theirs and as the machine's. */
const tmpfs = 0x0102_1994;
const ramfs = 0x8584_58f6;

/** The least of what the machine and the control groups above this process leave. Infinite where nothing is told. */
export function memoryRoom(paths: SystemPaths = systemPaths): Room {
  let least: Room = { free: Number.POSITIVE_INFINITY, of: 'nothing' };
  for (const room of [machineRoom(paths), ...groupRooms(paths)]) {
    if (room !== undefined && room.free < least.free) least = room;
  }
  return least;
}

/** Whether files in a directory are kept in memory. */
export function isMemory(directory: string): boolean {
  const { type } = statfsSync(directory);
  return type === tmpfs || type === ramfs;
}

/** What the file system of a directory leaves to this user. */
export function fileRoom(directory: string): Room {
  const { bavail, bsize } = statfsSync(directory);
  return { free: bavail * bsize, of: `the file system of ${directory}` };
}

/** @throws `Unavailable` if `bytes` are more than there is room for. */
export function checkRoom(bytes: number, room: Room, beside = 0): void {
  if (bytes + beside <= room.free) return;
  const most = Math.max(0, Math.floor((room.free - beside) / 1_048_576));
  throw new ExomemError('Unavailable', `${inUnits(bytes)} are more than ${room.of} has free: ${inUnits(room.free)}`, {
    advice: most > 0 ? `ask for at most ${most}M (--size ${most}M), or make room` : 'make room first',
  });
}

/** {@link checkRoom} of memory, which leaves this process some of its own. @throws `Unavailable` */
export function checkMemoryRoom(bytes: number, paths?: SystemPaths): void {
  checkRoom(bytes, memoryRoom(paths), ownNeed);
}

function inUnits(bytes: number): string {
  const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let unit = 0;
  for (; bytes >= 1024 && unit < units.length - 1; unit += 1) bytes /= 1024;
  return `${unit === 0 ? bytes : bytes.toFixed(1)} ${units[unit]}`;
}

function machineRoom({ proc }: SystemPaths): Room | undefined {
  const match = /^MemAvailable:\s+(\d+) kB/m.exec(text(join(proc, 'meminfo')) ?? '');
  return match === null ? undefined : { free: Number(match[1]) * 1024, of: 'this machine' };
}

/** Of each control group from this process up to the root. Memory that it can drop by itself counts as free. */
function groupRooms({ proc, cgroup }: SystemPaths): Room[] {
  const rooms: Room[] = [];
  for (const line of (text(join(proc, 'self/cgroup')) ?? '').split('\n')) {
    const [hierarchy, controllers, path] = line.split(':');
    if (path === undefined) continue;
    const second = hierarchy === '0' && controllers === '';
    if (!second && !controllers!.split(',').includes('memory')) continue;
    const root = second ? cgroup : join(cgroup, 'memory');
    for (let group = path; ; group = dirname(group)) {
      const room = second
        ? groupRoom(join(root, group), 'memory.max', 'memory.current', 'inactive_file')
        : groupRoom(join(root, group), 'memory.limit_in_bytes', 'memory.usage_in_bytes', 'total_inactive_file');
      if (room !== undefined) rooms.push({ free: room, of: `the control group ${group}` });
      if (group === '/' || group === '.') break;
    }
  }
  return rooms;
}

function groupRoom(folder: string, limit: string, usage: string, droppable: string): number | undefined {
  const most = Number(text(join(folder, limit)));
  const used = Number(text(join(folder, usage)));
  // "max", a missing file, or the page-rounded 2^63 of a group without a limit.
  if (!Number.isFinite(most) || !Number.isFinite(used) || most > Number.MAX_SAFE_INTEGER) return undefined;
  const cached = new RegExp(`^${droppable} (\\d+)$`, 'm').exec(text(join(folder, 'memory.stat')) ?? '');
  return Math.max(0, most - used + Number(cached?.[1] ?? 0));
}

function text(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
