// deadline: 300s
import { conform, mountLaws } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { mountMutants } from './fixtures/mount-mutants.js';

// Each law of file systems has to convict somebody.
const test = suite('file systems that break laws');

for (const { id, law, subject } of mountMutants) {
  test(`${law} convicts ${id}`, async (): Promise<void> => {
    const report = await conform(
      { kind: 'mount', mount: subject },
      { laws: [law], seed: 5, budget: 30_000, patience: 15_000 },
    );
    const [verdict] = report.laws;
    if (verdict!.status === 'skipped') return assert.match(verdict!.reason!, 'there is no python3');
    assert.is(verdict!.status, 'failed', `${law} says nothing against it`);
    const { message, counterexample, path } = verdict!.failure!;
    assert.match(message, /\S/);
    if (path !== undefined) assert.match(counterexample!, /\S/);
  });
}

test('every law convicts somebody', () => {
  const convicting = new Set(mountMutants.map(({ law }) => law));
  const idle = mountLaws('/tmp').filter(({ id }) => !convicting.has(id));
  assert.equal(
    idle.map(({ id }) => id),
    [],
  );
});

test('a counter-example is as simple as can be, and found again by what is told', async () => {
  const { subject } = mountMutants.find(({ id }) => id === 'losesTheTail')!;
  const report = await conform({ kind: 'mount', mount: subject }, { laws: ['bytes'], seed: 5 });
  const { counterexample, seed, path, message } = report.laws[0]!.failure!;
  assert.ok(counterexample!.trim().split('\n').length <= 2, counterexample);
  const again = await conform({ kind: 'mount', mount: subject }, { laws: ['bytes'], seed: seed!, path: path! });
  assert.is(again.laws[0]!.failure!.message, message);
  assert.is(again.laws[0]!.failure!.counterexample, counterexample);
});

test.run();
