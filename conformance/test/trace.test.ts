// deadline: 300s
import { assert, suite } from '@exomem/testing';
import { Ground } from '../hunt/ground.js';
import { Scene } from '../hunt/scene.js';
import { Claims } from '../hunt/trace/claims.js';
import { scanObstacle } from '../hunt/trace/foreign-scan.js';
import { huntTrace, judge } from '../hunt/trace/index.js';
import { divisorFor, makeTrace, parseTrace, partOf } from '../hunt/trace/trace.js';

const test = suite('a trace of allocations, replayed by processes that are killed');
const page = 4096;

test('a trace is read line by line, and what is none is told', () => {
  assert.equal(parseTrace('a 7 100\na 8 5\nf 7\n'), [
    { id: 7, bytes: 100 },
    { id: 8, bytes: 5 },
    { id: 7, bytes: 0 },
  ]);
  for (const [text, says] of [
    ['a 1\n', 'line 1: neither'],
    ['a 1 10\nf 2\n', 'line 2: it is freed and was not allocated'],
    ['a 1 10\na 1 10\n', 'line 2: it is allocated already'],
    ['a 1 0\n', 'line 1: nothing is asked for'],
  ] as const) {
    assert.throws(() => parseTrace(text), says);
  }
});

test('one of our own is a trace, follows from its seed, and fits when sizes are divided', () => {
  const trace = makeTrace(5, 3_000);
  assert.equal(makeTrace(5, 3_000), trace);
  const text = trace.map(({ id, bytes }) => (bytes === 0 ? `f ${id}` : `a ${id} ${bytes}`)).join('\n');
  assert.equal(parseTrace(text), trace);
  const divisor = divisorFor(trace, 20 * 1024 * 1024, page);
  let [now, most] = [0, 0];
  const sizes = new Map<number, number>();
  for (const { id, bytes } of trace) {
    const pages = Math.ceil(bytes / divisor / page);
    now += bytes === 0 ? -sizes.get(id)! : pages;
    sizes.set(id, pages);
    most = Math.max(most, now);
  }
  assert.ok(most * page <= 20 * 1024 * 1024);
  assert.throws(() => divisorFor(trace, 10 * page, page), 'more blocks at a time than the region has pages');
  const parts = [0, 1, 2, 3].map((who) => partOf(trace, who, 4));
  assert.is(
    parts.reduce((sum, { length }) => sum + length, 0),
    trace.length,
  );
});

test('a page that two hold at the same time is found, whoever tells first, and whatever happens in between', () => {
  const told = (act: (claims: Claims) => void): (() => void) => {
    return () => {
      const claims = new Claims(page);
      act(claims);
      claims.judge();
    };
  };
  const doubled = told((claims) => {
    // What the second was told is read first.
    claims.hold(2, 20, 2 * page, 5 * page, 150, 160);
    claims.hold(1, 10, 0, 3 * page, 90, 100);
    claims.free(1, 10, 170);
  });
  assert.throws(doubled, 'page 2 was given to process 2 as block 20 while process 1 had it as block 10');
  told((claims) => {
    claims.hold(2, 20, 2 * page, 5 * page, 150, 160);
    claims.hold(1, 10, 0, 3 * page, 90, 100);
    claims.free(1, 10, 155);
  })();
  const later = new Claims(page);
  later.hold(1, 10, 0, page, 90, 100);
  later.judge();
  later.hold(2, 20, 0, page, 190, 200);
  assert.throws(() => later.judge(), 'page 0 was given to process 2');
  assert.throws(() => new Claims(page).free(1, 1, 5), 'was never told that it has it');
});

test('the dead hold until they die, and who was declared dead until it last was known to live', () => {
  const claims = new Claims(page);
  claims.hold(1, 10, 0, page, 90, 100);
  claims.hold(1, 11, page, page, 110, 120);
  assert.is(claims.pages, 2);
  claims.died(1, 150);
  claims.hold(2, 20, 0, 2 * page, 140, 151);
  claims.judge();
  // It asked for its last block at 300; another has its first one since 310, and it does not know that yet.
  claims.hold(3, 30, 5 * page, page, 200, 210);
  claims.hold(3, 31, 6 * page, page, 300, 305);
  claims.hold(2, 21, 5 * page, page, 306, 310);
  claims.fenced(3);
  claims.judge();
  assert.is(claims.pages, 3);
  claims.hold(4, 40, 8 * page, page, 400, 410);
  claims.proved(4, 450);
  claims.fenced(4);
  claims.hold(2, 22, 8 * page, page, 430, 440);
  assert.throws(() => claims.judge(), 'page 8 was given to process 2 as block 22 while process 4 had it as block 40');
});

// Longer, and of a file: npm run hunt -- trace --seconds N --trace FILE --policy NAME
const missing = scanObstacle();
const seed = Math.floor(Math.random() * 1e6);
const replays = 'no byte is given to two or lost, by what processes were told and by a scan from the document alone';
const policies = ['atomic', 'locked', 'message'];
if (missing !== undefined) test.skip(replays, missing);
else {
  for (const policy of policies) {
    test(`${replays}: ${policy} (seed ${seed})`, async () => {
      const found = await huntTrace({ policy, seconds: 4, least: { allocations: 100, kills: 2 }, seed, every: 700 });
      assert.ok(found.judgements >= 2, JSON.stringify(found));
    });
  }

  test('memory that nobody was told of is found in the bytes, and memory that is not there is missed', async () => {
    await using ground = await Ground.open({ lease: 10_000 });
    await using scene = await Scene.open(ground, { steward: true });
    const client = await scene.join();
    const { pageSize } = client.geometry;
    await using memory = await client.allocate(3 * pageSize);
    const told = new Claims(pageSize);
    const verdict = (claims: Claims): Promise<string> =>
      judge({ claims, url: scene.url }, scene, 0).then(
        ({ counts }) => `${counts.held} pages`,
        (error: Error) => error.message,
      );
    assert.match(await verdict(told), '3 pages are held in the bytes; processes were told that they hold 0');
    told.hold(1, 1, memory.offset, memory.length, 1, 2);
    assert.is(await verdict(told), '3 pages');
    told.hold(1, 2, memory.offset + 8 * pageSize, pageSize, 1, 2);
    assert.match(await verdict(told), '3 pages are held in the bytes; processes were told that they hold 4');
  });
}
test.run();
