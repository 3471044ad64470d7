// deadline: 300s
import { keptRuns, type PolicyLawOptions, policyLaws } from '@exomem/conformance';
import { type AllocationPolicy, atomic, message } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import * as spoilers from './fixtures/spoiled-policy.js';
import { brokenLaws, policyMutants, spoiledGenerators } from './mutants/policies.js';

// The laws have to convict somebody: for each there is at least one policy here that breaks it.

const { spoilCalls, spoilSteps } = spoilers;

const test = suite('policy laws convict');

async function failure(law: Promise<void>): Promise<string> {
  return law.then(
    () => 'it was not convicted',
    (reason: Error) => reason.message,
  );
}

for (const { what, law, policy } of spoiledGenerators) {
  test(`one that ${what}, by the law "${law}", whatever the seed`, async () => {
    for (const seed of [1, 2, 3]) {
      const found = await brokenLaws(policy, seed, 200);
      assert.ok(found.has(law), `seed ${seed}: broken are ${[...found.keys()]}`);
      const { what: told, runs } = found.get(law)!;
      assert.match(told, /seed \d+.*path/s);
      assert.match(told, /group \d+ (:=|0x)/);
      assert.ok(runs >= 1 && runs <= 200);
    }
  });
}

for (const { name, law, hunt } of policyMutants) {
  test(`${name}, by the law "${law}"`, async () => {
    const kill = await hunt(7, true);
    assert.ok(kill !== undefined, 'it lives');
    if (law === 'exhaustive') assert.match(kill.what, /path [\d:]*/);
  });
}

test('runs that convicted one of them once still do', async () => {
  const kept = keptRuns();
  let tried = 0;
  for (const [name, spoiler] of Object.entries(spoilers)) {
    const corpus = kept.filter(({ note }) => note === name);
    if (corpus.length === 0) continue;
    const policy = spoilSteps(
      atomic,
      () => spoiler as Parameters<typeof spoilSteps>[1] extends () => infer S ? S : never,
    );
    const laws = policyLaws({ name, policy }, { seed: 1, schedules: 0, corpus });
    for (const { law } of corpus) {
      const error = await failure(laws.find(({ id }) => id === law)!.run());
      assert.match(error, /a run of the corpus/);
      tried++;
    }
  }
  assert.is(tried, 4);
});

test('a failing run can be run again by its seed and path, and is the same', async () => {
  const policy = spoilSteps(atomic, () => spoilers.takesSilenceForRefusal);
  const find = (options: PolicyLawOptions) =>
    policyLaws({ name: 'spoiled', policy }, { patience: 200, corpus: [], ...options }).find(
      ({ id }) => id === 'valid',
    )!;
  const first = await failure(find({ seed: 5, schedules: 300 }).run());
  const [, seed, path] = /seed (-?\d+), path (\S+)/.exec(first)!;
  const again = await failure(find({ replay: { law: 'valid', seed: Number(seed), path: path! } }).run());
  assert.match(again, `seed ${seed}, path ${path}`);
  assert.match(first, `EXOMEM_LAW=valid EXOMEM_SEED=${seed} EXOMEM_PATH=${path}`);
});

test('what one alone was given, and a way of a meeting, can be seen again by its numbers, and is the same', async () => {
  const cases: [law: string, policy: AllocationPolicy][] = [
    ['alone', spoilCalls(atomic, spoilers.refusesUnseen)],
    ['exhaustive', spoilSteps(atomic, () => spoilers.commitsFirst)],
    // Where members attend to each other.
    ['exhaustive', spoilCalls(message, spoilers.isSilent)],
  ];
  for (const [id, policy] of cases) {
    const find = (options: PolicyLawOptions) =>
      policyLaws({ name: 'spoiled', policy }, { corpus: [], ...options }).find((law) => law.id === id)!;
    const first = await failure(find({}).run());
    const [, seed, path] = /seed (-?\d+), path (\S*)/.exec(first)!;
    assert.match(first, `EXOMEM_LAW=${id} EXOMEM_SEED=${seed} EXOMEM_PATH=${path}`);
    const again = await failure(find({ replay: { law: id, seed: Number(seed), path: path! } }).run());
    assert.is(again, first);
  }
});

test('a search that has little time says how far it came', async () => {
  const laws = policyLaws({ name: 'atomic', policy: atomic }, { states: 50, corpus: [] });
  const exhaustive = laws.find(({ id }) => id === 'exhaustive')!;
  const { run } = exhaustive;
  await run();
  assert.match(exhaustive.note ?? 'nothing', /^\d+ of \d+ meetings to their end; of the others 5\d states and more/);
});

test('and every law is among them', () => {
  const convicting = new Set(policyMutants.map(({ law }) => law));
  const laws = policyLaws({ name: 'atomic', policy: atomic }).map(({ id }) => id);
  assert.equal([...convicting].sort(), [...laws].sort());
});

test.run();
