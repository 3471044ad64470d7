import { inspect } from 'node:util';
import { isMainThread } from 'node:worker_threads';
import { enter } from './ledger.js';
import { settlement } from './settlement.js';
import { queued, uvuSuite } from './uvu.js';

/** A test or a hook; a promise that it returns is awaited. */
export type Body = () => unknown;

export interface Hook {
  /** Once for the suite. */
  (body: Body): void;
  /** Around every test. */
  each(body: Body): void;
}

export interface Suite {
  /** Declares a test. */
  (name: string, body: Body): void;
  /**
   * Declares that a test is not run here, and why. Under `CI=true` that is a failure unless `allowedInCI` is set: a
   * machine that was prepared for tests has what they need.
   */
  skip(name: string, reason: string, options?: { readonly allowedInCI?: boolean }): void;
  before: Hook;
  after: Hook;
  /** Ends the declarations. Suites of a file run one after the other, tests in the order they were declared. */
  run(): void;
}

interface Declared {
  readonly name: string;
  readonly body: Body;
  readonly skip?: string;
}

const inCI = !['', '0', 'false', undefined].includes(process.env.CI);
let suites = 0;
let queue = Promise.resolve();

/**
 * A suite of tests, on uvu's. A hook that throws, a thrown value that is no Error, a suite without tests, one that is
 * never run and one that does not come to its end all fail, which uvu alone lets pass.
 *
 * ```ts
 * const test = suite('checksum');
 * test('of nothing', () => assert.is(crc32c(new Uint8Array()), 0));
 * test.run();
 * ```
 */
export function suite(name: string): Suite {
  if (!isMainThread) throw new Error(`suite "${name}" is declared in a worker: nobody would count it`);
  const id = suites++;
  const tests: Declared[] = [];
  const before: Body[] = [];
  const after: Body[] = [];
  const beforeEach: Body[] = [];
  const afterEach: Body[] = [];
  let running = false;
  settlement.opened(id, name);
  enter({ event: 'suite', suite: id, name });

  const open = () => {
    if (running) throw new Error(`suite "${name}" is changed after run()`);
  };
  const hook = (once: Body[], each: Body[]): Hook =>
    Object.assign(
      (body: Body) => {
        open();
        once.push(body);
      },
      {
        each(body: Body) {
          open();
          each.push(body);
        },
      },
    );

  const run = () => {
    open();
    running = true;
    enter({ event: 'declared', suite: id, tests: tests.length });
    // uvu sees one handler a test and two hooks that do not throw: its own way with hooks that do loses the error.
    const inner = uvuSuite(name);
    let setup: Error | undefined;
    inner.before(async () => {
      setup = await first(before);
    });
    for (const declared of tests) {
      if (declared.skip !== undefined) inner.skip(declared.name);
      else inner(declared.name, () => attempt(id, declared, setup, beforeEach, afterEach));
    }
    inner.after(async () => {
      for (const error of await all(after.slice().reverse())) complain(id, 'after', error);
    });
    inner.run();
    const task = queued();
    queue = queue.then(async () => {
      if (tests.length === 0) complain(id, 'run', new Error('the suite declares no test'));
      for (const declared of tests) if (declared.skip !== undefined) passOver(id, declared.name, declared.skip);
      const [errors] = await task();
      if (errors !== true) process.stdout.write(`\n${errors}\n`);
      enter({ event: 'ended', suite: id });
      settlement.ended(id);
    });
  };

  return Object.assign(
    (test: string, body: Body) => {
      open();
      tests.push({ name: test, body });
    },
    {
      skip(test: string, reason: string, { allowedInCI = false } = {}) {
        open();
        const refuse = () => {
          throw new Error(`skipped, but CI is to run everything: ${reason}`);
        };
        if (inCI && !allowedInCI) tests.push({ name: test, body: refuse });
        else tests.push({ name: test, body: refuse, skip: reason });
      },
      before: hook(before, beforeEach),
      after: hook(after, afterEach),
      run,
    },
  );
}

async function attempt(suite: number, test: Declared, setup: Error | undefined, before: Body[], after: Body[]) {
  const { name } = test;
  enter({ event: 'begin', suite, name });
  const failures: Error[] = [];
  if (setup !== undefined) failures.push(new Error(`before: ${setup.message}`, { cause: setup }));
  else {
    const failure = await first([...before, test.body]);
    if (failure !== undefined) failures.push(failure);
    failures.push(...(await all(after.slice().reverse())));
  }
  const [failure, ...more] = failures;
  if (failure === undefined) {
    settlement.count('passed');
    enter({ event: 'passed', suite, name });
    return;
  }
  settlement.count('failed');
  enter({ event: 'failed', suite, name, reason: failure.message });
  for (const error of more) console.error(`\nand then, in "${name}": ${error.stack}`);
  if (failure.cause !== undefined) console.error(`\nin "${name}", caused by: ${inspect(failure.cause)}`);
  throw failure;
}

/** Runs one body after the other up to the first that throws. */
async function first(bodies: readonly Body[]): Promise<Error | undefined> {
  try {
    for (const body of bodies) await body();
    return undefined;
  } catch (thrown) {
    return errorOf(thrown);
  }
}

/** Runs every body, whatever others throw. */
async function all(bodies: readonly Body[]): Promise<Error[]> {
  const errors: Error[] = [];
  for (const body of bodies) {
    const error = await first([body]);
    if (error !== undefined) errors.push(error);
  }
  return errors;
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`threw something that is no Error: ${inspect(thrown)}`);
}

function complain(suite: number, name: string, error: Error): void {
  settlement.count('failed');
  enter({ event: 'hook', suite, name, reason: error.message });
  console.error(`\n${name}: ${error.stack}`);
}

function passOver(suite: number, name: string, reason: string): void {
  settlement.count('skipped');
  enter({ event: 'skipped', suite, name, reason });
  console.log(`skipped: ${name}: ${reason}`);
}
