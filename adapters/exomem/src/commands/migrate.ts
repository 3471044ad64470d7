import {
  type Client,
  ExomemError,
  encodeWanted,
  exchangeSurely,
  type MemberLine,
  memberFields,
  memberLineOffset,
  type PrincipalLine,
  wantedKind,
} from '@exomem/core';
import type { Context } from '../command/context.js';
import { parseMember, parsePrincipal } from '../command/number.js';
import { formatDuration, parseDuration } from '../command/quantity.js';
import { handTo, tell } from './adopt.js';
import { confirmDeath, fence, recover } from './kick.js';
import { isKept, isThere, nameOf, Roster } from './roster.js';

export interface MigrateFlags {
  readonly timeout?: string;
  readonly force?: boolean;
  readonly yes?: boolean;
}

/** Milliseconds between two looks at the application's word. */
const period = 50;

/** Moves an application to another member: by asking the one that has it, or by force. No byte of it moves. */
export async function migrate(
  context: Context,
  application: string,
  member: string,
  region: string | undefined,
  flags: MigrateFlags,
): Promise<void> {
  const principal = parsePrincipal(application);
  const slot = parseMember(member);
  const timeout = parseDuration(flags.timeout ?? '10s', 'timeout');
  await using client = await context.join(context.region(region));
  const roster = await Roster.read(client);
  const line = roster.application(principal);
  const to = roster.ready(slot);
  const owner = roster.owner(line);
  let kicked: number | undefined;
  if (owner !== to) {
    if (flags.force) kicked = await force(context, client, roster, line, to, flags.yes);
    else await request(context, client, roster, line, to, timeout);
  }
  tell(context, client, roster, principal, to, { from: owner?.slot, kicked });
}

/** Takes it from a member that does not give it, and is declared dead for that: the slot of that, if it was there. */
async function force(
  context: Context,
  client: Client,
  roster: Roster,
  line: PrincipalLine,
  to: MemberLine,
  yes: boolean | undefined,
): Promise<number | undefined> {
  const { principal } = line;
  if (!isKept(line)) {
    throw new ExomemError('PermissionDenied', `application ${principal} dies with its member: force would free it`, {
      where: client.where,
      advice: 'only what was registered with a time to be kept can be taken by force',
    });
  }
  const owner = roster.owner(line);
  let kicked: number | undefined;
  if (owner !== undefined) {
    await confirmDeath(context, roster, owner, yes);
    // Whoever left or died meanwhile is as good: whether the application is to be had then, adoption says.
    if (await fence(client, owner)) kicked = owner.slot;
  }
  await handTo(await client.adopt(principal), to);
  await recover(context, client);
  return kicked;
}

/** Asks the member that has it, and waits until its word shows the new one. */
async function request(
  context: Context,
  client: Client,
  roster: Roster,
  line: PrincipalLine,
  to: MemberLine,
  timeout: number,
): Promise<void> {
  const { signal } = context;
  const { principal, incarnation, word } = line;
  const owner = roster.owner(line);
  if (owner === undefined) throw dead(client, line);
  const { now } = client.surroundings;
  const deadline = now() + timeout;
  let left = false;
  try {
    for (;;) {
      left ||= await client.askToMigrate(principal, to.slot);
      const { members, principals } = await client.members();
      const found = principals.find((other) => other.principal === principal);
      if (found?.member === to.slot && found.memberIncarnation === to.incarnation) return;
      if (found?.incarnation !== incarnation) throw moved(client, principal, 'has ended');
      if (found.word !== word) throw moved(client, principal, `was taken by member ${found.member}`);
      if (!stillThere(members[owner.slot], owner)) throw dead(client, line);
      if (!stillThere(members[to.slot], to)) throw moved(client, principal, `stays: ${nameOf(to)} left`);
      if (now() >= deadline) break;
      await client.surroundings.sleep(period, signal);
      signal.throwIfAborted();
    }
  } catch (error) {
    if (left) await withdraw(client, line, to).catch(() => false);
    throw error;
  }
  const seen = left && !(await withdraw(client, line, to));
  throw new ExomemError(
    'Busy',
    seen
      ? `${nameOf(owner)} heard the request, and did not move application ${principal} within ${formatDuration(timeout)}`
      : `${nameOf(owner)} did not hear the request to move application ${principal} within ${formatDuration(timeout)}`,
    {
      where: client.where,
      advice: `${
        seen
          ? 'it may be busy (allow it more with --timeout) or not know how to'
          : '`exomem members --check` shows whether it is silent'
      }; \`exomem migrate ${principal} ${to.slot} --force\` takes it, and declares that member dead`,
    },
  );
}

/** Takes back a request that nobody has heard yet, lest it be met when nobody expects it. Whether it was there. */
async function withdraw(
  client: Client,
  { principal, incarnation, member }: PrincipalLine,
  to: MemberLine,
): Promise<boolean> {
  const wanted = encodeWanted({ kind: wantedKind.migrate, principal, incarnation, pages: to.slot });
  const offset = memberLineOffset(client.geometry, member) + memberFields.wanted;
  return (await client.run(exchangeSurely(offset, wanted, 0n))) === wanted;
}

/** Whether a member that was seen is there still. */
function stillThere(found: MemberLine | undefined, { incarnation }: MemberLine): boolean {
  return found?.incarnation === incarnation && isThere(found);
}

function dead({ where }: Client, line: PrincipalLine): ExomemError {
  return new ExomemError('Busy', `the member of application ${line.principal} is dead: nobody can be asked`, {
    where,
    advice: isKept(line)
      ? `\`exomem adopt ${line.principal} --to MEMBER\` takes it`
      : 'it was not kept, and is freed with that member',
  });
}

function moved({ where }: Client, principal: number, what: string): ExomemError {
  return new ExomemError('Busy', `application ${principal} ${what}`, {
    where,
    advice: '`exomem members` shows what there is now',
  });
}
