// deadline: 600s
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { replayVariables, transportLaws } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { type Shape, tcpSubject } from './fixtures/tcp-subject.js';

const folder = mkdtempSync(join(tmpdir(), 'exomem-tcp-laws-'));
const shapes: Shape[] = [
  { name: 'tcp', listen: '127.0.0.1:0', memory: 'set aside' },
  { name: 'a socket of the file system', listen: `unix:${join(folder, 'socket')}`, memory: 'shared' },
];
/** It promises, and it shares no memory. */
const inapplicable = ['synchronous', 'mapped', 'revoke-needs-proof', 'revoke-by-proof', 'declared-delay'];

for (const [index, shape] of shapes.entries()) {
  const test = suite(`laws of transports: ${shape.name}`);
  const laws = transportLaws(tcpSubject(shape), {
    increments: index === 0 ? 10_000 : 1_000,
    runs: index === 0 ? 50 : 20,
    command: (found) => `${replayVariables(found)} npm test -- transports/tcp/test/laws`,
  });
  test('it is excused from no other laws than these', () => {
    assert.equal(
      laws.filter(({ skip }) => skip !== undefined).map(({ id }) => id),
      inapplicable,
    );
  });
  if (index === 0) {
    const options = { workers: 4, increments: 250_000, incrementsPerBatch: 64, cuts: 40, patience: 300_000 };
    for (const { id, sentence, run } of transportLaws(tcpSubject(shape), options)) {
      if (['contended-increments', 'contended-adds', 'resolved-increments'].includes(id)) {
        test(`${id}, 4 x 250,000: ${sentence}`, run);
      }
    }
  }
  for (const { id, sentence, skip, run } of laws) if (skip === undefined) test(`${id}: ${sentence}`, run);
  if (index === shapes.length - 1) test.after(() => rmSync(folder, { recursive: true }));
  test.run();
}
