import { createHash, randomBytes } from 'node:crypto';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import { exomem, Folder, Server } from './fixtures/command.js';

const test = suite('files by command');

let server: Server;
test.before(async () => {
  server = await Server.start();
});
test.after(() => server[Symbol.asyncDispose]());

async function fine(args: readonly string[], stdin?: string | Uint8Array): Promise<string> {
  const { code, stdout, stderr } = await server.run(args, { stdin });
  assert.is(code, 0, `exomem ${args.join(' ')}: ${stderr}`);
  return String(stdout);
}
async function fails(code: number, args: readonly string[]): Promise<string> {
  const ran = await server.run(args);
  assert.is(ran.code, code, `exomem ${args.join(' ')}: ${ran.stderr}`);
  assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
  return ran.stderr;
}

test('what is put is what one gets: of files, stdin, into files, directories, stdout', async () => {
  using folder = new Folder();
  const bytes = randomBytes(9_000_001);
  writeFileSync(folder.at('a.bin'), bytes, { mode: 0o640 });
  await fine(['put', folder.at('a.bin'), '/a.bin']);
  await fine(['get', '/a.bin', folder.at('b.bin')]);
  assert.ok(readFileSync(folder.at('b.bin')).equals(bytes));
  assert.is(statSync(folder.at('b.bin')).mode & 0o777, 0o640);
  await fine(['get', '/a.bin', folder.at('/')]);
  await fine(['mkdir', '/in']);
  await fine(['put', '-', '/in/stdin'], bytes);
  const { code, stdout } = await server.run(['get', '/in/stdin', '-']);
  assert.is(code, 0);
  assert.ok(stdout.equals(bytes));
  await fine(['put', folder.at('a.bin'), '/in']);
  assert.is(await fine(['ls', '/in']), 'a.bin\nstdin\n');
  assert.ok((await server.run(['cat', '/a.bin', '/in/a.bin'])).stdout.equals(Buffer.concat([bytes, bytes])));
  await fine(['put', '-', '/empty'], '');
  assert.is(await fine(['cat', '/empty']), '');
  // In the place of another file, whole.
  await fine(['put', '-', '/a.bin'], 'short');
  assert.is(await fine(['cat', '/a.bin']), 'short');
  await fails(4, ['put', '-n', folder.at('a.bin'), '/a.bin']);
  assert.is(await fine(['cat', '/a.bin']), 'short');
  // A file that could not be put whole leaves nothing behind.
  await fails(5, ['put', '/dev/zero', '/in/endless']);
  assert.is(await fine(['ls', '/in']), 'a.bin\nstdin\n');
  await fine(['rm', '-r', '/in', '/a.bin', '/empty']);
  assert.is(await fine(['ls']), '');
});

test('names: mkdir, mv, rm, and what they refuse', async () => {
  await fine(['mkdir', '-p', '/d/e/f']);
  await fine(['mkdir', '-p', '/d/e/f']);
  await fails(4, ['mkdir', '/d/e']);
  await fails(3, ['mkdir', '/no/e']);
  await fine(['put', '-', '/d/x'], 'x');
  await fails(4, ['mkdir', '-p', '/d/x']);
  await fails(3, ['mkdir', '/d/x/y']);
  await fine(['mv', '/d/x', '/d/e/']);
  await fine(['mv', '/d/e/x', '/d/e/f']);
  await fine(['mv', '/d/e/f', '/d/g']);
  assert.is(await fine(['cat', '/d/g/x']), 'x');
  assert.match(await fails(2, ['mv', '/d', '/d/g']), 'exomem --help');
  await fails(3, ['mv', '/none', '/d']);
  await fails(2, ['mv', '/d/g/x', 'tcp://127.0.0.1:1/other/x']);
  assert.match(await fails(2, ['rm', '/d/g']), /rm -r/);
  await fails(3, ['rm', '/none']);
  await fine(['rm', '-f', '/none']);
  assert.match(await fails(2, ['cat', '/d']), '/d is a directory');
  assert.match(await fails(2, ['get', '/d']), '/d is a directory');
  await fails(3, ['get', '/none']);
  await fails(3, ['put', '/no/such/file', '/x']);
  await fails(2, ['put', '/tmp', '/x']);
  // One that fails does not keep the others from what is asked.
  const { code, stderr } = await server.run(['rm', '/none', '/d/g/x', '/none2']);
  assert.is(code, 3);
  assert.is(stderr.split('\n').length, 3);
  assert.is(await fine(['ls', '/d/g']), '');
  await fine(['rm', '-r', '/d']);
});

test('ls and stat, for people and for programs', async () => {
  await fine(['mkdir', '/l']);
  await fine(['put', '-', '/l/five\nlines'], 'bytes');
  const long = await fine(['ls', '-l', '/l']);
  assert.match(long, /^-rw-r--r-- {2}1 {2}0:0 {2}5 {2}\d{4}-\d\d-\d\d \d\d:\d\d:\d\d {2}five\\x0alines\n$/);
  const [entry] = JSON.parse(await fine(['ls', '--json', '/l']));
  assert.is(entry.name, 'five\nlines');
  assert.is(entry.size, 5);
  const found = JSON.parse(await fine(['stat', '--json', '/l/five\nlines']));
  assert.is(found.allocated, 4096);
  assert.is(found.mode, '0644');
  assert.is(found.inode, entry.inode);
  assert.ok(Math.abs(Date.parse(found.modified) - Date.now()) < 60_000);
  assert.match(await fine(['stat', '/l']), /^kind +directory$/m);
  await fails(3, ['stat', '/none']);
  await fine(['rm', '-r', '/l']);
});

test('a location is a URL with a path, or a path and EXOMEM_URL', async () => {
  const { url } = server;
  assert.is((await exomem(['put', '-', `${url}/with%20space`], { stdin: 'a' })).code, 0);
  assert.is(await fine(['ls']), 'with space\n');
  assert.is(String((await exomem(['cat', `${url}#/with space`])).stdout), 'a');
  assert.is((await exomem(['mv', `${url}/with space`, '/b'])).code, 0);
  assert.is((await exomem(['ls', '/b'])).code, 2);
  assert.is((await exomem(['ls', `${url}/100%`])).code, 2);
  await fine(['rm', '/b']);
});

test('thirty puts, each a process of its own, leave no principal behind', async () => {
  const names = Array.from({ length: 30 }, (_, at) => `/p${at}`);
  const digest = (bytes: string | Buffer): string => createHash('sha1').update(bytes).digest('hex');
  for (let at = 0; at < names.length; at += 3) {
    await Promise.all(names.slice(at, at + 3).map((name) => fine(['put', '-', name], `${name} ${'x'.repeat(1000)}`)));
  }
  assert.is((await fine(['ls'])).trim().split('\n').length, 30);
  for (const name of ['/p0', '/p29']) {
    assert.is(digest((await server.run(['cat', name])).stdout), digest(`${name} ${'x'.repeat(1000)}`));
  }
  const principals = async (): Promise<number> => {
    const { members } = JSON.parse(await fine(['members', '--json'])) as { members: { principals: number[] }[] };
    return members.reduce((sum, member) => sum + member.principals.length, 0);
  };
  for (let tries = 0; tries < 600 && (await principals()) > 1; tries++) await new Promise((r) => setTimeout(r, 100));
  assert.is(await principals(), 1);
  await fine(['rm', ...names]);
});

test.run();
