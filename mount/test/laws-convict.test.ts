// deadline: 300s
import { fileURLToPath } from 'node:url';
import { conform } from '@exomem/conformance';
import { superviseMount } from '@exomem/mount';
import { assert } from '@exomem/testing';
import type { MountSpoiler } from './fixtures/spoiled-child.js';
import { mountSuite, World } from './fixtures/world.js';

// The laws of file systems convict mounts that are wrong, over the real kernel.
const test = await mountSuite('mounts that break laws');
const MiB = 1024 * 1024;
const child = fileURLToPath(new URL('./fixtures/spoiled-child.js', import.meta.url));

const cases: readonly (readonly [MountSpoiler, law: string, says: RegExp])[] = [
  ['losesTheTail', 'bytes', /bytes instead of|instead of/],
  ['neverLooks', 'names-across', /./],
  ['replacesInTwoSteps', 'rename-atomic-across', /gives ENOENT to an open/],
  ['forgetsWhatIsOpen', 'open-unlinked', /./],
  ['syncsNothing', 'close-to-open', /instead of/],
];

for (const [spoiler, law, says] of cases) {
  test(`${law} convicts one that ${spoiler.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)}`, async () => {
    await using world = new World();
    const { url } = await world.appliance(64 * MiB);
    const dirs = [await world.directory(), await world.directory()] as const;
    const mounts = dirs.map((dir) => superviseMount({ dir, args: [child, url, dir, spoiler] }));
    try {
      for (const mount of mounts) await mount.ready;
      const [dir, dir2] = dirs;
      // Enough to find it, and no more time to make it simple than that takes.
      const options = { laws: [law], seed: 1, budget: 20_000, patience: 10_000 };
      const { laws } = await conform({ kind: 'mount', mount: { dir, dir2 } }, options);
      assert.is(laws[0]!.status, 'failed', `${law} says nothing against it`);
      assert.match(laws[0]!.failure!.message, says);
    } finally {
      await Promise.all(mounts.map((mount) => mount.stop()));
    }
  });
}
test.run();
