import { type Application, type Client, ExomemError, isExomemError, type MemberLine } from '@exomem/core';
import type { Context } from '../command/context.js';
import { parseMember, parsePrincipal } from '../command/number.js';
import { formatSize } from '../command/quantity.js';
import { nameOf, Roster } from './roster.js';

export interface AdoptFlags {
  readonly to?: string;
  readonly free?: boolean;
}

/** Takes an application whose member is dead: for another member, or to free it. */
export async function adopt(
  context: Context,
  text: string,
  region: string | undefined,
  flags: AdoptFlags,
): Promise<void> {
  const principal = parsePrincipal(text);
  if ((flags.to === undefined) === !flags.free) {
    throw new ExomemError('InvalidArgument', 'either a member that is to have it is named, or it is freed', {
      advice: 'write --to MEMBER (`exomem members` shows who is there) or --free',
    });
  }
  const slot = flags.to === undefined ? undefined : parseMember(flags.to);
  const { output } = context;
  await using client = await context.join(context.region(region));
  const roster = await Roster.read(client);
  roster.application(principal);
  const to = slot === undefined ? undefined : roster.ready(slot);
  const application = await client.adopt(principal);
  const bytes = roster.pages(principal) * client.geometry.pageSize;
  if (to === undefined) {
    await application.end();
    if (output.json) output.value({ principal, freed: bytes });
    else output.line(`application ${principal} is freed: ${formatSize(bytes)}`);
  } else {
    await handTo(application, to);
    tell(context, client, roster, principal, to);
  }
}

/** Hands an application on that this command took. @throws `Busy` if that member is not there; it is kept then. */
export async function handTo(application: Application, to: MemberLine): Promise<void> {
  try {
    await application.migrate(to);
  } catch (error) {
    if (!isExomemError(error, 'Busy')) throw error;
    throw new ExomemError('Busy', `${nameOf(to)} died meanwhile; application ${application.principal} is kept`, {
      advice: `\`exomem adopt ${application.principal} --to MEMBER\` gives it to another`,
      cause: error,
    });
  }
}

/** Says where an application is now. */
export function tell(
  { output }: Context,
  client: Client,
  roster: Roster,
  principal: number,
  to: MemberLine,
  more: Record<string, unknown> = {},
): void {
  const bytes = roster.pages(principal) * client.geometry.pageSize;
  if (output.json) output.value({ principal, to: to.slot, incarnation: to.incarnation, bytes, ...more });
  else output.line(`application ${principal} (${formatSize(bytes)}) is with ${nameOf(to)} now`);
}
