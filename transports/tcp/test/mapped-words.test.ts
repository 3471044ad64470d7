import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { assert, suite } from '@exomem/testing';
import { mapFile } from './fixtures/mapped-file.js';
import type { Writing } from './fixtures/mapped-writer.js';

// An appliance's memory is a mapping that others may share. Between two plain ArrayBuffers V8 copies with memmove, whose
// overlapping stores tear words of ranges like these.

const test = suite('words of mapped memory');

const available = await import('koffi').then(
  () => true,
  () => false,
);

const body = async (): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'exomem-mapped-'));
  const path = join(folder, 'region');
  const bytes = 16_384;
  writeFileSync(path, new Uint8Array(bytes));
  try {
    const memory = await mapFile(path, bytes);
    for (const [offset, length] of [
      [4, 40],
      [4, 28],
      [3, 61],
      [7, 1_000],
      [1, 8_191],
    ] as const) {
      const stop = new Int32Array(new SharedArrayBuffer(4));
      const writing: Writing = { path, bytes, offset, length, stop };
      const thread = new Worker(new URL('./fixtures/mapped-writer.js', import.meta.url), { workerData: writing });
      const ended = new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject));
      await new Promise((resolve) => thread.once('message', resolve));
      const first = Math.ceil(offset / 8) * 8;
      const words = Math.floor((offset + length) / 8) - first / 8;
      let torn = '';
      for (let turn = 0; turn < 400_000 && torn === ''; turn += 1) {
        const at = first + (turn % words) * 8;
        const word = memory.load(at);
        if (word !== (word & 0xffn) * 0x0101_0101_0101_0101n) torn = `${word.toString(16)} at ${at}`;
      }
      Atomics.store(stop, 0, 1);
      await ended;
      assert.is(torn, '', `offset ${offset}, length ${length}`);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
};

const name = 'no aligned word of a mapping is torn between two that map it';
if (available) test(name, body);
else test.skip(name, 'koffi does not load here', { allowedInCI: true });
test.run();
