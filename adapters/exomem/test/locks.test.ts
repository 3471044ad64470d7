// deadline: 120s
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { isExomemError, open } from 'exomem';
import { Running, Server } from './fixtures/command.js';

const test = suite('locks by name, and watching, between processes');
const fixture = (name: string): string => fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url));

interface Holder {
  readonly token: bigint;
  readonly slot: number;
}

async function holder(running: Running): Promise<Holder> {
  const { token, slot } = JSON.parse(await running.line((line) => line.includes('token')));
  return { token: BigInt(token), slot };
}

test('a holder that is killed: the next one has it when it was declared dead, with a higher token', async () => {
  await using server = await Server.start(['--lease', '3s']);
  await using dying = new Running([server.url, '/locks/one'], {}, fixture('lock-holder.js'));
  const first = await holder(dying);
  await using memory = await open(server.url);
  try {
    await memory.lock('/locks/one', { timeout: 100 });
    assert.unreachable();
  } catch (error) {
    assert.ok(isExomemError(error, 'DeadlineExceeded'), String(error));
  }
  const stat = async () => JSON.parse(String((await server.run(['stat', '--json', '/locks/one'])).stdout)).lock;
  const { held, token, member, pid } = await stat();
  assert.equal([held, BigInt(token), member, pid], [true, first.token, first.slot, dying.child.pid]);
  const text = String((await server.run(['stat', '/locks/one'])).stdout);
  assert.match(text, new RegExp(`^lock +held by member ${first.slot} \\(.*process ${pid}\\), token ${token}$`, 'm'));
  const waiting = memory.lock('/locks/one');
  await dying.kill('SIGKILL');
  const mine = await waiting;
  assert.ok(mine.token > first.token);
  assert.is((await stat()).token, String(mine.token));
  // Not before: which of two that wait comes first is not promised, and the other one holds it for good.
  await using other = new Running([server.url, '/locks/one'], {}, fixture('lock-holder.js'));
  await mine.release();
  const last = await holder(other);
  assert.ok(last.token > mine.token);
  assert.ok(await memory.client.kick(last.slot));
  assert.equal(await stat(), { held: false, token: String(last.token) });
  assert.match(String((await server.run(['stat', '/locks/one'])).stdout), /^lock +nobody holds it$/m);
});

test('a holder that is declared dead while it lives has lost it, and hears so', async () => {
  await using server = await Server.start(['--lease', '2s']);
  await using memory = await open(server.url);
  await using running = new Running([server.url, '/lock'], {}, fixture('lock-holder.js'));
  const first = await holder(running);
  assert.ok(await memory.client.kick(first.slot));
  const mine = await memory.lock('/lock');
  assert.ok(mine.token > first.token);
  assert.equal(JSON.parse(await running.line((line) => line.includes('lost'))), { lost: 'Fenced' });
  mine.check();
  await mine.release();
});

test('`exomem watch` tells what others do, and ends', async () => {
  await using server = await Server.start();
  await using memory = await open(server.url);
  await memory.files.mkdir('/d');
  await using watching = new Running(['watch', '/d', '--json'], { url: server.url });
  await watching.line((line) => line.includes('watching'));
  await memory.writeFile('/d/f', new Uint8Array(3));
  assert.equal(JSON.parse(await watching.line((line) => line.includes('created'))).path, '/d/f');
  await memory.files.unlink('/d/f');
  assert.equal(JSON.parse(await watching.line((line) => line.includes('removed'))).path, '/d/f');
  const { code } = await watching.kill('SIGINT');
  assert.is(code, 0);
  await using first = new Running(['watch', '/new', '--once', '--json'], { url: server.url });
  await first.line((line) => line.includes('watching'));
  await memory.writeFile('/new', new Uint8Array(1));
  await first.line((line) => line.includes('created'));
  assert.is((await first.ended).code, 0);
  // `exomem watch --once /ready && ./go` does not go because somebody ended it.
  await using stopped = new Running(['watch', '/never', '--once', '--json'], { url: server.url });
  await stopped.line((line) => line.includes('watching'));
  assert.is((await stopped.kill('SIGTERM')).code, 143);
});

test.run();
