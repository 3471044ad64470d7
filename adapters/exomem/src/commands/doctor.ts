import { readFile, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import type { Context } from '../command/context.js';
import { paint } from '../command/output.js';
import { formatSize } from '../command/quantity.js';
import { onPath } from './local.js';

/** One thing that this machine can do, or not. */
interface Finding {
  readonly name: string;
  readonly ok: boolean;
  readonly what: string;
  /** The line to type. */
  readonly advice?: string;
}

/** Looks at what this machine can and cannot do. */
export async function doctor(context: Context): Promise<void> {
  const { output } = context;
  const findings: Finding[] = [];
  for (const look of looks) findings.push(...(await look(context)));
  if (output.json) {
    output.value(Object.fromEntries(findings.map(({ name, ...finding }) => [name, finding])));
    return;
  }
  const width = Math.max(...findings.map(({ name }) => name.length));
  for (const { name, ok, what, advice } of findings) {
    output.line(`${ok ? paint('green', 'yes') : paint('red', 'no ')}  ${name.padEnd(width)}  ${what}`);
    if (advice !== undefined) output.line(`     ${' '.repeat(width)}  ${paint('bold', advice)}`);
  }
}

const looks: readonly ((context: Context) => Promise<Finding[]>)[] = [
  node,
  loopback,
  memory,
  sharedMemory,
  libc,
  mounting,
  user,
];

async function node(): Promise<Finding[]> {
  const [major] = process.versions.node.split('.');
  const ok = Number(major) >= 20;
  const what = `Node ${process.versions.node} on ${process.platform}-${process.arch}`;
  return [{ name: 'library', ok, what, advice: ok ? undefined : 'install Node 20 or later: https://nodejs.org' }];
}

async function loopback(): Promise<Finding[]> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return [{ name: 'appliance', ok: true, what: 'it can listen on 127.0.0.1' }];
  } catch (error) {
    const what = `it cannot listen on 127.0.0.1: ${(error as Error).message}`;
    return [{ name: 'appliance', ok: false, what, advice: 'exomem serve --size 64M --listen unix:/tmp/exomem.sock' }];
  } finally {
    server.close();
  }
}

async function memory(): Promise<Finding[]> {
  const { memoryRoom } = await import('@exomem/transport-tcp');
  const { free, of } = memoryRoom();
  if (!Number.isFinite(free)) return [{ name: 'memory', ok: true, what: 'the system does not say how much is free' }];
  const what = `${formatSize(free)} can be set aside; ${of} sets the limit`;
  const ok = free > 128 * 1024 ** 2;
  const advice = ok
    ? undefined
    : of.startsWith('the control group')
      ? 'raise its limit (docker run --memory 2g)'
      : 'end what uses it';
  return [{ name: 'memory', ok, what, advice }];
}

/** Only who keeps a region in /dev/shm needs it: memory without a name is not counted there. */
async function sharedMemory(): Promise<Finding[]> {
  const name = 'kept in /dev/shm';
  try {
    const { bsize, bavail } = await statfs('/dev/shm');
    const free = bsize * bavail;
    const ok = free >= 64 * 1024 ** 2;
    const advice = ok ? undefined : 'mount -o remount,size=50% /dev/shm (docker run --shm-size 2g)';
    return [{ name, ok, what: `${formatSize(free)} free, for serve --file /dev/shm/NAME`, advice }];
  } catch {
    return [{ name, ok: false, what: 'there is no /dev/shm', advice: 'mount -t tmpfs tmpfs /dev/shm' }];
  }
}

async function libc(): Promise<Finding[]> {
  const { loadLibc } = await import('@exomem/transport-tcp');
  const ok = (await loadLibc()) !== undefined;
  const what = ok
    ? 'koffi reaches the C library'
    : 'koffi does not load, or this is no Linux: serve --file is impossible';
  return [{ name: 'kept in a file', ok, what, advice: ok ? undefined : 'npm install koffi' }];
}

async function mounting(context: Context): Promise<Finding[]> {
  const host = await (await context.composition()).host();
  const obstacle = await host.obstacle();
  const findings: Finding[] = [
    obstacle === undefined
      ? { name: 'mount', ok: true, what: `/dev/fuse and ${host.name} are there` }
      : { name: 'mount', ok: false, what: obstacle.what, advice: obstacle.advice },
  ];
  const fusermount = (await onPath('fusermount3')) ?? (await onPath('fusermount'));
  const root = process.geteuid?.() === 0;
  findings.push({
    name: 'mount as a user',
    ok: fusermount !== undefined,
    what: fusermount ?? `no fusermount on the PATH${root ? '; root needs none' : ''}`,
    advice: fusermount === undefined ? 'apt install fuse3' : undefined,
  });
  const config = await readFile('/etc/fuse.conf', 'utf8').catch(() => '');
  if (!root && !/^\s*user_allow_other/m.test(config)) {
    findings.push({
      name: 'mount --allow-other',
      ok: false,
      what: '/etc/fuse.conf does not allow it to users',
      advice: 'echo user_allow_other | sudo tee -a /etc/fuse.conf',
    });
  }
  return findings;
}

async function user(): Promise<Finding[]> {
  const root = process.geteuid?.() === 0;
  return [
    {
      name: 'root',
      ok: root,
      what: root ? 'this is root' : 'this is no root: mounting needs fusermount',
      advice: root ? undefined : 'sudo exomem up',
    },
  ];
}
