import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fsyncSync, mkdtempSync, openSync, readSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { compare, type Row } from './row.js';

const MiB = 1024 * 1024;
const bytes = 128 * MiB;
const group = 'mount';

/** Begins an appliance with a mount, as anybody would; this process only uses the directory. */
async function up(): Promise<{ directory: string; end(): Promise<void> }> {
  const bin = new URL('bin.js', import.meta.resolve('exomem'));
  const command = spawn(process.execPath, [fileURLToPath(bin), '--json', 'up', '--size', '1G'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = once(command, 'exit');
  for await (const line of createInterface({ input: command.stdout })) {
    const { dir } = JSON.parse(line) as { dir: string };
    return {
      directory: dir,
      end: async () => {
        command.kill('SIGINT');
        await exit;
      },
    };
  }
  throw new Error('exomem up ended before it began');
}

function writeAll(directory: string): number {
  const chunk = Buffer.alloc(MiB, 7);
  const start = performance.now();
  const file = openSync(join(directory, 'big'), 'w');
  for (let at = 0; at < bytes; at += chunk.length) writeSync(file, chunk, 0, chunk.length, at);
  fsyncSync(file);
  closeSync(file);
  return bytes / 1e3 / (performance.now() - start);
}

/** Opened anew, so what the kernel has of it counts only where it may keep it. */
function readAll(directory: string): number {
  const chunk = Buffer.alloc(MiB);
  const start = performance.now();
  const file = openSync(join(directory, 'big'), 'r');
  for (let at = 0; at < bytes; at += chunk.length) readSync(file, chunk, 0, chunk.length, at);
  closeSync(file);
  return bytes / 1e3 / (performance.now() - start);
}

function readRandom(directory: string): number {
  const page = Buffer.alloc(4096);
  const file = openSync(join(directory, 'big'), 'r');
  const count = 2000;
  const start = performance.now();
  for (let at = 0, page4 = 1; at < count; at++) {
    page4 = (page4 * 16_807) % 2_147_483_647;
    readSync(file, page, 0, 4096, (page4 % (bytes / 4096)) * 4096);
  }
  const figure = (count / (performance.now() - start)) * 1000;
  closeSync(file);
  return figure;
}

function createAndUnlink(directory: string): number {
  const count = 300;
  const start = performance.now();
  for (let at = 0; at < count; at++) {
    const path = join(directory, `f${at}`);
    closeSync(openSync(path, 'w'));
    unlinkSync(path);
  }
  return (count / (performance.now() - start)) * 1000;
}

/** The figures of a mount through the kernel, beside tmpfs. */
export async function run(): Promise<Row[]> {
  const memory = mkdtempSync('/dev/shm/exomem-bench-');
  const { directory, end } = await up();
  const rows: Row[] = [];
  try {
    const beside = async (name: string, unit: string, work: (directory: string) => number, rounds = 5) =>
      rows.push(
        await compare(
          { group, name, unit, baseline: 'tmpfs' },
          () => work(directory),
          () => work(memory),
          rounds,
        ),
      );
    await beside('write 128 MiB, 1 MiB at a time, fsync', 'MB/s', writeAll);
    await beside('read it, opened anew', 'MB/s', readAll);
    await beside('read 4 KiB at random, just opened', 'op/s', readRandom);
    await beside('create and unlink', 'op/s', createAndUnlink);
  } finally {
    await end();
    rmSync(memory, { recursive: true });
  }
  return rows;
}
