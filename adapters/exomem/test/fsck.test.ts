import { readFileSync, writeFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import { exomem, Folder, Server } from './fixtures/command.js';

const test = suite('fsck');

interface Report {
  readonly damaged: boolean;
  readonly members: number;
  readonly inodes: number;
  readonly log: { readonly begin: number; readonly end: number };
  readonly counts: { readonly total: number; readonly named: number };
  readonly findings: readonly { readonly oracle: string; readonly severity: string; readonly page?: number }[];
}
const parse = (stdout: Buffer): Report => JSON.parse(String(stdout));

test('a region that is served, and its file: clean, and nothing is written', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  {
    await using server = await Server.start(['--file', file, '--size', '16M']);
    await server.run(['mkdir', '/d']);
    await server.run(['put', '-', '/d/name'], { stdin: 'x'.repeat(10_000) });
    const served = await server.run(['fsck']);
    assert.is(served.code, 0, `${served.stdout}${served.stderr}`);
    assert.match(String(served.stdout), /^clean; 1 joined, 3 inodes, records 1 to \d+\n[\d,]+ pages: .* 3 in files/);
    const report = parse((await server.run(['fsck', '--json', '--at-rest'])).stdout);
    assert.is(report.damaged, false);
    assert.equal([report.members, report.inodes, report.counts.named], [1, 3, 3]);
    await server.kill('SIGINT');
  }
  const before = readFileSync(file);
  const kept = await exomem(['fsck', file]);
  assert.is(kept.code, 0, `${kept.stdout}${kept.stderr}`);
  assert.match(String(kept.stdout), /^clean; 0 joined, 3 inodes/);
  assert.ok(readFileSync(file).equals(before));
});

test('a region in use is clean whenever one looks', async () => {
  await using server = await Server.start(['--size', '16M']);
  let over = false;
  const busy = async (name: string): Promise<void> => {
    while (!over) {
      await server.run(['put', '-', `/${name}`], { stdin: 'y'.repeat(200_000) });
      await server.run(['rm', `/${name}`]);
    }
  };
  const work = Promise.all([busy('a'), busy('b')]);
  try {
    for (let look = 0; look < 6; look++) {
      const { code, stdout, stderr } = await server.run(['fsck']);
      assert.is(code, 0, `${stdout}${stderr}`);
    }
  } finally {
    over = true;
    await work;
  }
});

test('damage is named, and told by the exit code', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  {
    await using server = await Server.start(['--file', file, '--size', '16M']);
    await server.run(['put', '-', '/name'], { stdin: 'x'.repeat(10_000) });
    await server.kill('SIGINT');
  }
  const whole = readFileSync(file);
  const groupOffset = Number(whole.readBigUInt64LE(160));
  const harm = async (change: (bytes: Buffer) => void): Promise<Report> => {
    const bytes = Buffer.from(whole);
    change(bytes);
    writeFileSync(file, bytes);
    const { code, stdout, stderr } = await exomem(['fsck', file, '--json']);
    assert.is(code, 7, `${stdout}${stderr}`);
    return parse(stdout);
  };
  const oraclesOf = ({ findings }: Report) => [
    ...new Set(findings.filter(({ severity }) => severity === 'damage').map(({ oracle }) => oracle)),
  ];
  // The first group has the file's pages.
  assert.equal(oraclesOf(await harm((bytes) => bytes.fill(0, groupOffset, groupOffset + 8))), ['I6']);
  assert.equal(oraclesOf(await harm((bytes) => void (bytes[groupOffset + 7]! ^= 0x40))), ['groups']);
  assert.equal(oraclesOf(await harm((bytes) => void (bytes[100]! ^= 1))), ['superblock']);
  assert.equal(oraclesOf(await harm((bytes) => void (bytes[bytes.length - 4000]! ^= 1))), ['superblock']);

  const { stdout } = await exomem(['fsck', file], { env: { NO_COLOR: '1' } });
  assert.match(
    String(stdout),
    /^damaged: 1 found; .*\n.*\n\nsuperblock {2}The superblock is whole .*\n {2}of the copy: /,
  );
});

test('what cannot be read is no region', async () => {
  using folder = new Folder();
  const file = folder.at('x');
  for (const bytes of [Buffer.alloc(0), Buffer.alloc(100_000), Buffer.alloc(10_000, 'noise')]) {
    writeFileSync(file, bytes);
    const { code, stdout, stderr } = await exomem(['fsck', file]);
    assert.is(code, 7, stderr);
    assert.is(String(stdout), '');
    assert.match(stderr, /^exomem: [^\n]+\n$/);
  }
  assert.is((await exomem(['fsck', folder.at('none')])).code, 3);
  assert.is((await exomem(['fsck', 'tcp://127.0.0.1:1/default'])).code, 6);
  assert.is((await exomem(['fsck', 'tcp://127.0.0.1:1/default/a'])).code, 2);
});

test.run();
