// deadline: 240s
// alone
import { checkHistory, type HistoryEvent, type HistoryReport } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';
import { hammerProcesses } from '../hunt/hammer/processes.js';
import { hammerThreads } from '../hunt/hammer/threads.js';

// For longer: npm run hammer
const test = suite('hammer');
const seed = Math.floor(Math.random() * 1e6);

function sound(history: HistoryEvent[]): HistoryReport {
  const report = checkHistory(history);
  assert.equal(
    report.violations.map(({ message }) => message),
    [],
  );
  assert.equal(report.undecided, []);
  return report;
}

test(`threads over shared memory, one of which is ended at any step (seed ${seed})`, async () => {
  const { events, words } = sound(await hammerThreads({ seed }));
  assert.ok(events > 6_000, `${events} events`);
  assert.is(words, 2);
});

test(`processes over TCP that change words, killed, stopped and cut off (seed ${seed})`, async () => {
  const { events } = sound(await hammerProcesses({ kind: 'words', seed }));
  assert.ok(events > 50, `${events} events`);
});

test(`processes over TCP that allocate and free, killed, stopped and cut off (seed ${seed})`, async () => {
  const { events, pieces } = sound(await hammerProcesses({ kind: 'memory', seed, blows: 6 }));
  assert.ok(events > 20, `${events} events`);
  assert.ok(pieces > 0);
});

test('shared memory whose sessions add and compare in two steps is convicted', async () => {
  const module = new URL('./fixtures/hammer-spoiled.js', import.meta.url).href;
  // A machine that is busy elsewhere may not let them meet at once.
  for (let meeting = 1; ; meeting += 1) {
    const history = await hammerThreads({ seed: seed + meeting, module, ended: 0, words: 1, steps: 2_000 });
    const report = checkHistory(history, { limit: 50_000 });
    if (report.violations.length === 0 && meeting < 60) continue;
    const [violation] = report.violations;
    assert.match(
      violation?.message ?? 'nothing is found',
      /no order of these explains what was told about the word at 0/,
    );
    break;
  }
});

test.run();
