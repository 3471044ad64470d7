import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { type Ran, Running, Server } from './fixtures/command.js';

const test = suite('applications');
const program = fileURLToPath(new URL('./fixtures/application.js', import.meta.url));

interface Told {
  readonly type: string;
  readonly slot: number;
  readonly principal: number;
  readonly digests: Record<string, string>;
  readonly to: number;
  readonly code: string;
}
/** A process that keeps an application, or takes what it is handed. */
class Owner extends Running {
  first!: Told;
  static async start(server: Server, ...args: string[]): Promise<Owner> {
    const owner = new Owner([server.url, ...args], {}, program);
    owner.first = await owner.told('ready');
    return owner;
  }
  async told(type: string): Promise<Told> {
    return JSON.parse(await this.line((line) => JSON.parse(line).type === type)) as Told;
  }
}

const hour = '3600000';
const pages = 76;

function fine({ code, stdout, stderr }: Ran): string {
  assert.is(code, 0, stderr);
  return String(stdout);
}
function refused({ code, stdout, stderr }: Ran, expected: number, says: RegExp): string {
  assert.is(code, expected, stderr);
  assert.match(stderr, says);
  assert.is(stderr.trimEnd().split('\n').length, 1, stderr);
  return String(stdout);
}

interface Listed {
  readonly members: { slot: number; state: string; label: string; pages: number }[];
  readonly applications: { principal: number; member: number; state: string; keep: number | string; pages: number }[];
  readonly orphans: object[];
  readonly pages: { held: number };
}
async function list(server: Server): Promise<Listed> {
  return JSON.parse(fine(await server.run(['members', '--json']))) as Listed;
}
async function until(server: Server, fits: (listed: Listed) => boolean): Promise<Listed> {
  for (let tries = 0; tries < 1200; tries++) {
    const listed = await list(server);
    if (fits(listed)) return listed;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`it stays ${JSON.stringify(await list(server))}`);
}

test('migrate: the one that has it is asked and gives it, byte for byte', async () => {
  await using server = await Server.start();
  await using giver = await Owner.start(server, 'keeps', hour, 'gives');
  await using taker = await Owner.start(server, 'takes');
  const { principal, digests, slot } = giver.first;
  const { applications } = await list(server);
  assert.equal(
    applications.map(({ member, state, keep, pages }) => ({ member, state, keep, pages })),
    // Kept for the next power of two of seconds.
    [{ member: slot, state: 'alive', keep: 4_096_000, pages }],
  );
  const move = ['migrate', String(principal), String(taker.first.slot)];
  const moved = JSON.parse(fine(await server.run([...move, '--json'])));
  assert.equal([moved.principal, moved.from, moved.to, moved.bytes], [principal, slot, taker.first.slot, pages * 4096]);
  assert.is((await giver.told('gave')).to, taker.first.slot);
  const took = await taker.told('took');
  assert.is(took.principal, principal);
  assert.equal(took.digests, digests);
  assert.is((await list(server)).applications[0]!.member, taker.first.slot);
  assert.match(fine(await server.run(['members'])), new RegExp(`APPLICATION.*\\n +${principal} .*alive`));
  assert.match(fine(await server.run(move)), /is with member/, 'where it is already');
  refused(await server.run(['adopt', String(principal), '--to', String(slot)]), 9, /alive.*exomem kick/);
});

test('migrate: who does not give it is named, and force shows first what it costs', async () => {
  await using server = await Server.start();
  await using giver = await Owner.start(server, 'keeps', hour, 'stays');
  await using taker = await Owner.start(server, 'takes');
  const { principal, digests, slot } = giver.first;
  const move = ['migrate', String(principal), String(taker.first.slot)];
  refused(await server.run([...move, '--timeout', '1500ms']), 9, /heard the request.*1\.5 s.*--force/);
  giver.child.kill('SIGSTOP');
  refused(await server.run([...move, '--timeout', '500ms']), 9, /did not hear.*members --check.*--force/);
  assert.not.match(fine(await server.run(['dump', '--member', String(slot)])), /wanted/, 'it is taken back');
  giver.child.kill('SIGCONT');
  const shown = refused(await server.run([...move, '--force']), 2, /--yes/);
  assert.match(shown, new RegExp(`member ${slot} \\(keeps, process ${giver.child.pid}\\) acts for`));
  assert.match(shown, new RegExp(`${principal} +0 B +304 KiB +application, kept`));
  assert.match(shown, /\d+ +40 KiB +0 B +its own/);
  assert.is((await list(server)).applications[0]!.member, slot, 'nothing happened');
  const moved = JSON.parse(fine(await server.run([...move, '--force', '--yes', '--json'])));
  assert.equal([moved.to, moved.kicked], [taker.first.slot, slot]);
  assert.equal((await taker.told('took')).digests, digests);
  giver.child.stdin!.write('x');
  assert.is((await giver.told('wrote')).code, 'Fenced');
  assert.is((await until(server, ({ pages: { held } }) => held === pages)).applications.length, 1);
});

test('adopt: what a killed process left goes to another, or is freed', async () => {
  await using server = await Server.start(['--lease', '2500ms']);
  await using giver = await Owner.start(server, 'keeps', 'Infinity', 'gives');
  await using other = await Owner.start(server, 'keeps', hour, 'gives');
  await using taker = await Owner.start(server, 'takes');
  const to = String(taker.first.slot);
  const [first, second] = [String(giver.first.principal), String(other.first.principal)];
  await giver.kill('SIGKILL');
  await other.kill('SIGKILL');
  const dead = await until(
    server,
    ({ applications, members }) => applications.every(({ state }) => state === 'dead') && members.length === 2,
  );
  assert.equal(dead.orphans, [], 'they wait for adoption');
  assert.is(dead.applications.find(({ principal }) => String(principal) === first)!.keep, 'forever');
  assert.match(fine(await server.run(['members'])), new RegExp(`dead.*adopted.*exomem adopt ${first} --to`));
  const nobody = String([...Array(64).keys()].find((slot) => !dead.members.some((member) => member.slot === slot)));
  const [unasked, unsaid] = await Promise.all([server.run(['migrate', first, to]), server.run(['adopt', first])]);
  refused(unasked, 9, /dead.*exomem adopt/);
  refused(unsaid, 2, /--to MEMBER/);
  // By itself: another command would be a member for a moment, and might be that one.
  refused(await server.run(['adopt', first, '--to', nobody]), 3, /no member/);
  fine(await server.run(['adopt', first, '--to', to]));
  assert.equal((await taker.told('took')).digests, giver.first.digests);
  assert.equal(JSON.parse(fine(await server.run(['adopt', second, '--free', '--json']))), {
    principal: Number(second),
    freed: pages * 4096,
  });
  const after = await until(server, ({ pages: { held } }) => held === pages);
  assert.equal(
    after.applications.map(({ principal, member }) => [principal, member]),
    [[Number(first), taker.first.slot]],
  );
  refused(await server.run(['adopt', second, '--free']), 3, /no application/);
});

test('kick: shows what is freed and what is kept, then shuts out at once', async () => {
  await using server = await Server.start();
  await using owner = await Owner.start(server, 'keeps', hour, 'gives');
  const { slot, principal } = owner.first;
  const shown = JSON.parse(refused(await server.run(['kick', String(slot), '--json']), 2, /--yes/));
  assert.equal([shown.member, shown.kicked], [slot, false]);
  assert.is((await list(server)).applications[0]!.state, 'alive');
  const done = JSON.parse(fine(await server.run(['kick', String(slot), '--yes', '--json'])));
  assert.equal([done.member, done.kicked, done.label, done.pid], [slot, true, 'keeps', owner.child.pid]);
  const outcome = (application: boolean): unknown[] =>
    done.principals
      .filter((one: { application: boolean }) => one.application === application)
      .map(({ principal, freed, kept }: Record<string, number>) => [application && principal, freed, kept]);
  assert.equal(outcome(true), [[principal, 0, pages]]);
  assert.equal(outcome(false), [[false, 10, 0]]);
  owner.child.stdin!.write('x');
  assert.is((await owner.told('wrote')).code, 'Fenced');
  // What was its own is free when the command has ended; what is kept waits.
  const after = await list(server);
  assert.is(after.pages.held, pages);
  assert.is(after.applications[0]!.state, 'dead');
  refused(await server.run(['kick', String(slot), '--yes']), 3, /no member/);
  refused(await server.run(['kick', 'x', '--yes']), 2, /member slot/);
  refused(await server.run(['migrate', '0', '1']), 2, /principal/);
});

test.run();
