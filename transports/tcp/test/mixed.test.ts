// deadline: 240s
import type { MemoryStep } from '@exomem/core';
import { compareExchange, fetchAdd, load, read, write } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import type { ApplianceLimits, TcpSession } from '@exomem/transport-tcp';
import fc from 'fast-check';
import { Served } from './fixtures/served.js';

const test = suite('mixed steps in flight');
const area = 1 << 20;

/** What a session does: steps one after the other in flight, so many before it waits for all. */
type Act =
  | { readonly kind: 'write' | 'read'; readonly offset: number; readonly length: number }
  | { readonly kind: 'word'; readonly word: number; readonly how: 'load' | 'add' | 'exchange' | 'fail' }
  | { readonly kind: 'batch'; readonly acts: readonly Act[] }
  | { readonly kind: 'wait' };

const lengths = fc.oneof(
  { weight: 6, arbitrary: fc.nat(64) },
  { weight: 6, arbitrary: fc.nat(10_000) },
  { weight: 2, arbitrary: fc.nat(700_000) },
);
const bytesAct = (most: fc.Arbitrary<number>): fc.Arbitrary<Act> =>
  fc
    .record({ kind: fc.constantFrom('write' as const, 'read' as const), offset: fc.nat(area - 1), length: most })
    .map(({ kind, offset, length }) => ({ kind, offset, length: Math.min(length, area - offset) }));
const wordAct: fc.Arbitrary<Act> = fc.record({
  kind: fc.constant('word' as const),
  word: fc.nat(area / 8 - 1),
  how: fc.constantFrom('load' as const, 'add' as const, 'exchange' as const, 'fail' as const),
});
const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 100, arbitrary: bytesAct(lengths) },
  { weight: 100, arbitrary: wordAct },
  {
    weight: 40,
    arbitrary: fc.record({
      kind: fc.constant('batch' as const),
      acts: fc.array(fc.oneof(wordAct, bytesAct(fc.nat(9000))), { minLength: 1, maxLength: 40 }),
    }),
  },
  { weight: 1, arbitrary: fc.constant<Act>({ kind: 'wait' }) },
);

/** One session and its part of the region; what each step must answer is known when it is asked for. */
class Actor {
  readonly #session: TcpSession;
  readonly #base: number;
  readonly #model: Uint8Array;
  readonly #view: DataView;
  readonly #checks: Promise<void>[] = [];
  #seed = 1;

  constructor(session: TcpSession, base: number) {
    this.#session = session;
    this.#base = base;
    this.#model = new Uint8Array(area);
    this.#view = new DataView(this.#model.buffer);
  }

  async run(acts: readonly Act[]): Promise<void> {
    for (const act of acts) {
      if (act.kind === 'wait') await this.settle();
      else if (act.kind === 'batch') {
        const steps = act.acts.map((inner) => this.#step(inner));
        this.#checks.push(
          Promise.resolve(this.#session.batch(steps.map(({ step }) => step))).then((answers) => {
            for (const [index, { check }] of steps.entries()) check(answers[index] as bigint | undefined);
          }),
        );
      } else {
        const { step, check } = this.#step(act);
        this.#checks.push(Promise.resolve(this.#send(step)).then(check));
      }
    }
    await this.settle();
    const whole = new Uint8Array(area);
    await this.#session.read(this.#base, whole);
    assert.is(Buffer.compare(whole, this.#model), 0, 'what is there in the end');
  }

  async settle(): Promise<void> {
    await Promise.all(this.#checks.splice(0));
  }

  #send(step: MemoryStep): bigint | undefined | void | Promise<bigint | void> {
    const session = this.#session;
    switch (step.op) {
      case 'load':
        return session.load(step.offset);
      case 'fetchAdd':
        return session.fetchAdd(step.offset, step.desired);
      case 'compareExchange':
        return session.compareExchange(step.offset, step.expected, step.desired);
      case 'read':
        return session.read(step.offset, step.bytes);
      case 'write':
        return session.write(step.offset, step.bytes);
    }
  }

  /** A step, applied to the model, and how its answer is judged. */
  #step(act: Act): { step: MemoryStep; check: (answer: bigint | undefined | void) => void } {
    if (act.kind === 'write') {
      const bytes = new Uint8Array(act.length);
      for (let at = 0; at < bytes.length; at += 1) bytes[at] = this.#next();
      this.#model.set(bytes, act.offset);
      return { step: write(this.#base + act.offset, bytes), check: () => undefined };
    }
    if (act.kind === 'read') {
      const expected = this.#model.slice(act.offset, act.offset + act.length);
      const target = new Uint8Array(act.length);
      return {
        step: read(this.#base + act.offset, target),
        check: () => assert.is(Buffer.compare(target, expected), 0, `${act.length} bytes at ${act.offset}`),
      };
    }
    if (act.kind !== 'word') throw new Error(act.kind);
    const at = act.word * 8;
    const there = this.#view.getBigUint64(at, true);
    const check = (answer: bigint | undefined | void): void => assert.is(answer, there, `the word at ${at}`);
    const put = (value: bigint): void => this.#view.setBigUint64(at, value, true);
    if (act.how === 'load') return { step: load(this.#base + at), check };
    if (act.how === 'add') {
      put(there + 0x8000_0000_0000_0001n);
      return { step: fetchAdd(this.#base + at, 0x8000_0000_0000_0001n), check };
    }
    if (act.how === 'fail') return { step: compareExchange(this.#base + at, there ^ 1n, 7n), check };
    put(~there & 0xffff_ffff_ffff_ffffn);
    return { step: compareExchange(this.#base + at, there, ~there & 0xffff_ffff_ffff_ffffn), check };
  }

  #next(): number {
    this.#seed = (Math.imul(this.#seed, 1_664_525) + 1_013_904_223) >>> 0;
    return this.#seed >>> 24;
  }
}

const settings: [name: string, limits: Partial<ApplianceLimits>][] = [
  ['with the limits that are usual', {}],
  ['with little room for answers', { queued: 70_000, queuedTotal: 300_000, frugal: 20_000, turn: 7 }],
  ['with no room for large answers at all', { queued: 20_000, queuedTotal: 1, frugal: 17_000 }],
];
for (const [name, limits] of settings) {
  test(`three sessions see what one memory would show, ${name}`, async () => {
    const scripts = fc.array(fc.array(act, { minLength: 300, maxLength: 600, size: 'max' }), {
      minLength: 3,
      maxLength: 3,
    });
    await fc.assert(
      fc.asyncProperty(scripts, async (acts) => {
        await using served = await Served.start(3 * area, '127.0.0.1:0', limits);
        const actors: Actor[] = [];
        for (let index = 0; index < 3; index += 1) actors.push(new Actor(await served.connect(), index * area));
        await Promise.all(actors.map((actor, index) => actor.run(acts[index]!)));
      }),
      { numRuns: 6, interruptAfterTimeLimit: 60_000, markInterruptAsFailure: true, endOnFailure: true },
    );
  });
}

test('no word is torn where long transfers are cut, however they lie', async () => {
  const limits = { queued: 40_000, queuedTotal: 100_000, frugal: 20_000 };
  await using served = await Served.start(2 * area, '127.0.0.1:0', limits);
  const writer = await served.connect();
  const readers = [await served.connect(), await served.connect()];
  const length = area - 5;
  const offset = 3;
  let writing = true;
  const writes = (async () => {
    const sources = [0x11, 0xee].map((byte) => new Uint8Array(length).fill(byte));
    for (let turn = 0; writing; turn += 1) await writer.write(offset, sources[turn % 2]!);
  })();
  const reads = readers.map(async (reader, index) => {
    const target = new Uint8Array(length + 8).subarray(index, index + length);
    for (let turn = 0; turn < 60; turn += 1) {
      await reader.read(offset, target);
      const view = new DataView(target.buffer, target.byteOffset + 5);
      for (let at = 0; at + 8 <= length - 5; at += 8) {
        const low = view.getUint32(at, true);
        assert.is(view.getUint32(at + 4, true), low, `the word at ${at + 8}`);
        assert.is(low & 0xffff, low >>> 16, `the word at ${at + 8}`);
      }
    }
  });
  try {
    await Promise.all(reads);
  } finally {
    writing = false;
    await writes;
  }
});

test.run();
