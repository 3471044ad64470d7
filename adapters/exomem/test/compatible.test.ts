// deadline: 300s
import { copyFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { crc32c, superblockBytes } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { Folder, Running } from './fixtures/command.js';
import { pack, run, install as unpack } from './fixtures/project.js';
import { packagesFolder } from './golden/packages.js';

// What was published before, and what would be published now, in one region: the client of either at the appliance of either.
const test = suite('versions that are older');
const program = fileURLToPath(new URL('../../test/fixtures/compatible.mjs', import.meta.url));
const hint =
  'what was packed before and today’s code do not understand each other. As long as the format is version 0, which promises nothing: npm run golden -- --packages';

/** A version of everything, installed in a project of its own. */
class Installed {
  readonly project: string;
  constructor(project: string) {
    this.project = project;
  }
  get bin(): string {
    return join(this.project, 'node_modules/exomem/dist/src/bin.js');
  }
  static async of(tarballs: string, project: string): Promise<Installed> {
    await unpack(tarballs, project);
    copyFileSync(program, join(project, 'compatible.mjs'));
    return new Installed(project);
  }
  serve(): Running {
    const args = ['serve', '--json', '--size', '16M', '--listen', '127.0.0.1:0'];
    return new Running(args, { cwd: this.project }, this.bin);
  }
  client(url: string, label: string): Told {
    return new Told([url, label], { cwd: this.project }, join(this.project, 'compatible.mjs'));
  }
}

type Step = readonly [act: string, ...parameters: (string | number)[]];

class Told extends Running {
  #answers = 0;
  async tell(...step: Step): Promise<{ code?: string; message?: string }> {
    this.child.stdin!.write(`${JSON.stringify(step)}\n`);
    const at = this.#answers++;
    await this.line(() => this.lines.length > at);
    return JSON.parse(this.lines[at]!) as { code?: string; message?: string };
  }
  async must(...step: Step): Promise<void> {
    assert.equal(await this.tell(...step), {}, `${step.join(' ')}: ${hint}`);
  }
}

const folder = new Folder();
let now: Installed;
test.before(async () => {
  await pack(folder.at('now-packed'));
  now = await Installed.of(folder.at('now-packed'), folder.at('now'));
});
test.after(() => folder[Symbol.dispose]());

/** Both in one region, each with what the other made, while both are members. */
async function live(url: string, mine: Installed, theirs: Installed): Promise<void> {
  await using one = mine.client(url, 'one');
  await using other = theirs.client(url, 'other');
  for (const client of [one, other]) await client.must('join');
  for (const [client, name] of [
    [one, 'a'],
    [other, 'bb'],
  ] as const) {
    await client.must('allocate', name, 100_000);
    await client.must('named', `named-${name}`, 20_000);
    await client.must('put', `file-${name}`, 70_000);
  }
  await one.must('get', 'named-bb', 20_000);
  await one.must('get', 'file-bb', 70_000);
  await other.must('get', 'named-a', 20_000);
  await other.must('put', 'file-a', 5_000);
  await one.must('get', 'file-a', 5_000);
  await one.must('move', 'file-bb', 'moved');
  await other.must('same', 'moved', 70_000, 'file-bb');
  await other.must('mkdir', 'directory');
  await other.must('remove', 'named-a');
  await one.must('remove', 'moved');
  await one.must('list', 'directory', 'file-a', 'named-bb');
  assert.is((await one.tell('get', 'named-a', 1)).code, 'NotFound');
  for (const [client, name] of [
    [one, 'a'],
    [other, 'bb'],
  ] as const) {
    await client.must('check', name);
    await client.must('free', name);
  }
  await one.must('leave');
  // What was left behind is taken in, and stays.
  await other.must('get', 'file-a', 5_000);
  await other.must('leave');
}

/** Sets a bit of the superblock that neither version knows. */
async function demand(url: string): Promise<void> {
  const session = await tcp().connect(url, { clientId: new Uint8Array(16).fill(7), lane: 0 });
  const bytes = new Uint8Array(superblockBytes);
  await session.read(0, bytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(36, view.getUint32(36, true) | 0x4000_0000, true);
  const covered = Buffer.concat([bytes.subarray(0, 16), bytes.subarray(24, superblockBytes - 4)]);
  view.setUint32(superblockBytes - 4, crc32c(covered), true);
  await session.write(24, bytes.subarray(24));
  await session.write(session.size - superblockBytes, bytes);
  await session.close();
}

for (const version of readdirSync(packagesFolder)) {
  let old: Installed;
  const install = async (): Promise<Installed> =>
    (old ??= await Installed.of(join(packagesFolder, version), folder.at(`old-${version}`)));

  for (const [what, appliance] of [
    ['its appliance', 'old'],
    ["today's appliance", 'now'],
  ] as const) {
    test(`${version}: its client and today's at ${what}, in one region`, async () => {
      const before = await install();
      await using server = (appliance === 'old' ? before : now).serve();
      const { url } = await server.json<{ url: string }>();
      await live(url, before, now);
      for (const { bin, project } of [before, now]) {
        const { code, output } = await run(process.execPath, [bin, 'fsck', url], project);
        assert.is(code, 0, `${output}: ${hint}`);
      }
    });

    test(`${version}: its client and today's refuse a region at ${what} that demands more`, async () => {
      const before = await install();
      await using server = (appliance === 'old' ? before : now).serve();
      const { url } = await server.json<{ url: string }>();
      await demand(url);
      for (const installed of [before, now]) {
        await using refused = installed.client(url, 'refused');
        assert.is((await refused.tell('join')).code, 'Incompatible');
      }
    });
  }
}
test.run();
