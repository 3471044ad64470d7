import { type Client, isExomemError, type MemberLine } from '@exomem/core';
import { confirm } from '../command/confirm.js';
import type { Context } from '../command/context.js';
import { describe } from '../command/failure.js';
import { parseMember } from '../command/number.js';
import { nameOf, Roster } from './roster.js';

/** Declares a member dead at once, after it was shown what becomes of what it holds. */
export async function kick(
  context: Context,
  text: string,
  region: string | undefined,
  flags: { yes?: boolean },
): Promise<void> {
  const slot = parseMember(text);
  const { output } = context;
  await using client = await joinOrLook(context, context.region(region));
  const roster = await Roster.read(client);
  const member = roster.living(slot);
  await confirmDeath(context, roster, member, flags.yes);
  const done = await fence(client, member);
  if (done) await recover(context, client);
  if (output.json) {
    const { incarnation, label, pid } = member;
    output.value({ member: slot, incarnation, label, pid, kicked: done, principals: roster.plain(member) });
  } else {
    output.line(
      done
        ? `${nameOf(member)} was declared dead: nothing that it writes arrives any more`
        : `${nameOf(member)} had left already`,
    );
  }
}

/** Shows what the death of a member means, and asks whether that is wanted. Nothing has happened yet. */
export async function confirmDeath(
  context: Context,
  roster: Roster,
  member: MemberLine,
  yes: boolean | undefined,
): Promise<void> {
  const { output } = context;
  if (!output.json) {
    output.line(`${nameOf(member)} acts for:`);
    output.table(roster.describe(member), [0, 1, 2]);
  } else if (!yes) output.value({ member: member.slot, kicked: false, principals: roster.plain(member) });
  await confirm(context, `Declare ${nameOf(member)} dead?`, yes);
}

/**
 * Shuts out the member that was shown, and no other that has its slot since. Whether it was there still.
 * @throws `UnsupportedCapability` where nobody can be shut out, `Unproven` where that takes a wait.
 */
export function fence(client: Client, { slot, incarnation }: MemberLine): Promise<boolean> {
  return client.kick(slot, incarnation);
}

/** Recovers what the dead held, as a steward would do. That it fails takes nothing back. */
export async function recover({ output }: Context, client: Client): Promise<void> {
  if (client.role === 'observer') return;
  await client.lookAfter().catch((error) => output.note(describe(error)));
}

/** Where all member slots are taken one can kick all the same. */
async function joinOrLook(context: Context, url: string): Promise<Client> {
  try {
    return await context.join(url);
  } catch (error) {
    if (!isExomemError(error, 'Busy')) throw error;
    return context.look(url);
  }
}
