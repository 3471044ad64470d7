import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { isExomemError, MiB, open, Scope } from 'exomem';
import { Running, Server } from './fixtures/command.js';

const test = suite('the library');
const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

test('allocates, reads, writes; with a name it is a file', async () => {
  await using server = await Server.start();
  await using memory = await open(server.url, { label: 'test' });
  const plain = await memory.allocate(MiB);
  await plain.write(1000, new Uint8Array([1, 2, 3]));
  const back = new Uint8Array(5);
  await plain.read(999, back);
  assert.equal([...back], [0, 1, 2, 3, 0]);
  await plain.free();
  const named = await memory.allocate(5000, { name: '/models/of/model' });
  await named.write(0, new TextEncoder().encode('weights'));
  assert.is(String((await server.run(['cat', '/models/of/model'])).stdout.subarray(0, 7)), 'weights');
  await memory.writeFile('/notes', new TextEncoder().encode('hello'));
  assert.is(new TextDecoder().decode(await memory.readFile('/notes')), 'hello');
  await memory.writeFile('/notes', new Uint8Array());
  assert.is((await memory.readFile('/notes')).length, 0);
  assert.equal(
    (await memory.files.list('/')).map(({ name }) => name),
    ['models', 'notes'],
  );
  const { members } = await memory.members();
  assert.equal(
    members
      .filter(({ state }) => state === 2)
      .map(({ label }) => label)
      .sort(),
    ['steward', 'test'],
  );
  await memory.close();
  await memory.close();
  try {
    await memory.readFile('/notes');
    assert.unreachable();
  } catch (error) {
    assert.ok(isExomemError(error, 'Closed'), String(error));
  }
});

test("one client's events show another's arrival, allocation, file and departure", async () => {
  await using server = await Server.start(['--lease', '3s']);
  await using watcher = new Running([server.url], {}, fixture('watcher.js'));
  const events = async (fits: (event: Record<string, unknown>) => boolean): Promise<Record<string, unknown>> =>
    JSON.parse(await watcher.line((line) => fits(JSON.parse(line))));
  await events(({ type }) => type === 'watching');
  const began = Date.now();
  await using other = await open(server.url, { label: 'other' });
  const joined = await events(({ type, label }) => type === 'joined' && label === 'other');
  assert.is(joined['slot'], other.client.member.slot);
  const memory = await other.allocate(40 * 4096);
  const usage = await events(
    ({ type, principal }) => type === 'usage' && principal === other.client.identity.principal,
  );
  assert.ok((usage['after'] as number) >= 40);
  await other.writeFile('/x', new Uint8Array(1));
  await events(({ type, operations }) => type === 'record' && (operations as { name?: string }[])[0]?.name === 'x');
  await memory.free();
  await other.close();
  const left = await events(({ type, label }) => type === 'left' && label === 'other');
  // Each was seen with the next look, of which there are three in a lease.
  assert.ok((joined['at'] as number) >= began && (left['at'] as number) >= (joined['at'] as number));
  watcher.child.stdin!.end();
  assert.is((await watcher.ended).code, 0, watcher.stderr);
});

test('the example of the README runs', async () => {
  await using server = await Server.start();
  const readme = readFileSync(fileURLToPath(new URL('../../README.md', import.meta.url)), 'utf8');
  const example = /```js\n(.*?)```/s.exec(readme)![1]!.replaceAll('tcp://127.0.0.1:7070/default', server.url);
  // Node 20 does not know `await using` yet: what stands there is what it knows.
  const child = spawn(process.execPath, ['--input-type=module', '-e', example], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  const [code] = await once(child, 'close');
  assert.is(code, 0);
  assert.match(output, /weights/);
});

test('a scope ends what it holds in reverse order, all of it', async () => {
  const ended: number[] = [];
  const scope = new Scope();
  scope.defer(() => ended.push(1));
  scope.defer(() => {
    ended.push(2);
    throw new Error('two');
  });
  scope.defer(async () => {
    ended.push(3);
    throw new Error('three');
  });
  scope.use({ [Symbol.asyncDispose]: async () => void ended.push(4) });
  try {
    await scope.close();
    assert.unreachable();
  } catch (error) {
    assert.equal((error as AggregateError).errors.map(String), ['Error: three', 'Error: two']);
  }
  assert.equal(ended, [4, 3, 2, 1]);
  await scope.close().catch(() => undefined);
  assert.is(ended.length, 4);
});

test.run();
