// deadline: 180s
import { once } from 'node:events';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { assert, suite } from '@exomem/testing';
import { exomem, Folder, Running, Server } from './fixtures/command.js';

const test = suite('serve');

/** One line on stderr, no stack, that exit code. */
async function refused(code: number, args: readonly string[], says: RegExp, url?: string): Promise<void> {
  const ran = await exomem(args, { url });
  assert.is(ran.code, code, `exomem ${args.join(' ')}: ${ran.stderr}`);
  assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
  assert.match(ran.stderr, says);
  assert.is(String(ran.stdout), '');
}

test('what makes no sense is refused in one line, before anything is touched', async () => {
  using folder = new Folder();
  const file = folder.at('region');
  for (const size of ['0', '-5M', '0.3K', '99999999T', '12x', '1K', '']) {
    await refused(2, ['serve', '--size', size, '--file', file, '--listen', '127.0.0.1:0'], /size|few/);
  }
  await refused(2, ['serve', '--size', '64M', '--lease', '10', '--file', file], /lease/);
  await refused(2, ['serve', '--size', '64M', '--lease', '1ms', '--file', file, '--listen', '127.0.0.1:0'], /lease/);
  await refused(2, ['serve', '--size', '64M', '--listen', 'nonsense:x', '--file', file], /address/);
  await refused(2, ['serve', '--size', '64M', '--name', 'a/b', '--file', file, '--listen', '127.0.0.1:0'], /name/);
  await refused(2, ['serve', '--listen', '127.0.0.1:0'], /--size/);
  await refused(3, ['serve', '--file', file, '--listen', '127.0.0.1:0'], /no /);
  await refused(8, ['serve', '--size', '200T', '--listen', '127.0.0.1:0'], /--size \d+M/);
  assert.not(existsSync(file));
  await refused(2, ['nonsense'], /nonsense/);
  await refused(2, ['serve', '--nonsense'], /--nonsense/);
  await refused(2, ['quota', 'set', 'default'], /'size': `exomem quota set --help` shows/);
  await refused(2, ['ls', 'a', 'b'], /got 2: `exomem ls --help` shows/);
  const serve = ['serve', '--size', '64M', '--file', file, '--listen', '127.0.0.1:0'];
  await refused(2, [...serve, '--placement', 'nonsense'], /no placement "nonsense": known are low-fragmentation/);
  await refused(2, [...serve, '--raw', '--clean', '4M'], /--clean says nothing about memory that is only set aside/);
  await refused(2, [...serve, '--configured'], /choose that policy/);
  assert.not(existsSync(file));
  await refused(2, ['ls', 'gopher://x/y'], /known are tcp, unix/);
  await refused(2, ['ls'], /EXOMEM_URL/);
  await refused(3, ['ls', '--plugin', './nothing.mjs', 'tcp://127.0.0.1:1/x'], /plug-in/);
  await refused(6, ['ls', 'tcp://127.0.0.1:1/x'], /127\.0\.0\.1:1/);
  await refused(6, ['ls', `unix:${folder.at('none.sock')}`], /none\.sock/);
});

test('Ctrl-C ends it, and says what is lost', async () => {
  await using server = new Running(['serve', '--size', '64M', '--listen', '127.0.0.1:0', '--name', 'r 1']);
  const line = await server.line((text) => text.includes('tcp://'));
  const url = line.trim();
  assert.match(url, /^tcp:\/\/127\.0\.0\.1:\d+\/r%201$/);
  await refused(3, ['ls', url.replace('r%201', 'other')], /other/);
  await refused(9, ['serve', '--size', '64M', '--listen', new URL(url).host], /in use/);
  assert.is((await exomem(['put', '-', `${url}/x`], { stdin: 'x' })).code, 0);
  const { code, signal } = await server.kill('SIGINT');
  assert.is(code, 0);
  assert.is(signal, null);
  assert.match(server.stderr, /lost/);
  await refused(6, ['ls', url], /./);
});

test('a socket of the file system, and several addresses', async () => {
  using folder = new Folder();
  const listen = `unix:${folder.at('s.sock')}`;
  await using server = await Server.start(['--listen', listen, '--listen', '127.0.0.1:0']);
  assert.is(server.served.urls.length, 2);
  assert.is(server.url, listen);
  assert.is((await exomem(['put', '-', `${listen}#/x`], { stdin: 'over a socket' })).code, 0);
  assert.is(String((await exomem(['cat', `${server.served.urls[1]}/x`])).stdout), 'over a socket');
  await server.kill('SIGTERM');
  assert.not(existsSync(folder.at('s.sock')));
});

test('a file keeps the region; it has one server and one size', async () => {
  using folder = new Folder();
  const file = folder.at('kept');
  const args = ['--size', '64M', '--file', file, '--lease', '20s'];
  {
    await using server = await Server.start(args);
    assert.ok(server.served.created);
    assert.is((await server.run(['put', '-', '/x'], { stdin: 'kept' })).code, 0);
    await refused(9, ['serve', ...args, '--listen', '127.0.0.1:0'], new RegExp(`kill ${server.child.pid}`));
    await refused(9, ['destroy', file], new RegExp(`kill ${server.child.pid}`));
    assert.is((await server.kill('SIGINT')).code, 0);
    assert.match(server.stderr, /^$/);
  }
  const before = readFileSync(file);
  await refused(2, ['serve', '--size', '32M', '--file', file, '--listen', '127.0.0.1:0'], /--size 67108864/);
  await refused(2, ['serve', '--lease', '5s', '--file', file, '--listen', '127.0.0.1:0'], /lease/);
  assert.ok(before.equals(readFileSync(file)));
  {
    await using server = await Server.start(['--file', file]);
    assert.not(server.served.created);
    assert.is(String((await server.run(['cat', '/x'])).stdout), 'kept');
    // What is killed keeps its file, too; the system has its bytes.
    await server.run(['put', '-', '/y'], { stdin: 'y' });
    await server.kill('SIGKILL');
  }
  {
    await using server = await Server.start(['--file', file, '--size', '64M']);
    assert.is(String((await server.run(['cat', '/x', '/y'])).stdout), 'kepty');
    await server.kill('SIGINT');
  }
  {
    await using server = await Server.start(['--file', file, '--format']);
    assert.is(String((await server.run(['ls'])).stdout), '');
    await server.kill('SIGINT');
  }
  assert.is((await exomem(['destroy', file])).code, 0);
  assert.not(existsSync(file));
  await refused(3, ['destroy', file], /kept/);
});

test('what keeps no region is not destroyed by a slip', async () => {
  using folder = new Folder();
  const notes = folder.at('notes');
  for (const text of ['', 'hi\n', 'x'.repeat(10_000)]) {
    writeFileSync(notes, text);
    await refused(2, ['destroy', notes], /keeps no region.*--force/);
    await refused(7, ['ls', `file:${notes}`], /name a file that keeps a region/);
    assert.is(readFileSync(notes, 'utf8'), text);
  }
  assert.is((await exomem(['destroy', '--force', notes])).code, 0);
  assert.not(existsSync(notes));
});

test('what is no region is refused with the reason, and nothing is written to it', async () => {
  using folder = new Folder();
  const file = folder.at('image');
  const listen = ['--listen', '127.0.0.1:0'];
  {
    await using server = await Server.start(['--file', file, '--size', '16M']);
    await server.kill('SIGINT');
  }
  const image = readFileSync(file);
  const with_ = (offset: number, xor: number): Buffer => {
    const changed = Buffer.from(image);
    changed[offset]! ^= xor;
    return changed;
  };
  const cases: [string, Buffer, RegExp][] = [
    ['zeros', Buffer.alloc(image.length), /--format/],
    ['noise', Buffer.from(image.map((_, at) => (at * 131 + (at >> 8)) & 255)), /--format/],
    ['a newer version', with_(8, 1), /version 1/],
    ['one bit', with_(100, 4), /checksum/],
  ];
  for (const [name, bytes, says] of cases) {
    writeFileSync(file, bytes);
    await refused(7, ['serve', '--file', file, ...listen], says);
    assert.ok(readFileSync(file).equals(bytes), name);
  }
  writeFileSync(file, 'short');
  await refused(2, ['serve', '--file', file, ...listen], /multiple of 8/);
  assert.is(statSync(file).size, 5);
});

test('a client that is killed is silent first, then dead; then what it held is free again', async () => {
  await using server = await Server.start(['--lease', '4s']);
  // It sends half a file, and waits for the rest.
  await using client = new Running(['put', '-', '/half'], { url: server.url });
  client.child.stdin!.write(new Uint8Array(8_000_000));
  type Member = { state: string; pid: number; pages: number; note?: string };
  const find = async (...more: string[]): Promise<Member | undefined> => {
    const { stdout, stderr } = await server.run(['members', '--json', ...more]);
    assert.is(stderr, '');
    return (JSON.parse(String(stdout)).members as Member[]).find(({ pid }) => pid === client.child.pid);
  };
  const until = async (fits: (found: Member | undefined) => boolean): Promise<Member> => {
    for (let tries = 0; tries < 1200; tries++) {
      const found = await find();
      if (fits(found)) return found!;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    throw new Error(`it stays ${JSON.stringify(await find())}`);
  };
  const alive = await until((found) => (found?.pages ?? 0) > 0);
  assert.is(alive.state, 'active');
  await client.kill('SIGKILL');
  const silent = await find('--check');
  assert.is(silent?.state, 'silent');
  assert.is(silent?.pages, alive.pages);
  assert.match(silent?.note ?? '', new RegExp(`keeps ${alive.pages} pages`));
  await until((found) => found === undefined);
  assert.match(server.stderr, /declared dead/);
  // Nothing of its half file is left: neither a name nor a page.
  assert.is(String((await server.run(['ls'])).stdout), '');
  const { stdout } = await server.run(['members', '--json']);
  const { total, free } = JSON.parse(String(stdout)).pages as { total: number; free: number };
  assert.ok(total - free <= 16, `${total - free} pages are held`);
});

test('EXOMEM_TRACE=wire shows frames; help shows examples; a reader that goes away is no error', async () => {
  await using server = await Server.start();
  const traced = await server.run(['ls'], { env: { EXOMEM_TRACE: 'wire' } });
  assert.is(traced.code, 0);
  assert.match(traced.stderr, /client -> read #\d+ \d+ B tcp:/);
  for (const command of ['serve', 'ls', 'put', 'get', 'members', 'destroy']) {
    const help = await exomem([command, '--help']);
    assert.is(help.code, 0);
    assert.match(String(help.stdout), /Examples\n {2}exomem /);
  }
  assert.match(String((await exomem(['--help'])).stdout), /Exit codes/);
  assert.match(String((await exomem(['--version'])).stdout), /^\d+\.\d+\.\d+\n$/);
  await server.run(['put', '-', '/big'], { stdin: new Uint8Array(20_000_000) });
  await using reader = new Running(['cat', '/big'], { url: server.url });
  reader.child.stdout!.destroy();
  assert.is((await reader.ended).code, 0);
  assert.is(reader.stderr, '');
});

test('Ctrl-C ends a command that waits', async () => {
  // It accepts and never answers.
  const sockets: Socket[] = [];
  const silent = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
  await once(silent, 'listening');
  try {
    const { port } = silent.address() as AddressInfo;
    await using waiting = new Running(['ls', `tcp://127.0.0.1:${port}/x`]);
    await once(silent, 'connection');
    assert.is((await waiting.kill('SIGINT')).code, 130);
    assert.match(waiting.stderr, /^exomem: [^\n]*SIGINT[^\n]*\n$/);
  } finally {
    for (const socket of sockets) socket.destroy();
    silent.close();
  }
});

test('Ctrl-C in the middle of a put leaves nothing of it', async () => {
  await using server = await Server.start();
  await server.run(['put', '-', '/x'], { stdin: 'before' });
  await using client = new Running(['put', '-', '/x'], { url: server.url });
  client.child.stdin!.write(new Uint8Array(8_000_000));
  for (let held = 0; held < 1000; ) {
    const { stdout } = await server.run(['members', '--json']);
    held = (JSON.parse(String(stdout)).members as { pages: number }[]).reduce((sum, { pages }) => sum + pages, 0);
  }
  assert.is((await client.kill('SIGINT')).code, 130);
  assert.match(client.stderr, /^exomem: [^\n]*SIGINT[^\n]*\n$/);
  assert.is(String((await server.run(['ls'])).stdout), 'x\n');
  assert.is(String((await server.run(['cat', '/x'])).stdout), 'before');
});

test.run();
