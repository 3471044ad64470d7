import {
  conform,
  type LawBroken,
  policyLaws,
  reportJUnit,
  reportText,
  SubjectUnfit,
  subjectOf,
  type TransportModule,
  transportLaws,
  transportSubject,
  unfitReport,
} from '@exomem/conformance';
import { type AllocationPolicy, type Allocator, atomic, bestFit, type Session } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { capabilities } from './fixtures/sab-capabilities.js';
import { sabSubject } from './fixtures/sab-subject.js';
import { spoilers } from './fixtures/spoilers.js';

const test = suite('conform');

const plain: TransportModule = {
  setup: ({ bytes }) => ({ transport: sharedArrayBuffer({ region: createRegion(bytes) }), url: 'sab:region' }),
};

/** The same with something done to each session. */
const altered = (alter: (session: Session) => unknown): TransportModule => ({
  setup: ({ bytes }) => {
    const transport = sharedArrayBuffer({ region: createRegion(bytes) });
    const connect: typeof transport.connect = async (url, options) => {
      const session = await transport.connect(url, options);
      return (alter(session) ?? session) as Session;
    };
    return { transport: { ...transport, connect }, url: 'sab:region' };
  },
});

async function unfit(make: () => Promise<unknown>): Promise<string> {
  try {
    await make();
  } catch (error) {
    assert.instance(error, SubjectUnfit, String(error));
    return (error as Error).message;
  }
  return 'fit';
}

test('a few lines make a subject; what they leave out is found out', async () => {
  const subject = await transportSubject(plain, 'mine.js');
  assert.is(subject.name, 'mine.js');
  assert.equal({ ...subject.capabilities }, capabilities);
  assert.equal(subject.faults, []);
  const report = await conform(await subjectOf(plain, 'mine.js'), { budget: 1, seed: 3 });
  assert.is(report.failed, 0);
  assert.is(report.passed + report.skipped, report.laws.length);
  assert.is(report.laws.length, transportLaws(subject).length);
  assert.is(report.rounds, 1);
  assert.is(report.seed, 3);
  assert.match(reportText(report), /mine\.js: \d+ laws kept, 0 broken, \d+ skipped; seed 3/);
});

test('a broken law is reported with the simplest case and the line that shows it again', async () => {
  const subject = { kind: 'transport', transport: sabSubject(1, 'reversesBatches') } as const;
  const options = { laws: ['batch-like-one-by-one'], seed: 11 };
  const report = await conform(subject, options);
  assert.is(report.failed, 1);
  const { failure } = report.laws[0]!;
  assert.match(failure!.message, /^call \d+/);
  assert.not.match(failure!.message, /again:|corpus:|the law:/);
  assert.match(failure!.counterexample!, /^call 0: batch of .+; .+/);
  assert.is(failure!.again, `--law batch-like-one-by-one --seed ${failure!.seed} --path ${failure!.path}`);
  const again = await conform(subject, { ...options, seed: failure!.seed!, path: failure!.path! });
  assert.equal(again.laws[0]!.failure!.counterexample, failure!.counterexample);
});

test('the same seed finds the same', async () => {
  const subject = await subjectOf(
    altered((session) => spoilers.reversesBatches(session)),
    'x',
  );
  const find = async (seed: number) => (await conform(subject, { laws: ['session-order'], seed })).laws[0]!.failure;
  assert.equal(await find(5), await find(5));
});

test('a budget goes on with other chances, and holds what was broken no second time', async () => {
  const laws = ['declarations', 'batch-like-one-by-one'];
  const subject = { kind: 'transport', transport: sabSubject(1, 'reversesBatches') } as const;
  // So long that one round does not use it up, however busy the machine is.
  const { milliseconds } = await conform(subject, { laws });
  const verdicts: string[] = [];
  const report = await conform(subject, {
    laws,
    budget: 300 + 4 * milliseconds,
    onVerdict: ({ id, status }) => verdicts.push(`${id} ${status}`),
  });
  assert.ok(report.rounds > 1);
  assert.equal(verdicts, ['declarations passed', 'batch-like-one-by-one failed']);
});

test('JUnit and text have the same sums, and the text of others harms no XML', async () => {
  const subject = { kind: 'transport', transport: { ...sabSubject(1, 'hasSignedWords'), name: 'a<b>&"\x01' } } as const;
  const report = await conform(subject, { laws: ['word-values', 'revoke', 'edges'], seed: 1 });
  const xml = reportJUnit(report);
  assert.match(xml, /<testsuites tests="3" failures="1" errors="0" skipped="1"/);
  assert.match(xml, 'laws of transports: a&lt;b&gt;&amp;&quot;?');
  assert.is(xml.match(/<testcase /g)!.length, 3);
  assert.is(xml.match(/<failure /g)!.length, 1);
  assert.match(reportText(report), /1 laws kept, 1 broken, 1 skipped/);
  assert.match(
    reportJUnit(unfitReport('./a<b>.js', 'it "hangs"', 'exomem conform ./a<b>.js')),
    /tests="1" failures="1".*\n.*classname=".\/a&lt;b&gt;.js".*<failure message="it &quot;hangs&quot;"/s,
  );
});

test('a policy is held to the laws of policies', async () => {
  for (const exported of [atomic, { policy: atomic, name: 'atomic' }]) {
    const report = await conform(await subjectOf(exported, 'x'), { laws: ['exclusive', 'alone'], budget: 1 });
    assert.is(report.subject, 'atomic');
    assert.is(report.kind, 'policy');
    assert.is(report.passed, 2);
  }
  // A placement is tried with the policy `atomic`.
  const placed = await conform(await subjectOf({ placement: bestFit }, 'x'), { laws: ['placed', 'alone'], budget: 1 });
  assert.equal([placed.subject, placed.kind, placed.passed], ['best-fit', 'policy', 2]);
});

test('what a subject throws into the void breaks the law under way, and nothing else', async () => {
  const subject = await subjectOf(
    altered((session) => {
      const { fetchAdd } = session;
      session.fetchAdd = function (...all) {
        void Promise.reject(new Error('nobody waits for this'));
        return fetchAdd.apply(this, all);
      };
    }),
    'x',
  );
  const report = await conform(subject, { laws: ['declarations', 'word-values'] });
  assert.equal(
    report.laws.map(({ status }) => status),
    ['passed', 'failed'],
  );
  assert.match(report.laws[1]!.failure!.message, 'nobody waits for this');
});

test('what is given to the kit in a wrong way is told in a sentence', async () => {
  const region = createRegion(4096);
  const cases: [unknown, RegExp][] = [
    [undefined, /exports no default: write export default \{ setup/],
    [() => 1, /a default that is a function/],
    [{}, /has nothing, and neither setup nor policy/],
    [{ connect() {} }, /a transport alone, and the kit has to know how to make a region/],
    [{ policy: {} }, /has no create\(context\)/],
    [{ policy: { create() {} } }, /has no name/],
    [{ placement: { explain() {} } }, /has no place\(space, need\)/],
    [{ placement: { place() {} } }, /has no explain\(place\)/],
    [{ placement: { place() {}, explain() {} } }, /has no name/],
    [{ setup: 1 }, /neither setup nor policy/],
    [{ setup: () => undefined }, /gives undefined; it has to give \{ connect\(options\), teardown\(\) \}/],
    [
      {
        setup: () => {
          throw new TypeError('no such port');
        },
      },
      /setup\(\{ bytes: 4096 \}\) of "x" fails: TypeError: no such port/,
    ],
    [{ setup: () => Promise.reject(new Error('later')) }, /fails: Error: later/],
    [
      { setup: () => new Promise(() => undefined) },
      /setup\(\{ bytes: 4096 \}\) of "x" fails: it hangs: nothing for 300 ms/,
    ],
    [{ setup: () => ({ connect: () => new Promise(() => undefined) }) }, /connect\(\) of "x" fails: it hangs/],
    [{ setup() {}, policy: atomic }, /has setup and policy: write a module for each/],
    [{ setup: () => ({}) }, /neither \{ transport, url \} nor \{ connect/],
    [{ setup: () => ({ transport: {} }) }, /a transport without connect/],
    [{ setup: () => ({ transport: { connect() {} } }) }, /no url/],
    [{ setup: () => ({ transport: { connect() {} }, url: 'x', listens: { port: 1 } }) }, /a url that is no function/],
    [
      { setup: () => ({ connect: () => Promise.reject(new Error('refused')) }) },
      /connect\(\) of "x" fails: Error: refused/,
    ],
    [{ setup: () => ({ connect: () => undefined }) }, /gives undefined instead of a session/],
    [
      { setup: () => ({ connect: () => ({ load() {}, read() {} }) }) },
      /has no write\(\), no compareExchange\(\).* SessionBase/,
    ],
    [altered((session) => Object.assign(session, { fetchAdd: undefined })), /has no fetchAdd\(\): a class/],
    [
      altered((session) => Object.defineProperty(session, 'size', { value: '8' })),
      /size of a session of "x" is 8, and no number/,
    ],
    [
      altered((session) => Object.assign(session, { capabilities: { ...session.capabilities, atomics: true } })),
      /atomics is true; "none", "host" or "device"/,
    ],
    [{ setup: () => ({ transport: sharedArrayBuffer({ region }), url: 'sab:region' }) }, /gives the same region twice/],
    [
      {
        setup: () => ({
          connect: () =>
            sharedArrayBuffer({ region: createRegion(4096) }).connect('sab:region', {
              clientId: new Uint8Array(16),
              lane: 0,
            }),
          teardown: () => Promise.reject(new Error('still open')),
        }),
      },
      /teardown\(\) of "x" fails: Error: still open/,
    ],
  ];
  for (const [exported, says] of cases) {
    const message = await unfit(async () => {
      const report = await conform(await subjectOf(exported, 'x', 300), { laws: ['declarations'] });
      throw new Error(`it is held to laws: ${reportText(report)}`);
    });
    assert.match(message, says);
    assert.not.match(message, '    at ');
  }
  let one: Allocator | undefined;
  const same: AllocationPolicy['create'] = (given) => (one ??= atomic.create(given));
  const promising: AllocationPolicy['create'] = (given) =>
    Object.assign(atomic.create(given), { allocate: async () => ({ page: 0, pages: 1, live: true }) });
  const policies: [exported: unknown, says: RegExp][] = [
    [{ policy: { ...atomic, create: () => undefined } }, /create\(\) of the policy "atomic" gives undefined/],
    [{ policy: { ...atomic, create: () => ({ allocate() {} }) } }, /has no free\(\), no release\(\), .*no explain\(\)/],
    [
      {
        policy: {
          ...atomic,
          create() {
            throw new Error('not yet');
          },
        },
      },
      /create\(\) of the policy "atomic" fails: Error: not yet/,
    ],
    [{ policy: { ...atomic, create: same } }, /gives the same allocator twice: each client has its own/],
    [
      { policy: { ...atomic, create: promising } },
      /allocate\(\) of the policy "atomic" gives a promise and no protocol/,
    ],
    [{ policy: atomic, progress: 'some' }, /the progress that x declares is a string: write true or false/],
  ];
  for (const [exported, says] of policies) {
    for (const laws of [['exclusive'], ['alone'], ['exhaustive']]) {
      const message = await unfit(async () => conform(await subjectOf(exported, 'x'), { laws }));
      assert.match(message, says);
      assert.not.match(message, '    at ');
    }
  }
  const fine = await subjectOf(plain, 'x');
  assert.match(await unfit(() => conform(fine, { laws: ['no-such-law'] })), 'there is no law no-such-law');
});

test('each law says what it is good for', async () => {
  const transport = await transportSubject(plain, 'x');
  const laws = [...transportLaws(transport), ...policyLaws({ name: 'x', policy: atomic })];
  assert.equal(
    laws.filter(({ purpose }) => !purpose).map(({ id }) => id),
    [],
  );
  const report = await conform(
    { kind: 'transport', transport: sabSubject(1, 'hasSignedWords') },
    { laws: ['word-values'] },
  );
  assert.match(reportText(report), 'what the law is for: tags and owners use all 64 bits of a word');
});

test('a declaration that is not true is a broken law, whichever it is', async () => {
  const transport = await transportSubject(plain, 'x');
  const lies = {
    synchronous: false,
    mapped: false,
    atomics: 'none',
    maxTransfer: 8,
    maxBatch: 1,
    stopOnFail: false,
    sessionFence: false,
    watch: true,
  } as const;
  for (const [key, value] of Object.entries(lies)) {
    const lying = { ...transport, capabilities: { ...transport.capabilities, [key]: value } };
    const law = transportLaws(lying).find(({ id }) => id === 'declarations')!;
    const broken = await law.run().then(
      () => undefined,
      (error: LawBroken) => error,
    );
    assert.match(broken?.message ?? 'it is kept', `the capability ${key} of the session`);
  }
});

test.run();
