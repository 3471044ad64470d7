import { groupWordOffset, Occupancy, planGeometry } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { MiB, open } from 'exomem';
import { Service } from '../src/serving/service.js';
import { changesBetween } from '../src/top/change.js';
import type { Sample } from '../src/top/sample.js';
import { exomem, onTerminal, Running } from './fixtures/command.js';

const test = suite('top');

const serve = (): Promise<Service> => Service.start({ size: 32 * MiB, listen: '127.0.0.1:0' });

test('what came and went between two looks is counted from the words', () => {
  const geometry = planGeometry(2 ** 20, { memberSlots: 2, logSlots: 4, arenaBytes: 8192, reserveGroups: 1 });
  assert.ok(groupWordOffset(geometry, 0) > 0);
  const look = (...words: bigint[]): Occupancy => {
    const table = new BigUint64Array(geometry.groupCount);
    table.set(words);
    return new Occupancy(geometry, new Uint32Array(table.buffer));
  };
  const owned = (principal: bigint, low: number): bigint => (principal << 48n) | (1n << 32n) | BigInt(low);
  const before = look(0x5555_5555n, owned(1n, 0x4000_0000), owned(1n, 0x6800_0000), owned(1n, 0xf000_0000));
  const after = look(owned(2n, 0x6000_0000), owned(1n, 0x5000_0000), 0n, owned(2n, 0xf000_0000));
  const { all, principals } = changesBetween(before, after);
  assert.equal(principals.get(1), { allocations: 1, frees: 1, taken: 1, given: 5 });
  assert.equal(principals.get(2), { allocations: 1, frees: 0, taken: 4, given: 0 });
  assert.equal(all, { allocations: 2, frees: 1, taken: 5, given: 5 });
  assert.equal(changesBetween(after, after).all, { allocations: 0, frees: 0, taken: 0, given: 0 });
});

test('for programs it prints a line for each look, with rates and what happened', async () => {
  await using service = await serve();
  await using top = new Running(['top', '--json', '--interval', '100ms', service.url]);
  const samples = (from: number): Sample[] => top.lines.slice(from).map((line) => JSON.parse(line) as Sample);
  const first = JSON.parse(await top.line(() => true)) as Sample;
  assert.equal(
    first.members.map(({ label, steward }) => [label, steward]),
    [['steward', true]],
  );
  // Who joins is an event only for whoever has seen the table without it.
  await top.line((line) => JSON.parse(line).log.index > 0 && top.lines.length > 15);
  await using memory = await open(service.url, { label: 'busy' });
  const seen = async (fits: (sample: Sample) => boolean): Promise<Sample> =>
    JSON.parse(await top.line((line) => fits(JSON.parse(line)))) as Sample;
  await seen(({ events }) => events.some(({ event }) => event.type === 'joined' && event.label === 'busy'));
  const allocation = await memory.allocate(3 * MiB);
  await seen(({ rates }) => rates.taken > 0);
  await seen(({ rates }) => rates.allocations > 0);
  await seen(({ members }) => members.some(({ label, held }) => label === 'busy' && held === 3 * MiB));
  await seen(({ memory }) => memory.held === 3 * MiB);
  await allocation.free();
  await seen(({ rates }) => rates.given > 0);
  await memory.files.mkdir('/made');
  await seen(({ rates }) => rates.records > 0);
  await seen(({ events }) => events.some(({ event }) => event.type === 'record'));
  const application = await memory.client.register({ keep: 60_000 });
  const kept = await seen(({ applications }) => applications.length > 0);
  assert.is(kept.applications[0]!.principal, application.principal);
  await memory.close();
  await seen(({ events }) => events.some(({ event }) => event.type === 'left' && event.label === 'busy'));
  assert.ok(samples(1).every(({ interval }) => interval > 0));
  assert.equal(await top.kill('SIGINT'), { code: 0, signal: null });
  assert.is(top.stderr, '');
});

test('pressure is shown while less than a twentieth is free', async () => {
  await using service = await serve();
  await using memory = await open(service.url);
  const { free } = await memory.usage();
  const most = await memory.allocate(free * 4096 - MiB);
  const once = await exomem(['top', '--once', '--interval', '50ms', service.url]);
  assert.is(once.code, 0);
  assert.match(String(once.stdout), /^pressure: .* of .* free$/m);
  await most.free();
  const relieved = await exomem(['top', '--interval', '50ms', service.url]);
  assert.not.match(String(relieved.stdout), /pressure/);
  assert.match(String(relieved.stdout), /^SLOT +STATE +NAME/m);
});

for (const key of ['q', '\x03']) {
  test(`on a terminal it redraws in place, and ${JSON.stringify(key)} ends it and gives the terminal back`, async () => {
    await using service = await serve();
    await using memory = await open(service.url, { label: 'neighbour' });
    await using terminal = onTerminal(['top', '--interval', '100ms', service.url], 70, 24);
    await terminal.shows(/EVENTS/);
    assert.ok(terminal.screen.includes('\x1b[?1049h\x1b[?25l'));
    await terminal.shows(/neighbour/);
    await memory.files.mkdir('/somewhere');
    await terminal.shows(/create somewhere/);
    const frames = terminal.screen.split('\x1b[H').slice(1);
    assert.ok(frames.length > 1);
    for (const frame of frames) {
      const lines = frame.replace(/\x1b\[[\d?]*[A-Za-z]/g, '').split('\r\n');
      assert.ok(lines.length <= 24);
      for (const line of lines) assert.ok([...line].length <= 70);
    }
    terminal.type(key);
    assert.is(await terminal.ended, 0);
    assert.ok(terminal.screen.endsWith('\x1b[?25h\x1b[?1049l'));
  });
}

test('what makes no sense is refused', async () => {
  assert.is((await exomem(['top', '--interval', '1ms', 'tcp://127.0.0.1:1/default'])).code, 2);
  assert.is((await exomem(['top', '--interval', 'often', 'tcp://127.0.0.1:1/default'])).code, 2);
  assert.is((await exomem(['top', 'tcp://127.0.0.1:1/default'])).code, 6);
});

test.run();
