import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { run } from '@exomem/core';
import { auditRegion } from '@exomem/core/audit';
import { assert, suite } from '@exomem/testing';
import { type Memory, MiB, open } from 'exomem';
import { saveRegion } from '../src/image/save.js';
import { Service } from '../src/serving/service.js';
import { surroundings } from '../src/surroundings.js';
import { WholeFile } from '../src/whole-file.js';
import { exomem, Folder, Running, type Served, Server } from './fixtures/command.js';

const test = suite('images');

const serve = (more: Partial<Parameters<typeof Service.start>[0]> = {}): Promise<Service> =>
  Service.start({ size: 16 * MiB, listen: '127.0.0.1:0', ...more });
const saving = { replace: true, signal: new AbortController().signal, onProgress: () => undefined };

/** What is damaged in a region, served or in a file. */
async function damage(url: string, atRest = false): Promise<string[]> {
  await using memory = await open(url, { role: 'observer' });
  const { session } = memory.client;
  const { findings } = await run(auditRegion(session.size, { atRest }), { session, surroundings });
  return findings.filter(({ severity }) => severity === 'damage').map(({ oracle, what }) => `${oracle}: ${what}`);
}

/** Waits until nothing is left to be recovered or tidied up. */
async function settled(url: string): Promise<void> {
  for (let look = 0; ; look++) {
    const found = await damage(url, true);
    if (found.length === 0) return;
    if (look > 600) assert.equal(found, []);
    await surroundings.sleep(100);
  }
}

/** A file whose every page says which file it is of, which version, and where. */
function pages(name: string, version: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count * 4096);
  for (let page = 0; page < count; page++) {
    new TextEncoder().encodeInto(`${name} ${version} ${page} ${count} `, bytes.subarray(page * 4096));
    bytes.fill(version & 0xff, page * 4096 + 64, (page + 1) * 4096);
  }
  return bytes;
}
async function putWhole(memory: Memory, name: string, bytes: Uint8Array): Promise<void> {
  await using file = new WholeFile(memory.client, bytes.length);
  await file.write(bytes);
  await file.commit(1, name, { mode: 0o644, uid: 0, gid: 0, replace: true });
}

test('saved under load, an image is clean, every file in it is whole and of one version, and it can be served', async () => {
  using folder = new Folder();
  await using service = await serve({ lease: 3000 });
  let over = false;
  let version = 0;
  const busy = async (label: string): Promise<void> => {
    await using memory = await open(service.url, { label });
    while (!over) {
      const name = `${label}${version % 7}`;
      await putWhole(memory, name, pages(name, ++version, 1 + (version % 40)));
      const scratch = await memory.allocate(4096 * (1 + (version % 30)));
      if (version % 3 === 0) await memory.files.unlink(`/${name}`);
      else if (version % 5 === 0) await memory.files.rename(`/${name}`, `/${label}-renamed`);
      if (version % 11 === 0) await memory.files.mkdir(`/d${label}${version}`);
      await scratch.free();
    }
  };
  const work = ['a', 'b', 'c'].map(busy);
  try {
    for (let round = 0; round < 3; round++) {
      const path = folder.at(`image${round}`);
      const begun = version;
      // Somebody dies half way, and is recovered while the region is saved, or a little before or after.
      await using victim = new Running(['put', '-', `/never${round}`], { url: service.url });
      victim.child.stdin!.write(new Uint8Array(1_000_000));
      while (version < begun + 10) await surroundings.sleep(10);
      await victim.kill('SIGKILL');
      await surroundings.sleep(round * 1300);
      {
        await using client = await open(service.url, { label: 'saver' });
        const { files, written } = await saveRegion(client.client, path, saving);
        assert.ok(files > 0 && written > 0);
      }
      assert.equal(await damage(`file:${path}`), []);
      const whole = await look(`file:${path}`);
      await using loaded = await serve({ size: undefined, load: path });
      await settled(loaded.url);
      assert.equal(await look(loaded.url), whole);
    }
  } finally {
    over = true;
    await Promise.all(work);
  }
  await settled(service.url);
});

/** Reads every file in the root, and holds it against what it says of itself. */
async function look(url: string): Promise<string[]> {
  await using memory = await open(url, { role: 'observer' });
  const found: string[] = [];
  for (const { name, stat } of await memory.files.list('/')) {
    if (stat.kind !== 'file') found.push(name);
    else {
      const bytes = await memory.readFile(`/${name}`);
      const [origin, version, , count] = new TextDecoder().decode(bytes.subarray(0, 64)).split(' ');
      const expected = pages(origin!, Number(version), Number(count));
      assert.ok(Buffer.from(bytes).equals(expected), `${name} in ${url} is torn`);
      found.push(`${name} ${origin} ${version}`);
    }
  }
  return found;
}

test('by command: saved, judged, looked into, served again, and brought into another region', async () => {
  using folder = new Folder();
  const image = folder.at('region.exomem');
  const bytes = randomBytes(300_000);
  {
    await using server = await Server.start(['--size', '64M']);
    mkdirSync(folder.at('tree/d'), { recursive: true });
    writeFileSync(folder.at('tree/d/file'), bytes, { mode: 0o640 });
    await server.run(['put', '-r', `${folder.at('tree')}/.`, '/']);
    await server.run(['put', '-', '/gone'], { stdin: 'x' });
    await server.run(['rm', '/gone']);
    {
      await using memory = await open(server.url);
      await memory.files.link('/d/file', '/again');
      await memory.files.symlink('d/file', '/link');
    }
    const saved = await server.run(['image', 'save', server.url, image]);
    assert.is(saved.code, 0, saved.stderr);
    assert.match(String(saved.stdout), /^.*region.exomem: 1 file, up to record \d+; takes /);
    // A file is not replaced unless that was asked for; nor is it a tree, or in no directory.
    assert.is((await server.run(['image', 'save', server.url, image])).code, 4);
    const again = await server.run(['image', 'save', '--force', '--json', server.url, image]);
    assert.is(again.code, 0);
    assert.is(JSON.parse(String(again.stdout)).files, 1);
    assert.is((await server.run(['image', 'save', server.url, folder.path])).code, 2);
    assert.is((await server.run(['image', 'save', server.url, folder.at('no/such')])).code, 3);
    assert.equal(readdirSync(folder.path).sort(), ['region.exomem', 'tree']);
  }
  // What is free takes no room.
  const { size, blocks } = statSync(image);
  assert.is(size, 64 * MiB);
  assert.ok(blocks * 512 < 4 * MiB);

  const run = async (args: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await exomem(args, { cwd: folder.path });
    assert.is(code, 0, `${args.join(' ')}: ${stderr}`);
    return String(stdout);
  };
  assert.match(await run(['fsck', image]), /^clean; /);
  assert.is(await run(['ls', 'file:region.exomem']), 'again\nd\nlink\n');
  assert.is(await run(['du', '-s', `file:${image}#/`]), '303104  /\n');
  assert.match(await run(['map', `file:${image}`]), /utilisation/);
  assert.match(await run(['members', `file://${image}`]), /gone|dead/);
  assert.is((await exomem(['put', image, `file:${image}#/x`])).code, 9);
  const read = await exomem(['cat', `file:${image}#/d/file`]);
  assert.ok(read.stdout.equals(bytes));

  await using other = await Server.start(['--size', '16M']);
  assert.match(await run(['image', 'load', image, other.url]), /^1 files/);
  await other.run(['mkdir', '/before']);
  await run(['image', 'load', image, `${other.url}/before`]);
  assert.is(String((await other.run(['ls', '/before'])).stdout), 'again\nd\nlink\n');
  const { links, mode } = JSON.parse(String((await other.run(['stat', '--json', '/before/d/file'])).stdout));
  assert.equal([links, mode], [2, '0640']);
  assert.ok((await other.run(['cat', '/again'])).stdout.equals(bytes));
  assert.is((await exomem(['image', 'load', '-n', image, other.url])).code, 4);
  assert.match(String((await other.run(['fsck'])).stdout), /^clean/);
  assert.is((await exomem(['image', 'load', folder.at('none'), other.url])).code, 3);
});

test('serve saves when it ends and begins with what it saved, with applications that are kept', async () => {
  using folder = new Folder();
  const [first, second] = [folder.at('first'), folder.at('second')];
  let principal: number;
  {
    await using server = await Server.start(['--size', '16M', '--lease', '2s', '--save', first]);
    await server.run(['put', '-', '/kept'], { stdin: 'kept' });
    const memory = await open(server.url, { label: 'holder' });
    const application = await memory.client.register({ keep: Number.POSITIVE_INFINITY });
    principal = application.principal;
    await (await application.allocate(50_000)).write(0, new TextEncoder().encode('of an application'));
    await memory.allocate(50_000);
    assert.equal(await server.kill('SIGINT'), { code: 0, signal: null });
    await memory.close().catch(() => undefined);
  }
  assert.equal(await damage(`file:${first}`), []);
  {
    await using server = await Server.start(['--load', first, '--save', second, '--size', '16M']);
    assert.is(server.served.created, false);
    assert.is(String((await server.run(['cat', '/kept'])).stdout), 'kept');
    await settled(server.url);
    await using memory = await open(server.url);
    // Who was there is declared dead when its heart has stood still long enough, and what it held is free then.
    const ofApplication = Math.ceil(50_000 / 4096);
    while ((await memory.usage()).held > ofApplication) await surroundings.sleep(50);
    assert.is((await memory.usage()).held, ofApplication);
    const application = await memory.client.adopt(principal);
    const [held] = await application.holdings();
    const bytes = new Uint8Array(17);
    await held!.read(0, bytes);
    assert.is(new TextDecoder().decode(bytes), 'of an application');
    await memory.close();
    assert.is((await server.kill('SIGTERM')).code, 0);
  }
  assert.ok(existsSync(second));
  // Saved online, too, and into a file that is served from then on.
  const file = folder.at('file');
  {
    await using server = await Server.start(['--load', second, '--file', file]);
    assert.is(String((await server.run(['cat', '/kept'])).stdout), 'kept');
    await server.kill('SIGINT');
  }
  assert.equal(await damage(`file:${file}`), []);
  const refused = await exomem(['serve', '--load', second, '--file', file, '--listen', '127.0.0.1:0']);
  assert.is(refused.code, 4);
  assert.match(refused.stderr, /keeps a region already/);
});

test('up does so, too', async () => {
  using folder = new Folder();
  const image = folder.at('image');
  await using first = new Running(['up', '--no-mount', '--json', '--size', '16M', '--save', image]);
  const { url } = await first.json<Served>();
  await exomem(['put', '-', '/name'], { url, stdin: 'bytes' });
  assert.is((await first.kill('SIGINT')).code, 0);
  await using second = new Running(['up', '--no-mount', '--json', '--load', image]);
  const served = await second.json<Served>();
  assert.is(served.size, 16 * MiB);
  assert.is(String((await exomem(['cat', '/name'], { url: served.url })).stdout), 'bytes');
  assert.is((await second.kill('SIGINT')).code, 0);
});

test('what is no image is refused, and nothing is served or left behind', async () => {
  using folder = new Folder();
  const wrong = folder.at('wrong');
  const refused = async (code: number, args: readonly string[]): Promise<void> => {
    const ran = await exomem(['serve', '--listen', '127.0.0.1:0', ...args]);
    assert.is(ran.code, code, ran.stderr);
    assert.match(ran.stderr, /^exomem: [^\n]+\n$/);
  };
  writeFileSync(wrong, Buffer.alloc(100_000, 'noise'));
  await refused(7, ['--load', wrong]);
  await refused(3, ['--load', folder.at('none')]);
  await refused(2, ['--load', folder.path]);
  await refused(2, ['--size', '16M', '--save', folder.path]);
  await refused(3, ['--size', '16M', '--save', folder.at('no/such')]);
  await refused(2, ['--size', '16M', '--file', folder.at('x'), '--save', folder.at('y/../x')]);
  const image = folder.at('image');
  {
    await using service = await serve({ save: image });
    assert.ok(service.url);
  }
  const whole = readFileSync(image);
  await refused(2, ['--load', image, '--size', '32M']);
  await refused(2, ['--load', image, '--format', '--file', folder.at('file')]);
  writeFileSync(image, whole.subarray(0, whole.length - 8192));
  await refused(7, ['--load', image, '--file', folder.at('file')]);
  assert.equal(readdirSync(folder.path).sort(), ['image', 'wrong']);
});

test('who is ended at once while it saves leaves nothing half done behind', async () => {
  using folder = new Folder();
  const program = `
    const { SparseFile } = await import(${JSON.stringify(new URL('../src/image/sparse-file.js', import.meta.url).href)});
    const { readdirSync } = await import('node:fs');
    const file = await SparseFile.create(${JSON.stringify(folder.at('saved'))}, 1 << 20, false);
    await file.write(0, new Uint8Array(4096).fill(1));
    console.log(readdirSync(${JSON.stringify(folder.path)}).length);
    process.exit(130);`;
  await using saving = new Running(['--input-type=module', '-e', program], {}, '--no-warnings');
  assert.is((await saving.ended).code, 130, saving.stderr);
  assert.equal(saving.lines, ['1']);
  assert.equal(readdirSync(folder.path), []);
});

test.run();
