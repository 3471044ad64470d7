import { assert, suite } from '@exomem/testing';
import { MiB, open } from 'exomem';
import { Service } from '../src/serving/service.js';
import { exomem, onTerminal } from './fixtures/command.js';

const test = suite('map');

/** A region of 64 MiB in which a member holds 20 MiB, an application 10 MiB, and files 12 MiB. */
async function used(body: (url: string) => Promise<void>): Promise<void> {
  await using service = await Service.start({ size: 64 * MiB, listen: '127.0.0.1:0' });
  await using holder = await open(service.url, { label: 'holder' });
  await holder.allocate(20 * MiB);
  const application = await holder.client.register({ keep: 60_000 });
  await application.allocate(10 * MiB);
  await using writer = await open(service.url, { label: 'writer' });
  await writer.writeFile('/file', new Uint8Array(12 * MiB).fill(1));
  await body(service.url);
}

/** The rows of the picture without what stands before them. */
function pictureOf(text: string): string[] {
  return text
    .split(/\r?\n\r?\n/)[0]!
    .split(/\r?\n/)
    .map((row) => row.slice(10));
}
const count = (rows: readonly string[], mark: string): number => rows.join('').split(mark).length - 1;

test('each owner has a letter, files, reserve and free memory have marks, and all of it adds up', () =>
  used(async (url) => {
    const { code, stdout, stderr } = await exomem(['map', url]);
    assert.is(code, 0, stderr);
    const text = String(stdout);
    assert.match(text, /^[\x20-\x7e\n]*$/);
    for (const line of text.split('\n').slice(0, 10)) assert.ok(line.length <= 80);
    const rows = pictureOf(text);
    // One place is a group of 64 KiB here.
    assert.is(count(rows, 'A'), 20 * 16);
    assert.is(count(rows, 'B'), 10 * 16);
    assert.is(count(rows, '#'), 12 * 16);
    assert.ok(count(rows, '-') > 0);
    assert.match(text, /^A +20 MiB +\d+ % {2}member \d+ \(holder, process \d+\)$/m);
    assert.match(text, /^B +10 MiB +\d+ % {2}application \d+ of member \d+ \(holder/m);
    assert.match(text, /^# +12 MiB .*with member \d+ \(writer/m);
    assert.match(text, /^utilisation \d+ %, fragmentation 0 %: the longest free run is [\d.]+ MiB$/m);
  }));

test('on a terminal it is as wide as that, and coloured unless NO_COLOR is set', () =>
  used(async (url) => {
    {
      await using terminal = onTerminal(['map', url], 50, 24);
      assert.is(await terminal.ended, 0);
      assert.match(terminal.screen, /\x1b\[32mA+\x1b\[39m/);
      const plain = terminal.screen.replace(/\x1b\[\d+m/g, '');
      const rows = pictureOf(plain);
      assert.ok(rows.length <= 24);
      for (const row of rows) assert.ok(row.length <= 40);
      // More groups than places: a place stands for several.
      assert.match(plain, /one place is 128 KiB/);
      assert.ok([96, 97].includes(count(rows, '#')));
    }
    await using terminal = onTerminal(['map', url], 50, 24, { env: { NO_COLOR: '1' } });
    assert.is(await terminal.ended, 0);
    assert.not.match(terminal.screen, /\x1b/);
  }));

test('for programs: all runs of pages', () =>
  used(async (url) => {
    const { stdout } = await exomem(['map', '--json', url]);
    const { runs, pages, owners, fragmentation, utilisation, groupCount, groupPages } = JSON.parse(String(stdout));
    const sum = (holding: string): number =>
      runs
        .filter((run: { holding: string }) => run.holding === holding)
        .reduce((all: number, run: { pages: number }) => all + run.pages, 0);
    for (const holding of ['free', 'room', 'held', 'withheld']) assert.is(sum(holding), pages[holding]);
    assert.is(sum('held'), (30 * MiB) / 4096);
    const all = runs.reduce((count: number, run: { pages: number }) => count + run.pages, 0);
    assert.is(all, groupCount * groupPages);
    assert.is(fragmentation, 1 - pages.largestRun / pages.free);
    assert.is(utilisation, (pages.held + pages.withheld) / pages.total);
    assert.equal(
      owners.map(({ kind }: { kind: string }) => kind).filter((kind: string) => kind !== 'member'),
      ['application'],
    );
  }));

test('an empty region, and none', async () => {
  await using service = await Service.start({ size: 8 * MiB, listen: '127.0.0.1:0' });
  const { stdout } = await exomem(['map', service.url]);
  assert.match(String(stdout), /utilisation 0 %, fragmentation 0 %/);
  assert.is((await exomem(['map', 'tcp://127.0.0.1:1/default'])).code, 6);
  assert.is((await exomem(['map'])).code, 2);
});

test.run();
