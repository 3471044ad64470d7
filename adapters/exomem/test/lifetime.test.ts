import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { open } from 'exomem';
import { Folder, Running, Server } from './fixtures/command.js';

const test = suite('files that end with a process');
const program = fileURLToPath(new URL('./fixtures/scratch.js', import.meta.url));

async function fine(server: Server, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.run(args);
  assert.is(code, 0, `exomem ${args.join(' ')}: ${stderr}`);
  return String(stdout);
}
async function names(server: Server): Promise<string[]> {
  const found: string[] = [];
  for (const directory of ['/', '/run']) {
    const list = JSON.parse(await fine(server, 'ls', '--json', directory)) as { name: string }[];
    found.push(...list.map(({ name }) => name));
  }
  return found;
}
interface Members {
  readonly members: { slot: number }[];
  readonly pages: { held: number; withheld: number };
}
/** Until that member is gone, and as many pages are taken as files need. */
async function settled(server: Server, slot: number, pages: number): Promise<void> {
  for (let tries = 0; ; tries++) {
    const members = JSON.parse(await fine(server, 'members', '--json')) as Members;
    const taken = members.pages.held + members.pages.withheld;
    if (taken === pages && members.members.every((member) => member.slot !== slot)) return;
    if (tries > 1000) throw new Error(`it stays ${JSON.stringify(members)}`);
  }
}

const before = ['linked', 'run', 'stays', 'buffer', 'note'];

test('that is killed: their names are gone after the wait, their space comes back, who reads one reads on', async () => {
  await using server = await Server.start(['--lease', '1500ms']);
  await using victim = new Running([server.url], {}, program);
  const { slot, principal } = await victim.json<{ slot: number; principal: number }>();
  assert.equal(await names(server), before);
  assert.match(await fine(server, 'stat', '/linked'), new RegExp(`^lifetime +owner: .* principal ${principal}$`, 'm'));
  const [linked, run, stays] = JSON.parse(await fine(server, 'ls', '-l', '--json', '/'));
  assert.equal(
    [linked, run, stays].map(({ lifetime }) => lifetime),
    ['owner', 'region', 'region'],
  );
  assert.equal(linked.endsWith, { principal, incarnation: 1 });
  assert.match(await fine(server, 'dump', '--log'), new RegExp(`name="note" .* owner=${principal}\\.1$`, 'm'));

  const shown = await server.run(['kick', String(slot)]);
  assert.is(shown.code, 2, shown.stderr);
  assert.match(
    String(shown.stdout),
    new RegExp(`^ *${principal} +104 KiB +8 KiB +its own; .*; 2 files end with it$`, 'm'),
  );

  await using reader = await open(server.url);
  const file = await reader.open('/linked');
  await victim.kill('SIGKILL');
  const then = await names(server);
  const { members } = JSON.parse(await fine(server, 'members', '--json')) as Members;
  if (members.some((member) => member.slot === slot)) assert.equal(then, before, 'silence is no death');
  // The reader keeps its 25 pages, and nothing else of the dead but what stays.
  await settled(server, slot, 25 + 2);
  assert.equal(await names(server), ['run', 'stays']);
  const bytes = new Uint8Array(100_000);
  await reader.client.refresh();
  assert.is(await file.read(0, bytes), bytes.length);
  assert.ok(bytes.every((byte) => byte === 7));
  await file.close();
  await settled(server, slot, 2);
  assert.match(await fine(server, 'fsck'), /^clean/);
});

test('that outlived neither itself nor the appliance: they go when somebody serves the bytes again', async () => {
  using folder = new Folder();
  const kept = ['--file', folder.at('region'), '--lease', '1500ms'];
  let slot: number;
  {
    await using server = await Server.start([...kept, '--size', '64M']);
    await using scratch = new Running([server.url], {}, program);
    slot = (await scratch.json<{ slot: number }>()).slot;
    await server.kill('SIGKILL');
    await scratch.kill('SIGKILL');
  }
  await using again = await Server.start(kept);
  await settled(again, slot, 2);
  assert.equal(await names(again), ['run', 'stays']);
  assert.match(await fine(again, 'fsck'), /^clean/);
});

test('that ends: they are gone at once', async () => {
  await using server = await Server.start();
  await using scratch = new Running([server.url], {}, program);
  const { slot } = await scratch.json<{ slot: number }>();
  scratch.child.stdin!.end();
  assert.is((await scratch.ended).code, 0);
  assert.equal(await names(server), ['run', 'stays']);
  await settled(server, slot, 2);
  assert.match(await fine(server, 'fsck'), /^clean/);
});
test.run();
