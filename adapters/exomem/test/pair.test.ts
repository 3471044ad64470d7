// deadline: 600s
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FaultyLink } from '@exomem/conformance';
import { Client, type Geometry, memberState, pairTransport, splitPairUrl } from '@exomem/core';
import { fuseNative } from '@exomem/mount';
import { assert, code, suite } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { type Memory, open } from 'exomem';
import { surroundings } from '../src/surroundings.js';
import { exomem, Folder, Running, Server } from './fixtures/command.js';

// The metadata of a region in a region of its own: served by one process, or by two.

const test = suite('metadata and data apart');
const obstacle = await fuseNative().obstacle();
const mounting = (name: string, body: () => Promise<void>): void => {
  if (obstacle === undefined) test(name, body);
  else test.skip(name, `${obstacle.what}; ${obstacle.advice}`);
};
const holder = fileURLToPath(new URL('./fixtures/holder.js', import.meta.url));

async function until(what: string, is: () => Promise<boolean>): Promise<void> {
  for (let turn = 0; !(await is()); turn++) {
    if (turn === 3000) throw new Error(`never: ${what}`);
    await sleep(20);
  }
}

async function clean(where: string): Promise<void> {
  const { code, stdout, stderr } = await exomem(['fsck', where]);
  assert.is(code, 0, `${stdout}${stderr}`);
}

/** Two processes: one has set memory aside for the metadata, one serves the data. */
class Apart implements AsyncDisposable {
  constructor(
    readonly metadata: Running,
    public data: Server,
    readonly place: string,
  ) {}
  static async start(args: readonly string[] = []): Promise<Apart> {
    const raw = ['serve', '--raw', '--json', '--size', '16M', '--name', 'meta', '--listen', '127.0.0.1:0'];
    const metadata = new Running(raw);
    const { url } = await metadata.json<{ url: string }>();
    const data = await Server.start(['--metadata', url, '--lease', '3s', ...args]);
    return new Apart(metadata, data, url);
  }
  get url(): string {
    return this.data.url;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.data[Symbol.asyncDispose]();
    await this.metadata[Symbol.asyncDispose]();
  }
}

test('one process serves both, and all commands take the URL of both', async () => {
  using folder = new Folder();
  await using server = await Server.start(['--metadata', '8M', '--name', 'r']);
  const { url } = server;
  assert.match(url, /^tcp:\/\/127\.0\.0\.1:\d+\/r\?metadata=tcp:\/\/127\.0\.0\.1:\d+\/r\.metadata$/);
  const local = folder.at('local');
  const bytes = Buffer.alloc(700_000, 'what is copied');
  writeFileSync(local, bytes);
  for (const args of [
    ['put', local, `${url}#/a`],
    ['mkdir', `${url}#/d`],
    ['mv', `${url}#/a`, `${url}#/d/b`],
    ['stat', `${url}#/d/b`],
    ['members', url],
    ['map', url],
    ['du', url],
    ['dump', url],
    ['fsck', url],
    ['fsck', url, '--repair'],
  ]) {
    const ran = await exomem(args);
    assert.is(ran.code, 0, `${args.join(' ')}: ${ran.stderr}${ran.stdout}`);
  }
  // As EXOMEM_URL, too.
  assert.equal((await server.run(['cat', '/d/b'])).stdout, bytes);
  // An image is of a region in one piece.
  const image = folder.at('image');
  assert.is((await exomem(['image', 'save', url, image])).code, 0);
  await clean(image);
  await using whole = await Server.start(['--load', image, '--size', '72M']);
  assert.equal((await whole.run(['cat', '/d/b'])).stdout, bytes);
  await using other = await Server.start(['--metadata', '8M']);
  assert.is((await exomem(['image', 'load', image, other.url])).code, 0);
  assert.equal((await other.run(['cat', '/d/b'])).stdout, bytes);
  for (const flag of ['--load', '--save']) {
    const ran = await exomem(['serve', '--size', '64M', '--metadata', '8M', flag, image, '--listen', '127.0.0.1:0']);
    assert.is(ran.code, 2);
    assert.match(ran.stderr, /exomem image (load|save)/);
  }
  // Each half alone says what it is.
  const { data, metadata } = splitPairUrl(url)!;
  for (const half of [data, metadata]) {
    const ran = await exomem(['ls', half]);
    assert.is(ran.code, 7, ran.stderr);
    assert.match(ran.stderr, /\?metadata=/);
  }
  // And two that do not belong together are refused.
  const mixed = `${data}?metadata=${splitPairUrl(other.url)!.metadata}`;
  assert.match((await exomem(['ls', mixed])).stderr, /belongs to the region/);
  const small = await exomem(['serve', '--size', '64M', '--metadata', '100K', '--listen', '127.0.0.1:0']);
  assert.is(small.code, 2);
  assert.match(small.stderr, /larger metadata region: at least \d+ bytes/);
});

test('a client that is killed is recovered, and shut out at both', async () => {
  await using apart = await Apart.start();
  await using memory = await open(apart.url);
  await using program = new Running([apart.url], {}, holder);
  const held = await program.json<{ slot: number; incarnation: number; offset: number }>();
  const { free } = await memory.usage();
  await program.kill('SIGKILL');
  await until('its memory is free', async () => (await memory.usage()).free >= free + 244);
  assert.is(
    (await memory.readFile('/held')).findIndex((byte) => byte !== 6),
    -1,
  );
  await until('its slot is', async () => (await memory.members()).members[held.slot]!.state === memberState.free);
  // What its gate shows in the data region.
  const { client } = memory;
  const at = client.superblock.data!.offset + 4096 + 8 * held.slot;
  const gate = await client.session.load(at);
  assert.equal([Number(gate >> 60n), Number((gate >> 40n) & 0xfffffn)], [memberState.fenced, held.incarnation]);
  await clean(apart.url);
});

test('a client that is stopped while it writes, and goes on when it is dead, writes nothing any more', async () => {
  await using apart = await Apart.start();
  await using memory = await open(apart.url);
  await using program = new Running([apart.url, 'write'], {}, holder);
  const held = await program.json<{ slot: number; offset: number }>();
  program.child.kill('SIGSTOP');
  await until('its slot is free', async () => (await memory.members()).members[held.slot]!.state === memberState.free);
  // All memory that there is, its own among it.
  const taken = [];
  for (let bytes = 16 * 1024 * 1024; bytes >= 64 * 1024; ) {
    const one = await memory.allocate(bytes).catch(() => undefined);
    if (one === undefined) bytes /= 2;
    else taken.push(one);
  }
  const mine = taken.find(({ offset, length }) => offset <= held.offset && held.offset < offset + length);
  assert.ok(mine !== undefined, 'what it held is somebody else’s now');
  await mine.write(0, new Uint8Array(mine.length).fill(9));
  program.child.kill('SIGCONT');
  assert.equal(JSON.parse(await program.line((line) => line.includes('code'))), { code: 'Fenced' });
  await program.ended;
  const bytes = new Uint8Array(mine.length);
  await mine.read(0, bytes);
  assert.is(
    bytes.findIndex((byte) => byte !== 9),
    -1,
  );
});

test('a write that is late does not land behind revoke, at whichever half it comes in', async () => {
  await using apart = await Apart.start();
  await using memory = await open(apart.url);
  const { data, metadata } = splitPairUrl(apart.url)!;
  const links = await Promise.all(
    [metadata, data].map((url) => FaultyLink.open({ host: '127.0.0.1', port: Number(new URL(url).port) })),
  );
  try {
    const [linkedMetadata, linkedData] = [metadata, data].map((url, at) =>
      url.replace(/:\d+\//, `:${links[at]!.port}/`),
    );
    const transport = pairTransport({ metadata: tcp(), data: tcp() });
    const url = `${linkedData}?metadata=${linkedMetadata}`;
    const victim = await Client.open({ transport, url, surroundings, label: 'victim' });
    const allocation = await victim.allocate(100_000);
    const { slot } = victim.member;
    const { offset } = allocation;
    const word = await memory.client.session.load(offset);
    const release = links[1]!.hold();
    const late = victim.session.write(offset, new Uint8Array(8).fill(0xee)) as Promise<void>;
    const told = code(late);
    assert.is(await memory.client.kick(slot), true);
    // Also not when the claim of a word in the metadata is tried behind it: it waits for the write.
    release();
    assert.ok(['Fenced', 'OutcomeUnknown', 'Disconnected'].includes(await told), await told);
    assert.is(await memory.client.session.load(offset), word);
    assert.is(await code(allocation.write(0, new Uint8Array(8))), 'Fenced');
    assert.is(await code(victim.allocate(10)), 'Fenced');
    await victim.close();
  } finally {
    for (const link of links) await link.close();
  }
});

for (const which of ['data', 'metadata'] as const) {
  test(`the appliance of the ${which} is killed: everybody hears of it, in a typed error`, async () => {
    await using apart = await Apart.start();
    const memory = await open(apart.url, { silence: 1000 });
    const file = await memory.open('/f', { create: true });
    await file.write(0, new Uint8Array(10_000));
    await file.flush();
    await (which === 'data' ? apart.data : apart.metadata).kill('SIGKILL');
    const lost = ['Disconnected', 'OutcomeUnknown', 'DeadlineExceeded'];
    const work = which === 'data' ? () => file.read(0, new Uint8Array(100)) : () => memory.allocate(100_000);
    const heard = await code(work());
    assert.ok(lost.includes(heard), heard);
    const closed = await code(memory.close());
    assert.ok(['none', ...lost].includes(closed), closed);
    const ran = await exomem(['ls', apart.url]);
    assert.is(ran.code, 6, ran.stderr);
    assert.match(ran.stderr, new RegExp(new URL(splitPairUrl(apart.url)![which]).port));
  });
}

test('the appliance of the data is started again: members go on, and who was shut out stays out', async () => {
  using folder = new Folder();
  const file = folder.at('data');
  await using apart = await Apart.start(['--file', file, '--size', '64M']);
  await using memory = await open(apart.url, { silence: 2000 });
  await memory.writeFile('/f', new Uint8Array(10_000).fill(3));
  const victim = await open(apart.url, { silence: 2000, heartbeat: 'inline' });
  const allocation = await victim.allocate(5000);
  const { slot } = victim.client.member;
  assert.is(await memory.client.kick(slot), true);
  const { data } = splitPairUrl(apart.url)!;
  const port = new URL(data).port;
  await apart.data.kill('SIGKILL');
  const again = ['--file', file, '--metadata', apart.place, '--listen', `127.0.0.1:${port}`];
  apart.data = await Server.start(again);
  assert.is(apart.data.url, apart.url);
  const back = await memory.readFile('/f');
  assert.is(
    back.findIndex((byte) => byte !== 3),
    -1,
  );
  await memory.writeFile('/g', new Uint8Array(100_000));
  // Whatever its connections do now, its lanes are not bound again.
  for (const lane of [victim.client.session]) {
    const renewed = await code((async () => lane.renew())());
    assert.ok(['none', 'Fenced', 'Disconnected'].includes(renewed), renewed);
    const wrote = await code((async () => lane.write(allocation.offset, new Uint8Array(8)))());
    assert.ok(['Fenced', 'Disconnected'].includes(wrote), wrote);
  }
  await code(victim.close());
});

test('the appliance of the metadata is started again: members go on', async () => {
  using folder = new Folder();
  const raw = ['serve', '--raw', '--json', '--name', 'meta', '--file', folder.at('meta')];
  const start = (...more: string[]) => new Running([...raw, ...more]);
  let metadata = start('--size', '16M', '--listen', '127.0.0.1:0');
  try {
    const place = (await metadata.json<{ url: string }>()).url;
    await using server = await Server.start(['--metadata', place, '--lease', '3s']);
    await using memory = await open(server.url, { silence: 2000 });
    await memory.writeFile('/f', new Uint8Array(10_000).fill(3));
    const held = await memory.allocate(100_000);
    await metadata.kill('SIGKILL');
    metadata = start('--listen', new URL(place).host);
    await metadata.json();
    await held.write(0, new Uint8Array(10));
    await memory.writeFile('/g', new Uint8Array(10_000).fill(4));
    assert.equal(
      (await memory.files.list('/')).map(({ name }) => name),
      ['f', 'g'],
    );
    await held.free();
    await clean(server.url);
  } finally {
    await metadata[Symbol.asyncDispose]();
  }
});

test('another region in the place of the data is noticed by who reconnects, member or not', async () => {
  await using apart = await Apart.start();
  const member = await open(apart.url, { silence: 1000, heartbeat: 'inline' });
  await member.writeFile('/f', new Uint8Array(10_000).fill(3));
  await using observer = await open(apart.url, { role: 'observer', silence: 1000 });
  const { data } = splitPairUrl(apart.url)!;
  await apart.data.kill('SIGKILL');
  const raw = ['serve', '--raw', '--json', '--size', '64M', '--listen', new URL(data).host];
  await using other = new Running(raw);
  await other.json();
  const session = observer.client.session;
  const at = session.size - 20 * 1024 * 1024;
  const lost = await code((async () => session.read(at, new Uint8Array(8)))());
  assert.ok(['Disconnected', 'OutcomeUnknown'].includes(lost), lost);
  assert.is(await code((async () => session.renew())()), 'Incompatible');
  // Nothing of it is read.
  assert.is(await code((async () => session.read(at, new Uint8Array(8)))()), 'Disconnected');
  const own = member.client.session;
  await code((async () => own.read(at, new Uint8Array(8)))());
  const renewed = await code((async () => own.renew())());
  assert.ok(['Fenced', 'Incompatible'].includes(renewed), renewed);
  await code(member.close());
});

test('both are kept in files, and served again with the one', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  const start = (args: string[]) => Server.start(['--file', file, ...args]);
  {
    await using server = await start(['--size', '32M', '--metadata', '8M']);
    assert.is((await server.run(['put', '-', '/x'], { stdin: 'kept' })).code, 0);
    await server.kill('SIGINT');
  }
  assert.equal(readdirSync(folder.path).sort(), ['region', 'region.metadata']);
  await clean(file);
  assert.is((await exomem(['fsck', file, '--repair'])).code, 0);
  // The metadata is mended, too: of its superblock there is a copy.
  const bytes = readFileSync(`${file}.metadata`);
  bytes[200]! ^= 0xff;
  writeFileSync(`${file}.metadata`, bytes);
  assert.not.equal((await exomem(['fsck', file])).code, 0);
  assert.is((await exomem(['fsck', file, '--repair'])).code, 1);
  {
    await using server = await start([]);
    assert.is(String((await server.run(['cat', '/x'])).stdout), 'kept');
    await server.kill('SIGINT');
  }
  assert.is((await exomem(['destroy', file])).code, 0);
  assert.not(existsSync(`${file}.metadata`));
});

test('memory that is set aside takes another region when it is told to, and not before', async () => {
  await using apart = await Apart.start();
  assert.is((await exomem(['put', '-', `${apart.url}#/x`], { stdin: 'lost' })).code, 0);
  await apart.data.kill('SIGINT');
  const serve = ['--metadata', apart.place, '--lease', '3s'];
  const refused = await exomem(['serve', '--size', '64M', '--listen', '127.0.0.1:0', ...serve]);
  assert.is(refused.code, 4, refused.stderr);
  assert.match(refused.stderr, /--format/);
  // The appliance of the metadata remembers whom it shut out: incarnations go on from there.
  apart.data = await Server.start([...serve, '--format']);
  await using memory: Memory = await open(apart.url);
  await memory.writeFile('/y', new Uint8Array(10));
  assert.equal(
    (await memory.files.list('/')).map(({ name }) => name),
    ['y'],
  );
  const geometry: Geometry = memory.client.geometry;
  assert.ok(geometry.memberSlots > 0);
});

mounting('it is mounted, and what is written there is seen through the library', async () => {
  using folder = new Folder();
  await using apart = await Apart.start();
  await using memory = await open(apart.url);
  mkdirSync(folder.at('m'));
  await using mounted = new Running(['mount', apart.url, folder.at('m'), '--json']);
  await mounted.json();
  const bytes = Buffer.alloc(1_000_000, 'a directory');
  await writeFile(folder.at('m', 'x'), bytes);
  assert.equal(Buffer.from(await memory.readFile('/x')), bytes);
  await memory.writeFile('/y', bytes.subarray(0, 5000));
  await until('the mount shows it', async () => existsSync(folder.at('m', 'y')));
  assert.equal(await readFile(folder.at('m', 'y')), bytes.subarray(0, 5000));
  assert.is((await mounted.kill('SIGINT')).code, 0);
  await clean(apart.url);
});

test.run();
