import {
  type BatchAnswer,
  type Capabilities,
  compareExchange,
  ExomemError,
  isExomemError,
  load,
  type MemoryStep,
  SessionBase,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';

// What the laws of transports do not reach: what a session makes of a driver that fails in the middle.

const test = suite('session base');

interface Call {
  readonly what: string;
  resolve(value?: unknown): void;
  reject(error: unknown): void;
}

/** A driver that answers when the test says so. */
class ScriptedSession extends SessionBase {
  readonly capabilities: Capabilities = {
    synchronous: false,
    mapped: false,
    atomics: 'host',
    maxTransfer: 16,
    maxBatch: 2,
    stopOnFail: true,
    sessionFence: true,
    revoke: 'immediate',
    watch: false,
  };
  readonly size = 4_096;
  readonly epoch = 1;
  readonly where = 'here';
  readonly calls: Call[] = [];

  #ask(what: string): Promise<never> {
    return new Promise((resolve, reject) => this.calls.push({ what, resolve: resolve as Call['resolve'], reject }));
  }

  protected doLoad = (offset: number): Promise<bigint> => this.#ask(`load ${offset}`);
  protected doRead = (offset: number, target: Uint8Array): Promise<void> =>
    this.#ask(`read ${target.length} at ${offset}`);
  protected doWrite = (offset: number, source: Uint8Array): Promise<void> =>
    this.#ask(`write ${source.length} at ${offset}`);
  protected doCompareExchange = (offset: number): Promise<bigint> => this.#ask(`compareExchange ${offset}`);
  protected doFetchAdd = (offset: number): Promise<bigint> => this.#ask(`fetchAdd ${offset}`);
  protected doBatch = (steps: readonly MemoryStep[], stop: boolean): Promise<BatchAnswer> =>
    this.#ask(`batch of ${steps.length}${stop ? ', stopping' : ''}`);
  protected doBind = (): Promise<void> => this.#ask('bind');
  protected doRenew = (force: boolean): Promise<void> => this.#ask(force ? 'renew by force' : 'renew');
  protected doRevoke = (): Promise<void> => this.#ask('revoke');
  protected doClose = (): void => undefined;

  get asked(): string[] {
    return this.calls.map(({ what }) => what);
  }
}

const disconnected = () => new ExomemError('Disconnected', 'gone');
const turn = () => new Promise((resolve) => setImmediate(resolve));

async function codeOf(answer: unknown): Promise<string> {
  try {
    await answer;
    return 'none';
  } catch (error) {
    return isExomemError(error) ? error.code : String(error);
  }
}

test('a long transfer is cut at the edges of words', async () => {
  const session = new ScriptedSession();
  const read = session.read(5, new Uint8Array(40));
  assert.equal(session.asked, ['read 11 at 5', 'read 16 at 16', 'read 13 at 32']);
  for (const call of session.calls) call.resolve();
  await read;
});

test('a write of which a part has happened does not say that nothing has', async () => {
  const session = new ScriptedSession();
  const write = codeOf(session.write(0, new Uint8Array(32)));
  session.calls[0]!.resolve();
  session.calls[1]!.reject(disconnected());
  assert.is(await write, 'OutcomeUnknown');
  const nothing = codeOf(session.write(0, new Uint8Array(32)));
  for (const call of session.calls.slice(2)) call.reject(disconnected());
  assert.is(await nothing, 'Disconnected');
  const read = codeOf(session.read(0, new Uint8Array(32)));
  session.calls[4]!.resolve();
  session.calls[5]!.reject(disconnected());
  assert.is(await read, 'Disconnected');
});

test('of several failures the one that leaves most open is told, once nothing is in flight any more', async () => {
  const session = new ScriptedSession();
  let over = false;
  const write = codeOf(session.write(0, new Uint8Array(48))).finally(() => {
    over = true;
  });
  session.calls[0]!.reject(disconnected());
  session.calls[1]!.reject(new ExomemError('OutcomeUnknown', 'who knows'));
  await turn();
  assert.is(over, false);
  session.calls[2]!.reject(disconnected());
  assert.is(await write, 'OutcomeUnknown');
});

test('a stopping batch that is too long goes part by part, and what is called behind it waits', async () => {
  const session = new ScriptedSession();
  const steps = [0n, 1n, 2n, 3n, 4n].map((value) => compareExchange(0, value, value + 1n));
  const batch = session.batch(steps, { stopOnFail: true });
  const behind = session.load(8);
  assert.equal(session.asked, ['batch of 2, stopping']);
  session.calls[0]!.resolve([0n, 1n]);
  await turn();
  assert.equal(session.asked.slice(1), ['batch of 2, stopping']);
  session.calls[1]!.resolve([2n, 99n]);
  assert.equal((await batch).slice(0, 4), [0n, 1n, 2n, 99n]);
  assert.is((await batch).length, 5);
  await turn();
  assert.equal(session.asked.slice(2), ['load 8']);
  session.calls[2]!.resolve(7n);
  assert.is(await behind, 7n);
  session.load(16);
  assert.equal(session.asked.slice(3), ['load 16'], 'nothing waits any more');
});

test('a stopping batch whose second part is not sent has an unknown outcome', async () => {
  const session = new ScriptedSession();
  const steps = [0n, 1n, 2n].map((value) => compareExchange(0, value, value + 1n));
  const batch = codeOf(session.batch(steps, { stopOnFail: true }));
  session.calls[0]!.resolve([0n, 1n]);
  await turn();
  session.calls[1]!.reject(disconnected());
  assert.is(await batch, 'OutcomeUnknown');
});

test('what was given up before it was sent is not sent', async () => {
  const session = new ScriptedSession();
  const abort = new AbortController();
  const steps = [0n, 1n, 2n].map((value) => compareExchange(0, value, value + 1n));
  const batch = codeOf(session.batch(steps, { stopOnFail: true, signal: abort.signal }));
  const behind = codeOf(session.load(8, { signal: abort.signal }));
  abort.abort();
  assert.is(await batch, 'OutcomeUnknown');
  assert.is(await behind, 'Aborted');
  session.calls[0]!.resolve([0n, 1n]);
  await turn();
  assert.equal(session.asked, ['batch of 2, stopping']);
});

test('what waits behind a batch is refused when the session is closed meanwhile', async () => {
  const session = new ScriptedSession();
  const steps = [0n, 1n, 2n].map((value) => compareExchange(0, value, value + 1n));
  const batch = codeOf(session.batch(steps, { stopOnFail: true }));
  const behind = codeOf(session.load(8));
  await session.close();
  session.calls[0]!.reject(new ExomemError('OutcomeUnknown', 'closed'));
  assert.is(await batch, 'OutcomeUnknown');
  assert.is(await behind, 'Closed');
  assert.is(session.calls.length, 1);
});

test('a long batch that need not stop is sent at once', async () => {
  const session = new ScriptedSession();
  const batch = session.batch([load(0), load(8), load(16), load(24), load(32)]);
  session.load(40);
  assert.equal(session.asked, ['batch of 2', 'batch of 2', 'batch of 1', 'load 40']);
  session.calls[1]!.resolve([2n, 3n]);
  session.calls[0]!.resolve([0n, 1n]);
  session.calls[2]!.resolve([4n]);
  assert.equal(await batch, [0n, 1n, 2n, 3n, 4n]);
});

test('a new epoch is forced for as long as something is unsettled', async () => {
  const session = new ScriptedSession();
  const abort = new AbortController();
  const write = codeOf(session.write(0, new Uint8Array(8), { signal: abort.signal }));
  abort.abort();
  assert.is(await write, 'OutcomeUnknown');
  const failed = codeOf(session.renew());
  session.calls[1]!.reject(disconnected());
  assert.is(await failed, 'Disconnected');
  const renewed = session.renew();
  session.calls[2]!.resolve();
  await renewed;
  session.renew();
  assert.equal(session.asked.slice(1), ['renew by force', 'renew by force', 'renew']);
});

test('a deadline beyond what a timer holds does not end at once', async () => {
  const session = new ScriptedSession();
  const answer = codeOf(session.load(0, { timeout: 2 ** 40 }));
  await new Promise((resolve) => setTimeout(resolve, 20));
  session.calls[0]!.resolve(1n);
  assert.is(await answer, 'none');
});

test('an unknown step in a batch is refused', async () => {
  const session = new ScriptedSession();
  const step = { ...load(0), op: 'erase' } as unknown as MemoryStep;
  assert.is(await codeOf((async () => session.batch([load(0), step]))()), 'InvalidArgument');
  assert.is(session.calls.length, 0);
});

test.run();
