import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { assert, suite } from '@exomem/testing';
import { type BackingMemory, destroyFile, memoryRoom, setAside } from '@exomem/transport-tcp';
import { failsWith } from './fixtures/served.js';

const test = suite('memory that is set aside');
const MiB = 1_048_576;
const GiB = 1024 * MiB;
const folder = mkdtempSync(join(tmpdir(), 'exomem-memory-'));
test.after(() => rmSync(folder, { recursive: true }));

const resident = (): number => Number(/VmRSS:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) * 1024;

test('is all there, all zero, before anybody asks, and is given back', async () => {
  const before = resident();
  const told: number[] = [];
  const backing = await setAside({ size: 256 * MiB + 8, onProgress: (done, total) => told.push(done / total) });
  assert.ok(resident() - before > 250 * MiB, 'its pages are in memory');
  assert.ok(told.length > 4);
  assert.equal(
    [...told].sort((one, other) => one - other),
    told,
  );
  assert.is(told.at(-1), 1);
  assert.ok(backing.created);
  assert.is(backing.memory.size, 256 * MiB + 8);
  const bytes = new Uint8Array(MiB);
  for (let at = 0; at < 256 * MiB; at += 16 * MiB) {
    backing.memory.read(at, bytes);
    assert.ok(bytes.every((byte) => byte === 0));
  }
  backing.memory.write(256 * MiB, Uint8Array.of(1, 2, 3));
  assert.is(backing.memory.load(256 * MiB), 0x03_0201n);
  await backing.close();
  await backing.close();
  assert.ok(resident() - before < 64 * MiB, "they are the system's again");
});

test('reaches over the edges of its segments', async () => {
  await using backing = await setAside({ size: GiB + 2 * MiB });
  const { memory } = backing;
  assert.is(memory.segments.length, 2);
  memory.write(GiB - 5, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10));
  assert.is(memory.load(GiB - 8), 0x0504_0302_0100_0000n);
  assert.is(memory.load(GiB), 0x0a_0908_0706n);
  assert.is(memory.compareExchange(GiB + MiB, 0n, 7n), 0n);
  assert.is(memory.load(GiB + MiB), 7n);
});

test('leaves the event loop its turns meanwhile, and ends when it is told to', async () => {
  let turns = 0;
  const timer = setInterval(() => turns++, 1);
  await using backing = await setAside({ size: 512 * MiB });
  clearInterval(timer);
  assert.ok(turns >= 4, `${turns} turns`);
  await backing.close();
  const abort = new AbortController();
  const before = resident();
  const error = await failsWith('Aborted', () =>
    setAside({ size: 512 * MiB, signal: abort.signal, onProgress: (done) => done >= 64 * MiB && abort.abort() }),
  );
  assert.match(error.message, /of 536870912 bytes/);
  assert.ok(resident() - before < 64 * MiB);
  await failsWith('Aborted', () => setAside({ size: MiB, signal: AbortSignal.abort() }));
});

test('no size that is none is touched', async () => {
  for (const size of [0, -8, 1.5, 12, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53, 2 ** 60]) {
    await failsWith('OutOfRange', () => setAside({ size }), String(size));
    await failsWith('OutOfRange', () => setAside({ size, file: join(folder, 'never') }), String(size));
  }
  await failsWith('InvalidArgument', () => setAside({}));
  assert.not(existsSync(join(folder, 'never')));
});

test('is refused above what the machine has, with the figures and what to type', async () => {
  const error = await failsWith('Unavailable', () => setAside({ size: 2 ** 50 }));
  assert.match(error.message, /^1\.0 PiB are more than .* has free: \d+\.\d [GM]iB$/);
  assert.match(error.advice, /--size \d+M/);
  const file = join(folder, 'too large');
  const onDisk = await failsWith('Unavailable', () => setAside({ size: 2 ** 50, file }));
  assert.match(onDisk.message, /has free/);
  assert.not(existsSync(file));
});

/** A made-up /proc and /sys/fs/cgroup. */
function system(files: Record<string, string>): { proc: string; cgroup: string } {
  const root = mkdtempSync(join(folder, 'system-'));
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { proc: join(root, 'proc'), cgroup: join(root, 'cgroup') };
}
const meminfo = 'MemTotal:       16384 kB\nMemFree:         1024 kB\nMemAvailable:    8192 kB\n';

test('the room is the least of what the machine and the control groups leave', () => {
  assert.equal(memoryRoom(system({ 'proc/meminfo': meminfo })), { free: 8 * MiB, of: 'this machine' });
  assert.is(memoryRoom(system({})).free, Number.POSITIVE_INFINITY);
  const second = {
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '0::/outer/inner\n',
    'cgroup/outer/inner/memory.max': 'max\n',
    'cgroup/outer/inner/memory.current': '4096\n',
    'cgroup/outer/memory.max': '4194304\n',
    'cgroup/outer/memory.current': '2097152\n',
    'cgroup/outer/memory.stat': 'anon 5\ninactive_file 1048576\nactive_file 9\n',
  };
  assert.equal(memoryRoom(system(second)), { free: 3 * MiB, of: 'the control group /outer' });
  assert.is(memoryRoom(system({ ...second, 'cgroup/outer/memory.max': '67108864' })).of, 'this machine');
  assert.is(memoryRoom(system({ ...second, 'cgroup/outer/inner/memory.max': '4096' })).free, 0);
  const first = {
    'proc/meminfo': meminfo,
    'proc/self/cgroup': '11:cpu,cpuacct:/job\n5:memory:/job\n1:name=systemd:/\n',
    'cgroup/memory/job/memory.limit_in_bytes': '9223372036854771712\n',
    'cgroup/memory/job/memory.usage_in_bytes': '4096\n',
    'cgroup/memory/memory.limit_in_bytes': '2097152\n',
    'cgroup/memory/memory.usage_in_bytes': '1048576\n',
  };
  assert.equal(memoryRoom(system(first)), { free: MiB, of: 'the control group /' });
});

test('a file keeps it, and says so', async () => {
  const file = join(folder, 'kept');
  const first = await setAside({ size: 4 * MiB, file });
  assert.ok(first.created);
  assert.is(first.where, file);
  assert.is(statSync(file).size, 4 * MiB);
  assert.ok(statSync(file).blocks * 512 >= 4 * MiB, 'all its blocks are there');
  assert.is(statSync(file).mode & 0o777, 0o600);
  first.memory.write(4 * MiB - 3, Uint8Array.of(1, 2, 3));
  await first.close();
  assert.equal([...readFileSync(file).subarray(-4)], [0, 1, 2, 3]);
  for (const size of [undefined, 4 * MiB]) {
    await using again = await setAside({ file, ...(size === undefined ? {} : { size }) });
    assert.not(again.created);
    assert.is(again.memory.load(4 * MiB - 8), 0x0302_0100_0000_0000n);
  }
  const error = await failsWith('InvalidArgument', () => setAside({ size: 8 * MiB, file }));
  assert.match(error.message, /4194304 bytes, and 8388608 were asked for/);
  assert.ok(error.advice.includes(`exomem serve --file ${file} --size 4194304`));
  assert.ok(error.advice.includes(`exomem destroy ${file}`));
  assert.is(statSync(file).size, 4 * MiB);
});

test('a file is served once', async () => {
  const file = join(folder, 'locked');
  const first = await setAside({ size: MiB, file });
  for (const attempt of [
    () => setAside({ size: MiB, file }),
    () => setAside({ size: 2 * MiB, file }),
    () => destroyFile(file),
  ]) {
    const error = await failsWith('Busy', attempt);
    assert.match(error.message, new RegExp(`process ${process.pid}`));
    assert.match(error.advice, new RegExp(`kill ${process.pid}`));
  }
  await first.close();
  await (await setAside({ size: MiB, file })).close();
  await destroyFile(file);
  assert.not(existsSync(file));
  await failsWith('NotFound', () => destroyFile(file));
  await failsWith('NotFound', () => setAside({ file }));
  await failsWith('NotFound', () => setAside({ size: MiB, file: join(folder, 'no', 'such', 'folder') }));
  await failsWith('InvalidArgument', () => destroyFile(folder));
  await failsWith('InvalidArgument', () => setAside({ size: MiB, file: folder }));
});

test('a server that was killed leaves the file, its bytes, and no lock', async () => {
  const file = join(folder, 'killed');
  const program = `
    const { setAside } = await import(${JSON.stringify(import.meta.resolve('@exomem/transport-tcp'))});
    const { memory } = await setAside({ size: ${MiB}, file: ${JSON.stringify(file)} });
    memory.write(0, Uint8Array.of(42));
    console.log('ready');
    setInterval(() => undefined, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const error = await failsWith('Busy', () => setAside({ file }));
  assert.match(error.message, new RegExp(`process ${child.pid}`));
  child.kill('SIGKILL');
  await once(child, 'exit');
  await using again: BackingMemory = await setAside({ file });
  assert.is(again.memory.load(0), 42n);
});

test('an empty file is as good as none, and one that was not finished is said to be', async () => {
  const file = join(folder, 'empty');
  writeFileSync(file, '');
  await failsWith('InvalidArgument', () => setAside({ file }));
  await using backing = await setAside({ size: MiB, file });
  assert.ok(backing.created);
  const abort = new AbortController();
  const unfinished = join(folder, 'unfinished');
  await failsWith('Aborted', () =>
    setAside({ size: 256 * MiB, file: unfinished, signal: abort.signal, onProgress: () => abort.abort() }),
  );
  assert.not(existsSync(unfinished), 'a file that was begun for this is removed');
});

test('files in memory count as memory', async () => {
  if (!existsSync('/dev/shm')) return;
  const file = `/dev/shm/exomem-test-${process.pid}`;
  await failsWith('Unavailable', () => setAside({ size: 2 ** 45, file }));
  assert.not(existsSync(file));
  const backing = await setAside({ size: MiB, file });
  backing.memory.fetchAdd(0, 3n);
  await backing.close();
  await destroyFile(file);
});

test('without koffi memory is shared buffers, and a file is refused with the line to type', async () => {
  const program = `
    import { register } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(\`
      export const resolve = (name, context, next) => { if (name === 'koffi') throw new Error('not there'); return next(name, context); };\`));
    const { setAside } = await import(${JSON.stringify(import.meta.resolve('@exomem/transport-tcp'))});
    const { memory, created } = await setAside({ size: ${64 * MiB} });
    const error = await setAside({ size: 4096, file: ${JSON.stringify(join(folder, 'none'))} }).catch((error) => error);
    console.log(JSON.stringify([memory.segments[0] instanceof SharedArrayBuffer, created, error.code, error.advice]));`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  await once(child, 'close');
  assert.equal(JSON.parse(output), [true, true, 'Unavailable', 'npm install koffi']);
});

test.run();
