import { Worker } from 'node:worker_threads';
import { isExomemError, RegionMemory } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import type { Writing } from './fixtures/torn-words.js';

const test = suite('region memory');

const shared = (bytes: number) => new SharedArrayBuffer(bytes);
const plain = (bytes: number) => new ArrayBuffer(bytes);

for (const [kind, buffer] of [
  ['shared', shared],
  ['plain', plain],
] as const) {
  test(`${kind}: does over several segments what one array does`, () => {
    const size = 3 * 64 + 24;
    const step = fc.record({
      op: fc.constantFrom('read', 'write', 'word', 'add'),
      offset: fc.nat(size - 8),
      length: fc.nat(size),
      phase: fc.nat(7),
      value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const memory = new RegionMemory([buffer(64), buffer(64), buffer(64), buffer(24)]);
        const model = new Uint8Array(size);
        const words = new BigUint64Array(model.buffer);
        for (const { op, offset, length: wished, phase, value } of steps) {
          const length = Math.min(wished, size - offset);
          const bytes = new Uint8Array(length + 8).subarray(phase, phase + length);
          const word = offset & ~7;
          if (op === 'read') {
            memory.read(offset, bytes);
            assert.equal([...bytes], [...model.subarray(offset, offset + length)]);
          } else if (op === 'write') {
            bytes.forEach((_, at) => {
              bytes[at] = Number((value >> BigInt((at % 8) * 8)) & 0xffn) ^ at;
            });
            memory.write(offset, bytes);
            model.set(bytes, offset);
          } else if (op === 'add') {
            assert.is(memory.fetchAdd(word, value), words[word / 8]);
            words[word / 8] = BigInt.asUintN(64, words[word / 8]! + value);
          } else {
            const observed = memory.load(word);
            assert.is(observed, words[word / 8]);
            assert.is(memory.compareExchange(word, observed ^ 1n, value), observed);
            assert.is(memory.compareExchange(word, observed, value), observed);
            words[word / 8] = value;
          }
        }
        const whole = new Uint8Array(size);
        memory.read(0, whole);
        assert.equal([...whole], [...model]);
      }),
    );
  });

  test(`${kind}: copies longer than the stage keep every byte, whatever the phases`, () => {
    const length = 200_003;
    const pattern = new Uint8Array(length + 8).map((_, at) => (at * 131 + (at >> 8)) & 0xff);
    for (const phase of [0, 1, 5]) {
      for (const offset of [0, 3, 8]) {
        const memory = new RegionMemory([buffer(262_144)]);
        memory.write(offset, pattern.subarray(phase, phase + length));
        const back = new Uint8Array(length + 8).subarray(7 - phase, 7 - phase + length);
        memory.read(offset, back);
        assert.is(Buffer.compare(back, pattern.subarray(phase, phase + length)), 0, `phase ${phase}, offset ${offset}`);
      }
    }
  });
}

test('refuses segments that make no region', () => {
  for (const lengths of [[], [0], [12], [64, 128], [64, 32, 64]]) {
    assert.throws(
      () => new RegionMemory(lengths.map(shared)),
      (error: unknown) => isExomemError(error, 'InvalidArgument'),
    );
  }
});

test('a view shows the memory itself, and none reaches over the edge of a segment', () => {
  const memory = new RegionMemory([shared(64), shared(64)]);
  memory.write(72, Uint8Array.of(7));
  assert.is(memory.view(64, 16)[8], 7);
  memory.view(64, 16)[9] = 8;
  assert.is(memory.load(72), 0x0807n);
  assert.throws(
    () => memory.view(60, 8),
    (error: unknown) => isExomemError(error, 'Fragmented'),
  );
});

test('no aligned word is torn between threads, whatever the phases of offset and buffers', async () => {
  const segments = [shared(4_096), shared(4_096)];
  const memory = new RegionMemory(segments);
  for (const [offset, length] of [
    [0, 40],
    [3, 61],
    [4, 40],
    [7, 1_000],
    [4_001, 255],
    [1, 8_191],
  ] as const) {
    for (const phase of [0, 3, 4, 7]) {
      memory.write(0, new Uint8Array(8_192));
      const stop = new Int32Array(new SharedArrayBuffer(4));
      const writing: Writing = { segments, offset, length, phase, stop };
      const thread = new Worker(new URL('./fixtures/torn-words.js', import.meta.url), { workerData: writing });
      const ended = new Promise((resolve, reject) => thread.once('exit', resolve).once('error', reject));
      await new Promise((resolve) => thread.once('message', resolve));
      const first = Math.ceil(offset / 8) * 8;
      const words = Math.floor((offset + length) / 8) - first / 8;
      let torn = '';
      for (let turn = 0; turn < 3_000 && torn === ''; turn += 1) {
        const at = first + (turn % words) * 8;
        const loaded = memory.load(at);
        if (!even(loaded)) torn = `load at ${at}: ${loaded.toString(16)}`;
        const target = new Uint8Array(length + 8).subarray(turn & 7, (turn & 7) + length);
        memory.read(offset, target);
        const view = new DataView(target.buffer, target.byteOffset + first - offset);
        for (let word = 0; word < words; word += 1) {
          const value = view.getBigUint64(word * 8, true);
          if (!even(value)) torn = `read at ${first + word * 8}: ${value.toString(16)}`;
        }
      }
      Atomics.store(stop, 0, 1);
      await ended;
      assert.is(torn, '', `offset ${offset}, length ${length}, phase ${phase}`);
    }
  }
});

/** Whether all bytes of the word are the same, as each writer leaves them. */
function even(word: bigint): boolean {
  return word === (word & 0xffn) * 0x0101_0101_0101_0101n;
}

test.run();
