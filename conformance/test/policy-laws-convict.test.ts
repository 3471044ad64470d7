// deadline: 300s
import { keptRuns, type PolicyLawOptions, policyLaws } from '@exomem/conformance';
import { type AllocationPolicy, atomic } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import * as spoilers from './fixtures/spoiled-policy.js';

// The laws have to convict somebody: for each there is at least one policy here that breaks it.

const { spoilCalls, spoilSteps } = spoilers;

const test = suite('policy laws convict');

/** The laws that a policy breaks within so many schedules. */
async function broken(policy: AllocationPolicy, seed: number, schedules: number): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const laws = policyLaws({ name: 'spoiled', policy }, { seed, schedules, patience: 100, corpus: [] });
  for (const { id, run } of laws) {
    if (id === 'alone' || id === 'exhaustive') continue;
    await run().catch((error: Error) => found.set(id, error.message));
  }
  return found;
}

async function failure(law: Promise<void>): Promise<string> {
  return law.then(
    () => 'it was not convicted',
    (reason: Error) => reason.message,
  );
}

const generators: readonly (readonly [what: string, law: string, policy: AllocationPolicy])[] = [
  ['claims by a read and a plain write', 'shown', spoilSteps(atomic, () => spoilers.claimsByWriting)],
  ['leaves the principal out of its claims', 'fenced', spoilSteps(atomic, () => spoilers.ignoresFence)],
  ['takes a lost reply for a refusal', 'valid', spoilSteps(atomic, () => spoilers.takesSilenceForRefusal)],
  ['commits a long run first', 'whole', spoilSteps(atomic, () => spoilers.commitsFirst)],
];

for (const [what, law, policy] of generators) {
  test(`one that ${what}, by the law "${law}", whatever the seed`, async () => {
    for (const seed of [1, 2, 3]) {
      const found = await broken(policy, seed, 200);
      assert.ok(found.has(law), `seed ${seed}: broken are ${[...found.keys()]}`);
      assert.match(found.get(law)!, /seed \d+.*path/s);
      assert.match(found.get(law)!, /group \d+ (:=|0x)/);
    }
  });
}

for (const [what, , policy] of generators) {
  test(`one that ${what}, by an exhaustive search`, async () => {
    const exhaustive = policyLaws({ name: 'spoiled', policy }).find(({ id }) => id === 'exhaustive')!;
    assert.match(await failure(exhaustive.run()), /path [\d:]+/);
  });
}

const others: readonly (readonly [what: string, law: string, policy: AllocationPolicy])[] = [
  ['gives the same pages out twice', 'exclusive', spoilCalls(atomic, spoilers.givesTwice())],
  ['knows no names', 'named', spoilCalls(atomic, spoilers.knowsNoNames)],
  ['forgets to free', 'conserved', spoilCalls(atomic, spoilers.forgetsToFree)],
  ['finds fault with everything', 'valid', spoilCalls(atomic, spoilers.findsFault)],
  ['does not care for alignment', 'placed', spoilCalls(atomic, spoilers.ignoresAlignment)],
  ['zeroes nothing', 'fresh', spoilSteps(atomic, () => spoilers.zeroesNothing)],
  ['refuses without looking', 'full', spoilCalls(atomic, spoilers.refusesUnseen)],
  ['refuses for no reason', 'typed', spoilCalls(atomic, spoilers.isBusy)],
  ['frees again', 'stale', spoilCalls(atomic, spoilers.freesAgain)],
  ['frees what is not its own', 'foreign', spoilCalls(atomic, spoilers.freesForeign)],
  ['explains nothing', 'explained', spoilCalls(atomic, spoilers.isSilent)],
  ['leaves with all that it has', 'returned', spoilCalls(atomic, spoilers.keepsAll)],
  ['waits for ever', 'ends', spoilCalls(atomic, spoilers.waits)],
];

for (const [what, law, policy] of others) {
  test(`one that ${what}, by the law "${law}"`, async () => {
    const found = await broken(policy, 7, 60);
    assert.ok(found.has(law), `broken are ${[...found.keys()]}`);
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

test('and every law is among them', () => {
  const convicting = new Set([...generators, ...others].map(([, law]) => law));
  const laws = policyLaws({ name: 'atomic', policy: atomic }).map(({ id }) => id);
  assert.equal([...convicting, 'alone', 'exhaustive'].sort(), [...laws].sort());
});

test.run();
