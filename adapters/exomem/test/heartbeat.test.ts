import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { open } from 'exomem';
import { Running, Server } from './fixtures/command.js';

const test = suite('heartbeats of a program that blocks its thread');
const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

const lease = ['--lease', '2s'];

async function told(program: Running, ...types: string[]): Promise<Record<string, unknown>> {
  return JSON.parse(await program.line((line) => types.includes(JSON.parse(line).type)));
}

test('from a thread of their own it goes on unharmed with all that it held; what it has applied stands still', async () => {
  await using server = await Server.start(lease);
  await using program = new Running([server.url, 'thread'], {}, fixture('blocker.js'));
  const slot = (await told(program, 'blocks'))['slot'] as number;
  await using memory = await open(server.url);
  const look = async () => (await memory.members()).members[slot]!;
  // What it published before it was blocked may be on its way still.
  let before = await look();
  for (let moved = 0; moved < 2; ) {
    const line = await look();
    if (line.word !== before.word) moved++;
    before = line;
  }
  await memory.writeFile('/news', new Uint8Array(1));
  for (let moved = 0; moved < 3; ) {
    const line = await look();
    assert.is(line.incarnation, before.incarnation);
    if (program.lines.length > 1) break;
    assert.is(line.applied, before.applied);
    if (line.word !== before.word) moved++;
    before = line;
  }
  assert.ok(before.applied < memory.client.replica.index);
  assert.equal(await told(program, 'unharmed', 'failed'), { type: 'unharmed', own: 'mine still' });
  assert.is((await program.ended).code, 0, program.stderr);
  assert.is(new TextDecoder().decode(await memory.readFile('/blocked')), 'flushed, and not');
});

test('so it does when it is blocked as soon as it has joined', async () => {
  await using server = await Server.start(lease);
  await using program = new Running([server.url, 'thread', 'at-once'], {}, fixture('blocker.js'));
  assert.equal(await told(program, 'unharmed', 'failed'), { type: 'unharmed', own: 'mine still' });
  assert.is((await program.ended).code, 0, program.stderr);
});

test('inline it is declared dead', async () => {
  await using server = await Server.start(lease);
  await using program = new Running([server.url, 'inline'], {}, fixture('blocker.js'));
  assert.equal(await told(program, 'unharmed', 'failed'), { type: 'failed', code: 'Fenced' });
  assert.is((await program.ended).code, 0, program.stderr);
});

test('several clients of one process share the thread, which ends with the last of them', async () => {
  await using server = await Server.start(lease);
  await using program = new Running([server.url], {}, fixture('two-clients.js'));
  assert.equal(await told(program, 'unharmed', 'failed'), { type: 'unharmed', left: [] });
  assert.is((await program.ended).code, 0, program.stderr);
});

for (const manner of ['absent', 'dies']) {
  test(`a thread that is no more (${manner}) is told of, and the clients beat inline`, async () => {
    await using server = await Server.start(lease);
    const url = server.url.replace('tcp:', 'mortal:');
    const plugin = fixture('mortal-transport.js');
    await using program = new Running([url, plugin], { env: { MORTAL: manner } }, fixture('two-clients.js'));
    assert.equal(await told(program, 'unharmed', 'failed'), { type: 'unharmed', left: [] });
    const warnings = program.lines.filter((one) => JSON.parse(one).name === 'ExomemWarning');
    assert.is(warnings.length, 2);
    assert.is((await program.ended).code, 0, program.stderr);
  });
}

test.run();
