import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { open } from 'exomem';
import { Running, Server } from './fixtures/command.js';

const test = suite('a program that was declared dead');

test('is told what it lost and what it kept, has damaged nothing, and joins again', async () => {
  await using server = await Server.start(['--lease', '2s']);
  await using memory = await open(server.url);
  await using program = new Running([server.url], {}, fileURLToPath(new URL('./fixtures/fenced.js', import.meta.url)));
  const told = async (type: string) => JSON.parse(await program.line((line) => JSON.parse(line).type === type));
  const { slot, kept, dies } = await told('ready');
  const { incarnation } = (await memory.members()).members[slot]!;
  program.child.kill('SIGSTOP');
  for (let there = true; there; await sleep(50)) {
    const line = (await memory.members()).members[slot]!;
    there = line.state !== 0 && line.incarnation === incarnation;
  }
  // Its pages go to somebody else.
  const mine = await memory.allocate(1 << 20, { initialise: 'none' });
  await mine.write(0, new Uint8Array(1 << 20).fill(7));
  program.child.kill('SIGCONT');
  program.child.stdin!.write('\n');

  const heard = await told('heard');
  assert.equal(heard.codes, ['Fenced', 'Fenced']);
  const fate = {
    lost: { pages: 12, files: ['/ends'], unflushed: [{ path: '/late', bytes: 5000 }], applications: [dies] },
    kept: { files: ['/d/flushed', '/late'], applications: [kept] },
  };
  assert.equal(heard.fate, fate);
  assert.equal(heard.events, [{ type: 'fenced', fate }]);
  assert.ok(heard.same);
  assert.match(heard.message, /lost are 12 pages of memory; .*5000 bytes written to \/late/);

  assert.equal(await told('back'), { type: 'back', kept: 'kept', flushed: 'flushed', late: 0, old: 'Fenced' });
  assert.is((await program.ended).code, 0, program.stderr);
  const back = new Uint8Array(1 << 20);
  await mine.read(0, back);
  assert.ok(back.every((byte) => byte === 7));
  assert.is(new TextDecoder().decode(await memory.readFile('/after')), 'after');
  assert.equal(await memory.client.run(memory.client.allocator.validate()), []);
});

test.run();
