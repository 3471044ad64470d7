// deadline: 240s
import {
  conform,
  type Law,
  reportText,
  type TransportModule,
  transportLaws,
  transportSubject,
} from '@exomem/conformance';
import type { Capabilities, Transport } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { restrictions, shippedTransports, without } from '../hunt/sound-subjects.js';

/** Of a law that is left out, what its reason has to be about. */
const excuses: Record<string, readonly RegExp[]> = {
  'shared memory': [/synchronous/, /no other thread/, /revoke/, /delay/],
  tcp: [/synchronous/, /mapped/, /revoke/, /delay/],
};
const about: Record<string, readonly RegExp[]> = {
  atomics: [/atomics/],
  revoke: [/revoke/],
  mapping: [/mapped/],
  everything: [/atomics/, /revoke/, /mapped/],
};

// Through a wrapper, too: matrix.
for (const [what, make] of Object.entries(shippedTransports)) {
  for (const [less, restriction] of Object.entries(restrictions)) {
    if (less === 'nothing') continue;
    // Nothing is mapped there, so that everything is no more than the other two.
    if (what === 'tcp' && (less === 'mapping' || less === 'everything')) continue;
    const test = suite(`laws of transports: ${what} without ${less}`);
    test('keeps the laws, and is excused for what it declares alone', async () => {
      const transport = await transportSubject(make(without(restriction)), `${what}, ${less}`);
      for (const [key, value] of Object.entries(restriction)) {
        assert.is(transport.capabilities[key as keyof Capabilities], value);
      }
      const report = await conform({ kind: 'transport', transport }, { budget: 2_000 });
      assert.is(report.failed, 0, reportText(report));
      for (const { id, status, reason } of report.laws) {
        if (status !== 'skipped') continue;
        assert.ok(
          [...excuses[what]!, ...about[less]!].some((one) => one.test(reason!)),
          `${id} is left out: ${reason}`,
        );
      }
    });
    test.run();
  }
}

const test = suite('declarations that are not true');

/** Which laws convict it. */
async function convicted(module: TransportModule): Promise<string[]> {
  const subject = await transportSubject(module, 'liar');
  const effort = { runs: 5, tearing: 50, increments: 100, cuts: 1, patience: 10_000, corpus: [] };
  const broken: string[] = [];
  const held = async ({ id, skip, run }: Law): Promise<void> => {
    if (skip === undefined) await run().catch(() => broken.push(id));
  };
  for (const law of transportLaws(subject, effort)) await held(law);
  return broken;
}

const sharedMemory = shippedTransports['shared memory']!;

/** Lets sessions say something else of themselves. */
const saying =
  (capabilities: Partial<Capabilities>, inner: (transport: Transport) => Transport = (same) => same) =>
  (transport: Transport): Transport => {
    const wrapped = inner(transport);
    return {
      ...wrapped,
      connect: async (url, options) => {
        const session = await wrapped.connect(url, options);
        return new Proxy(session, {
          get(target, name) {
            if (name === 'capabilities') return { ...target.capabilities, ...capabilities };
            const value: unknown = Reflect.get(target, name, target);
            return typeof value === 'function' ? value.bind(target) : value;
          },
        });
      },
    };
  };

const lies: [what: string, module: TransportModule, by: string][] = [
  ['atomics that it has not', sharedMemory(saying({ atomics: 'host' }, without({ atomics: 'none' }))), 'word-values'],
  ['no atomics, and has them', sharedMemory(saying({ atomics: 'none' })), 'undeclared'],
  ['a mapping that it has not', sharedMemory(saying({ mapped: true }, without({ mapped: false }))), 'mapped'],
  ['no mapping, and has one', sharedMemory(saying({ mapped: false })), 'undeclared'],
  [
    'that it revokes by proof, and does not',
    sharedMemory(saying({ revoke: 'proof' }, without({ revoke: 'none' }))),
    'revoke-by-proof',
  ],
  ['that it revokes at once, and does not', sharedMemory(saying({ revoke: 'immediate' })), 'revoke'],
  ['that it cannot revoke, and can', sharedMemory(saying({ revoke: 'none' })), 'undeclared'],
];
for (const [what, module, by] of lies) {
  test(`a session declares ${what}`, async () => {
    const broken = await convicted(module);
    assert.ok(broken.includes(by), `broken: ${broken.join(', ') || 'none'}`);
  });
}

test.run();
