import {
  type Found,
  readCorpus,
  replayFromEnvironment,
  replayVariables,
  type TransportLawOptions,
  transportLaws,
} from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { loopbackSubject } from './fixtures/loopback-subject.js';
import { sabSubject } from './fixtures/sab-subject.js';

const test = suite('replay of a law');

const broken = sabSubject(1, 'reversesBatches');
const id = 'batch-like-one-by-one';

/** What the law says to the broken transport. */
async function verdict(options: TransportLawOptions): Promise<string> {
  const law = transportLaws(broken, { corpus: [], ...options }).find((candidate) => candidate.id === id)!;
  return law.run().then(
    () => 'kept',
    (error: Error) => error.message,
  );
}

function foundIn(message: string): Found {
  return JSON.parse(/corpus: (\{.*\})/.exec(message)![1]!) as Found;
}

test('a failing property says its law, seed and path, and the command that runs it again', async () => {
  const command = (found: Found) => `${replayVariables(found)} npm test -- some/file`;
  const message = await verdict({ command });
  const { law, seed, path } = foundIn(message);
  assert.is(law, id);
  assert.match(message, `law ${id}, broken by shared memory`);
  assert.match(message, `seed ${seed}, path ${path}`);
  assert.match(message, `EXOMEM_LAW=${id} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- some/file`);
  assert.match(message, 'counterexample: call 0: batch');
});

test('seed and path run the very same case again', async () => {
  const message = await verdict({});
  const found = foundIn(message);
  const again = await verdict({ replay: found, runs: 1 });
  assert.equal(foundIn(again), found);
  assert.is(counterexample(again), counterexample(message));
});

test('the environment can ask for it', async () => {
  const found = foundIn(await verdict({}));
  const environment = Object.fromEntries(
    replayVariables(found)
      .split(' ')
      .map((part) => part.split('=') as [string, string]),
  );
  assert.equal(replayFromEnvironment(environment), found);
  assert.is(replayFromEnvironment({}), undefined);
});

test('what the corpus keeps runs before anything random', async () => {
  const found = foundIn(await verdict({}));
  const message = await verdict({ corpus: [{ ...found, law: 'another' }, found], runs: 1_000_000 });
  assert.equal(foundIn(message).seed, found.seed);
  assert.is(counterexample(message), counterexample(await verdict({ replay: found })));
});

test('what the corpus keeps still convicts what it was found with', async () => {
  const corpus = readCorpus('transport-laws');
  const laws = new Set(transportLaws(broken).map((law) => law.id));
  assert.ok(corpus.length > 0);
  for (const found of corpus) assert.ok(laws.has(found.law), `there is no law ${found.law}`);
  const kept = corpus.filter(({ law }) => law === id);
  assert.match(await verdict({ corpus: kept, runs: 1 }), `"seed":${kept[0]!.seed}`);
});

test('a case that hangs is the one that is told', async () => {
  const options = { corpus: [], seed: 1, patience: 1_000 };
  const law = transportLaws(loopbackSubject({ renewHangs: true }), options).find(
    (candidate) => candidate.id === 'cut-while-renewing',
  )!;
  const message = await law.run().catch((error: Error) => error.message);
  assert.match(message as string, 'a case hangs: nothing for 400 ms; no answer to renew');
  assert.match(message as string, /counterexample: \[\d/);
});

function counterexample(message: string): string | undefined {
  return /counterexample: .*/.exec(message)?.[0];
}

test.run();
