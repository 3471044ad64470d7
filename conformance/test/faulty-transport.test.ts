import {
  checkFaultPlan,
  FailedUnderFaults,
  type FaultKind,
  type FaultPlan,
  FaultyLink,
  type FaultyOptions,
  type FaultySession,
  faultKinds,
  faulty,
  type LinkedRegion,
  underFaults,
} from '@exomem/conformance';
import { compareExchange, isExomemError, load, write } from '@exomem/core';
import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { shippedTransports } from '../hunt/sound-subjects.js';

const test = suite('faulty transport');

/** A faulty transport to fresh shared memory, and a session beside it that meets no fault and waits for nothing. */
function setup(plan: FaultPlan, options?: FaultyOptions) {
  const inner = sharedArrayBuffer({ r: createRegion(65_536) });
  const transport = faulty(inner, plan, options);
  const truth = inner.open('sab:r', { clientId: new Uint8Array(16).fill(255), lane: 0 });
  let clients = 0;
  const open = (): Promise<FaultySession> => {
    clients += 1;
    return transport.connect('sab:r', { clientId: new Uint8Array(16).fill(clients), lane: 0, silence: 200 });
  };
  const word = (offset: number): number => Number(truth.load(offset));
  return { transport, truth, open, word };
}

const one = (kind: FaultKind, amount = 1, call = 0): FaultPlan => ({ faults: [{ session: 0, call, kind, amount }] });

/** Lets so many turns of the event loop pass. */
async function turns(count: number): Promise<void> {
  for (let left = count; left > 0; left -= 1) await new Promise(setImmediate);
}

const eight = (value: number): Uint8Array => Uint8Array.of(value, 0, 0, 0, 0, 0, 0, 0);

test('without a fault it does what the transport does', async () => {
  const { open, word, transport } = setup({});
  const session = await open();
  await session.write(8, eight(7));
  assert.is(word(8), 7);
  assert.is(await session.fetchAdd(8, 3n), 7n);
  assert.equal(await session.batch([load(8), compareExchange(8, 10n, 1n)]), [10n, 10n]);
  assert.equal(transport.happened, []);
});

test('loseReply: it has happened, nobody says so, and the lane goes on in a new epoch', async () => {
  const { open, word, transport } = setup(one('loseReply'));
  const session = await open();
  const { epoch } = session;
  assert.is(await code(session.fetchAdd(8, 1n)), 'OutcomeUnknown');
  assert.is(word(8), 1);
  assert.is(await code(session.load(8)), 'Disconnected');
  await session.renew();
  assert.ok(session.epoch > epoch);
  assert.is(await session.load(8), 1n);
  assert.equal(transport.happened, one('loseReply').faults);
});

test('cut: it has not happened, and nobody says so', async () => {
  const { open, word } = setup(one('cut'));
  const session = await open();
  const calls = [session.write(8, eight(1)), session.write(16, eight(1))];
  assert.equal(await Promise.all(calls.map((call) => code(call))), ['OutcomeUnknown', 'OutcomeUnknown']);
  await turns(5);
  assert.equal([word(8), word(16)], [0, 0]);
});

test('part: so many words of a write and steps of a batch happen', async () => {
  for (const amount of [1, 2, 3, 9]) {
    const { open, word } = setup({ faults: [...one('part', amount).faults!, ...one('part', amount, 1).faults!] });
    const session = await open();
    assert.is(await code(session.write(4, new Uint8Array(28).fill(1))), 'OutcomeUnknown');
    const words = [0, 8, 16, 24].map((offset) => (word(offset) === 0 ? 0 : 1));
    assert.equal(
      words,
      [0, 1, 2, 3].map((at) => (at < amount ? 1 : 0)),
    );
    await session.renew();
    const steps = [64, 72, 80].map((offset) => write(offset, eight(1)));
    assert.is(await code(session.batch(steps)), 'OutcomeUnknown');
    assert.equal(
      [64, 72, 80].map(word),
      [0, 1, 2].map((at) => (at < amount ? 1 : 0)),
    );
  }
});

test('late: it happens after its caller was told that nobody knows, but in no later epoch', async () => {
  const { open, word } = setup(one('late', 4));
  const session = await open();
  assert.is(await code(session.fetchAdd(8, 1n)), 'OutcomeUnknown');
  assert.is(word(8), 0);
  await turns(20);
  assert.is(word(8), 1);
  const other = setup(one('late', 40));
  const hasty = await other.open();
  assert.is(await code(hasty.fetchAdd(8, 1n)), 'OutcomeUnknown');
  await hasty.renew();
  await turns(80);
  assert.is(other.word(8), 0);
});

test('delay and slow: those behind it wait, too', async () => {
  for (const kind of ['delay', 'slow'] as const) {
    const { open, word } = setup(one(kind, kind === 'delay' ? 50 : 2));
    const session = await open();
    const first = session.write(0, new Uint8Array(100).fill(1));
    const second = session.write(800, eight(1));
    await turns(20);
    assert.equal([word(0), word(800)], [0, 0]);
    await Promise.all([first, second]);
    assert.is(word(800), 1);
  }
});

test('tear: others come in between, whole words stay whole', async () => {
  const { open, truth } = setup(one('tear', 3));
  const session = await open();
  const done = session.write(4, new Uint8Array(40).fill(0xff));
  const seen = new Set<string>();
  let over = false;
  void Promise.resolve(done).then(() => {
    over = true;
  });
  while (!over) {
    seen.add([8, 16, 24, 32].map((offset) => truth.load(offset).toString(16)).join());
    await turns(1);
  }
  assert.ok(seen.size > 2, [...seen].join(' | '));
  for (const words of seen) for (const word of words.split(',')) assert.match(word, /^(0|ffffffffffffffff)$/);
});

test('tear: a batch that stops on fail stops in whichever piece', async () => {
  const { open, word } = setup(one('tear', 5));
  const session = await open();
  const steps = [write(8, eight(1)), compareExchange(16, 5n, 6n), write(24, eight(1)), write(32, eight(1))];
  const answers = await session.batch(steps, { stopOnFail: true });
  assert.equal(answers.map(String), ['undefined', '0', 'Symbol(exomem.notRun)', 'Symbol(exomem.notRun)']);
  assert.equal([8, 24, 32].map(word), [1, 0, 0]);
});

test('silence: the connection counts as lost after the silence agreed on, however much is sent', async () => {
  const { open } = setup(one('silence'));
  const session = await open();
  const first = code(session.fetchAdd(8, 1n));
  const more = setInterval(() => void code(session.fetchAdd(8, 1n)), 20);
  assert.is(await first, 'OutcomeUnknown');
  clearInterval(more);
  await session.renew();
  assert.is(await session.load(8), 0n);
});

test('duplicate and fence: the session is shut out', async () => {
  for (const kind of ['duplicate', 'fence'] as const) {
    const { open, word } = setup(one(kind));
    const session = await open();
    assert.is(await code(session.fetchAdd(8, 1n)), 'Fenced');
    assert.is(await code(session.load(8)), 'Fenced');
    assert.is(word(8), 0);
    const other = await open();
    assert.is(await other.load(8), 0n);
  }
});

test('fence: a member that is revoked is shut out on all its lanes', async () => {
  const { transport, truth } = setup({ faults: [{ session: 1, call: 1, kind: 'fence' }] }, { revoke: true });
  truth.write(1024, Uint8Array.of(0, 0, 0, 0, 0, 3, 0, 0x20));
  const member = { slot: 0, incarnation: 3, offset: 1024 };
  const clientId = new Uint8Array(16);
  const lanes = [0, 1].map((lane) => transport.connect('sab:r', { clientId, lane }));
  const [one, two] = await Promise.all(lanes);
  await one!.bind(member);
  await two!.bind(member);
  assert.is(await code(two!.load(8)), 'Fenced');
  assert.is(await code(one!.load(8)), 'Fenced');
  assert.is(await code(one!.bind(member)), 'Fenced');
});

test('kill: nothing comes of whatever the client does, on all its lanes; others go on', async () => {
  const { transport, open } = setup({});
  const clientId = new Uint8Array(16).fill(77);
  const [one, two] = await Promise.all([0, 1].map((lane) => transport.connect('sab:r', { clientId, lane })));
  const other = await open();
  const pending = code(two!.fetchAdd(8, 1n));
  transport.kill(one!);
  assert.is(await pending, 'OutcomeUnknown');
  assert.is(await code(one!.load(8)), 'Disconnected');
  assert.is(await code(two!.renew()), 'Disconnected');
  await other.fetchAdd(16, 1n);
});

test('weather: the same seed brings the same, and it can be planned by name', async () => {
  const run = async (plan: FaultPlan) => {
    const { transport, open } = setup(plan);
    const told: string[] = [];
    for (const session of [await open(), await open()]) {
      for (let call = 0; call < 60; call += 1) {
        const outcome = await code(session.fetchAdd(8, 1n));
        told.push(outcome);
        if (outcome !== 'none') await session.renew();
      }
    }
    return { told, happened: [...transport.happened] };
  };
  const weather = { seed: 9, rate: 0.2 };
  const once = await run({ weather });
  assert.ok(once.told.includes('OutcomeUnknown'));
  assert.ok(once.happened.length > 5);
  assert.equal(await run({ weather }), once);
  assert.equal(await run({ faults: once.happened }), once);
  assert.not.equal(await run({ weather: { ...weather, seed: 10 } }), once);
});

test('while it is calm nothing of the plan takes place; a steady one shares its members', async () => {
  const { transport, truth } = setup({ weather: { seed: 1, rate: 1, kinds: ['cut'] } }, { revoke: true });
  truth.write(1024, Uint8Array.of(0, 0, 0, 0, 0, 3, 0, 0x20));
  const member = { slot: 0, incarnation: 3, offset: 1024 };
  transport.calm = true;
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  await session.bind(member);
  const steady = await transport.steady().connect('sab:r', { clientId: new Uint8Array(16).fill(1), lane: 0 });
  await steady.revoke(member);
  assert.is(await code(session.load(8)), 'Fenced');
  transport.calm = false;
  assert.is(await code(session.load(8)), 'OutcomeUnknown');
  assert.is(await code(steady.load(8)), 'none');
});

test('renew waits for no answer of the transport that was given up, and gives that up there', async () => {
  const served = await shippedTransports.tcp!((same) => same).setup({ bytes: 4096 });
  const { transport, listens, url, teardown } = served as LinkedRegion;
  await using link = await FaultyLink.open(listens);
  const options = { clientId: new Uint8Array(16), lane: 0, silence: 600_000 };
  const session = await faulty(transport, {}).connect(url({ host: '127.0.0.1', port: link.port }), options);
  await session.load(0);
  const { epoch } = session;
  link.blackHole();
  const abort = new AbortController();
  const behind = code(session.load(8));
  const given = code(session.write(8, eight(1), { signal: abort.signal }));
  await turns(5);
  abort.abort();
  assert.is(await given, 'OutcomeUnknown');
  await session.renew();
  assert.is(await behind, 'OutcomeUnknown');
  assert.ok(session.epoch > epoch);
  assert.is(await session.load(8), 0n);
  await session.close();
  await teardown?.();
});

test('a search finds what breaks, and makes the plan simple', async () => {
  /** Adds ten, and takes an unknown outcome for a failure. */
  const careless = async (plan: FaultPlan): Promise<void> => {
    const { open, word } = setup(plan);
    const session = await open();
    for (let added = 0; added < 10; ) {
      const outcome = await code(session.fetchAdd(8, 1n));
      if (outcome === 'none') added += 1;
      else await session.renew();
    }
    assert.is(word(8), 10);
  };
  const failure = await underFaults(careless, { seed: 1, sessions: 1, calls: 10 }).then(
    () => undefined,
    (error: FailedUnderFaults) => error,
  );
  assert.instance(failure, FailedUnderFaults);
  assert.is(failure!.plan.faults!.length, 1);
  assert.is(failure!.plan.faults![0]!.call, 0);
  assert.match(failure!.message, 'under the plan {"faults":[{"session":0,"call":0,"kind":"');
  // The plan is data: what was printed shows it again.
  const copy = JSON.parse(/plan (\{.*\})/.exec(failure!.message)![1]!) as FaultPlan;
  assert.equal(copy, failure!.plan);
  await careless(copy).then(
    () => assert.unreachable('it does not show it again'),
    (error: Error) => assert.match(error.message, /strictly equal/),
  );
  await underFaults(careless, { seed: 1, sessions: 1, kinds: ['cut', 'delay', 'tear'], runs: 20 });
});

test('what is no plan is refused with what is wrong', () => {
  const cases: [unknown, RegExp][] = [
    [null, /it is null/],
    [{ fault: [] }, /it has "fault"/],
    [{ faults: {} }, /no array/],
    [{ faults: [3] }, /fault 0 is 3/],
    [{ faults: [{ session: 0, call: 0, kind: 'toString' }] }, /no fault "toString"/],
    [{ faults: [{ session: 0, call: -1, kind: 'cut' }] }, /call of fault 0 is -1/],
    [{ faults: [{ call: 1, kind: 'cut' }] }, /session of fault 0 is undefined/],
    [{ faults: [{ session: 0, call: 1, kind: 'delay', amount: 0.5 }] }, /amount of fault 0 is 0\.5/],
    [{ weather: { seed: 0.5, rate: 0 } }, /seed/],
    [{ weather: { seed: 1, rate: 2 } }, /rate/],
    [{ weather: { seed: 1, rate: 1, kinds: [] } }, /no kinds/],
  ];
  for (const [plan, says] of cases) {
    try {
      checkFaultPlan(plan);
      assert.unreachable();
    } catch (error) {
      assert.ok(isExomemError(error, 'InvalidArgument'), String(error));
      assert.match((error as Error).message, says);
    }
  }
  for (const kind of Object.keys(faultKinds) as FaultKind[]) checkFaultPlan(one(kind));
});

test.run();
