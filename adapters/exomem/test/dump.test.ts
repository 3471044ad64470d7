import { readFileSync, writeFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import { exomem, Folder, Server } from './fixtures/command.js';

const test = suite('dump and doctor');

interface Line {
  readonly kind: string;
  readonly [field: string]: unknown;
}
const parse = (stdout: Buffer): Line[] =>
  String(stdout)
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

test('a served region and its file say the same, word by word', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  await using server = await Server.start(['--file', file, '--size', '16M']);
  await server.run(['mkdir', '/d']);
  await server.run(['put', '-', '/d/name'], { stdin: 'x'.repeat(10_000) });
  const served = await server.run(['dump']);
  assert.is(served.code, 0, served.stderr);
  const text = String(served.stdout);
  assert.match(text, /^superblock: version 0, READY, nonce 0x0{16}, uuid [0-9a-f-]{36}$/m);
  assert.match(text, /^copy of the superblock: the same$/m);
  assert.match(text, /^member \d+: 0x2\w+ ACTIVE incarnation 1 beat \d+; applied \d+; steward, process \d+, steward/m);
  assert.match(text, /^principal \d+: 0x2\w+ ACTIVE incarnation 1 of member \d+ incarnation 1, policy 0$/m);
  assert.match(text, /^group 0: 0x\w{16} principal \d+ incarnation \d+ [w.]{16}$/m);
  assert.match(text, /^group \d+-\d+ \(reserve\): 0x0000000055555555 nobody 0{16}$/m);
  assert.match(text, /^root: 0x0{16} version 0, snapshot none$/m);
  assert.match(text, /^log 1: 0x\w{16} lap 0 at \d+: principal \d+ incarnation 1 no\. 1: create parent=1 name="d"/m);
  assert.match(text, /create parent=4096 name="name" .* size=10000 extents=\[0:\d+-\d+\]/);
  assert.match(text, /^log \d+-\d+: empty$/m);

  const lines = parse((await server.run(['dump', '--json'])).stdout);
  const steward = lines.find(({ kind, steward }) => kind === 'member' && steward === true)!;
  const member = await server.run(['dump', '--member', String(steward['slot'])]);
  assert.is(member.code, 0, member.stderr);
  assert.match(String(member.stdout), new RegExp(`^member ${steward['slot']}: .*\\n(principal .*\\n)+(group .*\\n)+`));
  assert.is((await server.run(['dump', '--member', '999'])).code, 2);
  assert.is((await server.run(['dump', '--member', 'x'])).code, 2);

  const groups = lines.filter(({ kind }) => kind === 'groups');
  const { geometry } = lines.find(({ kind }) => kind === 'superblock') as unknown as {
    geometry: Record<string, number>;
  };
  assert.is(
    groups.reduce((sum, { count }) => sum + (count as number), 0),
    geometry['groupCount'],
  );
  await server.kill('SIGINT');

  const kept = await exomem(['dump', file, '--log']);
  assert.is(kept.code, 0, kept.stderr);
  assert.is(String(kept.stdout), String((await exomem(['dump', file, '--log'])).stdout));
  assert.match(String(kept.stdout), /^log 1: .* create parent=1 name="d"/m);
});

test('a snapshot and what is in it', async () => {
  await using server = await Server.start(['--size', '16M', '--lease', '3s']);
  const names = Array.from({ length: 300 }, (_, at) => `/f${at}`);
  await server.run(['mkdir', ...names]);
  for (let tries = 0; ; tries++) {
    const text = String((await server.run(['dump', '--log'])).stdout);
    if (/^snapshot: of everything before log \d+, \d+ bytes in groups \d/m.test(text)) {
      assert.match(text, /^ {2}inode 1: directory 0755 size 0 names f0=\d+/m);
      break;
    }
    assert.ok(tries < 600, text);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
});

test('what is damaged is shown as far as it goes, and nothing is written', async () => {
  using folder = new Folder();
  const file = folder.at('image');
  {
    await using server = await Server.start(['--file', file, '--size', '16M']);
    await server.run(['put', '-', '/a'], { stdin: 'a' });
    await server.kill('SIGINT');
  }
  const image = readFileSync(file);
  const dumped = async (bytes: Buffer, code: number, ...says: RegExp[]): Promise<void> => {
    writeFileSync(file, bytes);
    const { code: found, stdout, stderr } = await exomem(['dump', file]);
    assert.is(found, code, `${stdout}${stderr}`);
    for (const expected of says) assert.match(String(stdout), expected);
    assert.ok(readFileSync(file).equals(bytes));
  };
  const changed = (change: (bytes: Buffer) => void): Buffer => {
    const bytes = Buffer.from(image);
    change(bytes);
    return bytes;
  };
  const records = /create parent=1 name="a"/;
  await dumped(image, 0, records);
  await dumped(
    changed((bytes) => bytes.fill(0, 0, 4096)),
    7,
    /superblock: none/,
    records,
  );
  await dumped(
    changed((bytes) => void (bytes[100]! ^= 1)),
    7,
    /checksum/,
    records,
  );
  await dumped(
    changed((bytes) => void (bytes[8] = 1)),
    7,
    /version 1/,
    records,
  );
  await dumped(
    changed((bytes) => bytes.writeUInt8(0x10, 40)),
    7,
    /ro-compat 0x0{14}10/,
    records,
  );
  await dumped(image.subarray(0, 6_000_000), 7, /ends before|impossible|refused/);
  await dumped(Buffer.alloc(1 << 20), 7, /superblock: none/, /nothing more/);
  await dumped(Buffer.from(image.map((_, at) => (at * 131 + (at >> 8)) & 255)), 7, /nothing more/);
  await dumped(Buffer.alloc(0), 7, /superblock: none/);
  // Bytes of the superblock and of the tables changed, one after the other: whatever they say, it ends well.
  for (const at of [
    8, 17, 25, 48, 66, 73, 81, 90, 99, 122, 131, 143, 163, 172, 186, 193, 203, 4095, 4097, 8200, 8321,
  ]) {
    writeFileSync(
      file,
      changed((bytes) => void (bytes[at]! ^= 0xff)),
    );
    const { code, stderr } = await exomem(['dump', file]);
    assert.ok(code === 0 || code === 7, `byte ${at}: ${code} ${stderr}`);
  }
  const missing = await exomem(['dump', folder.at('none')]);
  assert.is(missing.code, 3);
  assert.match(missing.stderr, /^exomem: [^\n]+\n$/);
});

test('doctor says what this machine can do', async () => {
  const { code, stdout } = await exomem(['doctor', '--json']);
  assert.is(code, 0);
  const found = JSON.parse(String(stdout)) as Record<string, { ok: boolean; what: string; advice?: string }>;
  assert.ok(found['library']!.ok);
  assert.match(found['memory']!.what, /can be set aside/);
  for (const [name, { ok, advice }] of Object.entries(found)) assert.ok(ok || advice !== undefined, name);
  assert.match(String((await exomem(['doctor'], { env: { NO_COLOR: '1' } })).stdout), /^yes {2}library/);
});

test.run();
