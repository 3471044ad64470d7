// deadline: 240s
import { randomBytes } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { open } from 'exomem';
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

test('--repair on a file: what it did, what it would do, and by the exit code what came of it', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  {
    await using server = await Server.start(['--file', file, '--size', '16M']);
    await server.run(['put', '-', '/name'], { stdin: 'x'.repeat(10_000) });
    const busy = await exomem(['fsck', file, '--repair']);
    assert.is(busy.code, 9, busy.stderr);
    await server.kill('SIGINT');
  }
  const whole = readFileSync(file);
  assert.is((await exomem(['fsck', file, '--repair'])).code, 0);
  assert.ok(readFileSync(file).equals(whole));
  const groupOffset = Number(whole.readBigUInt64LE(160));
  const sick = Buffer.from(whole);
  sick[100]! ^= 1; // the superblock
  sick[groupOffset + 3]! ^= 0x80; // a page of the file is not withheld
  sick[groupOffset + 800]! ^= 0x02; // a free group with a page in use
  writeFileSync(file, sick);

  const dry = await exomem(['fsck', file, '--repair', '--dry-run']);
  assert.is(dry.code, 1, dry.stderr);
  assert.match(
    String(dry.stdout),
    /^Found\nsuperblock[\s\S]*\nWould be repaired\n {2}the superblock is brought back[\s\S]*\nclean; /,
  );
  assert.ok(readFileSync(file).equals(sick));
  const done = await exomem(['fsck', file, '--repair', '--json']);
  assert.is(done.code, 1, done.stderr);
  const report = JSON.parse(String(done.stdout));
  assert.is(report.damaged, false);
  assert.ok(report.mends.length >= 3 && report.missed.length === 0);
  assert.ok(report.before.some(({ oracle }: { oracle: string }) => oracle === 'superblock'));
  assert.is((await exomem(['fsck', file])).code, 0);
  {
    await using server = await Server.start(['--file', file]);
    assert.is(String((await server.run(['cat', '/name'])).stdout), 'x'.repeat(10_000));
    await server.kill('SIGINT');
  }
  // A record that is damaged is beyond repair: it is told so, and what to do. What else there was is repaired.
  const lost = Buffer.from(readFileSync(file));
  const rootOffset = 4096;
  const snapshot = Number(lost.readBigUInt64LE(rootOffset) & 0xf_ffff_ffffn) * 4096;
  assert.ok(snapshot === 0 || snapshot < lost.length);
  lost[100]! ^= 1;
  const logOffset = Number(lost.readBigUInt64LE(168));
  const record = Number((lost.readBigUInt64LE(logOffset + 8) & 0x3ff_ffff_ffffn) * 64n);
  if (snapshot === 0) lost[record + 30]! ^= 1;
  else lost[snapshot + 4100]! ^= 1;
  writeFileSync(file, lost);
  const left = await exomem(['fsck', file, '--repair']);
  assert.is(left.code, 7, left.stderr);
  assert.match(
    String(left.stdout),
    /Repaired\n {2}the superblock[\s\S]*damaged: \d+ found[\s\S]*(root|I7).*: .*exomem serve --load IMAGE/,
  );
  // Only with losses accepted the namespace is rebuilt of what is left of it: here, of pages.
  assert.is((await exomem(['fsck', file, '--accept-loss'])).code, 2);
  const rebuilt = await exomem(['fsck', file, '--repair', '--accept-loss', '--json']);
  assert.is(rebuilt.code, 1, rebuilt.stderr);
  assert.match(JSON.parse(String(rebuilt.stdout)).losses[0].what, /^the (record|snapshot) of/);
  {
    await using server = await Server.start(['--file', file]);
    const found = await server.run(['cat', '/lost+found/pages-0']);
    assert.ok(String(found.stdout).startsWith('x'.repeat(10_000)), found.stderr);
    await server.kill('SIGINT');
  }
  assert.is((await exomem(['fsck', file, '--dry-run'])).code, 2);
  assert.is((await exomem(['fsck', `file:${file}`, '--repair'])).code, 9);
  assert.is((await exomem(['fsck', folder.at('none'), '--repair'])).code, 3);
});

test('--repair on a region that is in use', async () => {
  await using server = await Server.start(['--size', '16M']);
  await server.run(['put', '-', '/name'], { stdin: 'y'.repeat(10_000) });
  let over = false;
  const busy = (async () => {
    await using memory = await open(server.url);
    for (let round = 0; !over; round++) {
      await memory.writeFile(`/busy${round % 5}`, new Uint8Array(50_000).fill(round));
      if (round % 3 === 0) await memory.files.unlink(`/busy${round % 5}`);
      await (await memory.allocate(100_000)).free();
    }
  })();
  try {
    await repairOnline(server);
  } finally {
    over = true;
    await busy;
  }
  assert.is((await server.run(['fsck'])).code, 0);
});

async function repairOnline(server: Server): Promise<void> {
  {
    const session = await tcp().connect(server.url, { clientId: randomBytes(16), lane: 0 });
    // The copy of the superblock, and the lock word.
    await session.write(4096 + 64, new Uint8Array(8).fill(9));
    await session.write(session.size - 4000, new Uint8Array(8).fill(9));
    await session.close();
  }
  const sick = await server.run(['fsck']);
  assert.is(sick.code, 7, String(sick.stdout));
  const { code, stdout, stderr } = await server.run(['fsck', '--repair']);
  assert.is(code, 1, `${stdout}${stderr}`);
  assert.match(String(stdout), /the lock word is not used[\s\S]*\nclean; /);
  assert.is((await server.run(['fsck'])).code, 0);
  assert.is(String((await server.run(['cat', '/name'])).stdout), 'y'.repeat(10_000));
}

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
