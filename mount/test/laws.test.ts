// deadline: 300s
import { type Lack, mountLaws, withUvu } from '@exomem/conformance';
import { fuseNative } from '@exomem/mount';
import { assert } from '@exomem/testing';
import { mountSuite, World } from './fixtures/world.js';

// The laws of file systems, held over the kernel: one appliance, and two mounts of its region. `npm run hunt -- mount` goes on
// for longer.
const test = await mountSuite('laws of file systems, over mounts');
const MiB = 1024 * 1024;
/** What libfuse 2 cannot do, by the names that the host has for its limits. */
const lacking: Readonly<Record<string, Lack>> = {
  'rename-over-open': 'replace-open',
  'removed-elsewhere': 'removed-stat',
};
const world = new World();
const dirs: string[] = [];

test.before(async () => {
  const { url } = await world.appliance(128 * MiB);
  for (const dir of dirs) await world.begin(url, dir).ready;
});
test.after(async () => world[Symbol.asyncDispose]());

// Tests are declared before anything is mounted.
for (let count = 0; count < 2; count++) dirs.push(await world.directory());
const lacks = fuseNative().limits.flatMap(({ name }) => lacking[name] ?? []);
const laws = mountLaws(dirs[0]!, dirs[1]!, { lacks, runs: 12, rounds: 60 });

test('what is skipped is skipped for what the host declares', () => {
  assert.is(lacks.length, Object.keys(lacking).length);
  const skipped = laws.filter(({ skip }) => skip !== undefined && !skip.includes('python3')).map(({ id }) => id);
  assert.equal(skipped.sort(), ['live', 'open-attributes-across', 'rename-atomic']);
});

withUvu(
  Object.assign((name: string, body: () => Promise<void>) => test(name, body), { skip: () => undefined }),
  laws.filter(({ skip }) => skip === undefined),
);
for (const { id, skip } of laws) if (skip?.includes('python3')) test.skip(id, skip);
test.run();
