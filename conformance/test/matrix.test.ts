// deadline: 600s
import { checkHistory, type HistoryEvent, recorded } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { falseAlarms } from '../hunt/false-alarms.js';
import { matrix } from '../hunt/matrix.js';

// For longer: npm run hunt -- matrix, npm run hunt -- false-alarms
const test = suite('what nothing is wrong with');

// Without each capability: restricted-laws, and the command.
test('keeps the laws with and without all capabilities, through any wrapper', async () => {
  const lines: string[] = [];
  const well = await matrix({
    budget: 300,
    names: ['memory without nothing', 'memory without everything', 'tcp without nothing, f', 'tcp without nothing, r'],
    tell: (line) => lines.push(line),
  });
  assert.ok(well, lines.join('\n'));
  assert.is(lines.length, 8);
});

test('raises no alarm', async () => {
  const lines: string[] = [];
  const seed = Date.now() % 1e6;
  assert.ok(await falseAlarms({ seeds: 3, runs: 0, seed, tell: (line) => lines.push(line) }), lines.join('\n'));
  assert.match(lines.at(-1)!, /^3 seeds, \d{3} laws held; 0 full runs; 0 alarms/);
});

test('a recorded session takes down what it does to words, batches included', async () => {
  const events: HistoryEvent[] = [];
  const transport = recorded(sharedArrayBuffer({ region: createRegion(4096) }), (event) => events.push(event));
  const session = await transport.connect('sab:region', { clientId: new Uint8Array(16), lane: 0 });
  await session.write(64, Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0));
  await session.compareExchange(64, 5n, 6n);
  const bytes = new Uint8Array(8);
  await session.batch(
    [
      { op: 'fetchAdd', offset: 64, desired: 1n, expected: 0n },
      { op: 'compareExchange', offset: 64, expected: 1n, desired: 2n },
      { op: 'read', offset: 64, bytes },
    ],
    { stopOnFail: true },
  );
  await session.read(1, new Uint8Array(3));
  await session.close();
  const told = events.map(({ op, result }) => `${op} ${result}`);
  assert.equal(told, ['write null', 'compareExchange 5', 'fetchAdd 6', 'compareExchange 7']);
  assert.ok(checkHistory(events).linearizable);
});

test.run();
