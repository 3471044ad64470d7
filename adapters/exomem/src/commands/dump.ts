import {
  decodeMemberLine,
  decodePrincipal,
  ExomemError,
  type Geometry,
  memberLineOffset,
  memberStride,
  principalState,
  principalWordOffset,
} from '@exomem/core';
import type { Context } from '../command/context.js';
import { exitCodes } from '../command/exit-code.js';
import { parseRegion } from '../command/location.js';
import { parseMember } from '../command/number.js';
import { dumpGroups } from '../dump/groups.js';
import { type Dump, line } from '../dump/line.js';
import { dumpLock } from '../dump/lock.js';
import { dumpArena, dumpLog } from '../dump/log.js';
import { dumpMembers, dumpPrincipals, memberLine, principalLine } from '../dump/members.js';
import { dumpSuperblock, findSuperblock } from '../dump/superblock.js';
import { fileImage, type RegionImage, readWords, servedImage } from '../image/region-image.js';
import { localFailure } from './local.js';

export interface DumpFlags {
  readonly log?: boolean;
  readonly groups?: boolean;
  readonly member?: string;
}

/** Prints every word and record of a region, decoded. Nothing is written; what is damaged is shown as far as it goes. */
export async function dump(context: Context, text: string | undefined, flags: DumpFlags): Promise<number> {
  const { output, signal } = context;
  const member = flags.member === undefined ? undefined : parseMember(flags.member);
  await using image = await openImage(context, text);
  let damaged = false;
  for await (const found of lines(image, flags, member)) {
    signal.throwIfAborted();
    damaged ||= found.kind === 'damage';
    if (!output.json) output.line(found.text);
    else if (Object.keys(found.fields).length > 0 || found.kind === 'damage') {
      output.value({
        kind: found.kind,
        ...(found.kind === 'damage' ? { what: found.text.trim() } : {}),
        ...found.fields,
      });
    }
  }
  return damaged ? exitCodes.unusable[0] : exitCodes.ok[0];
}

/** A URL names a served region, everything else a file. */
async function openImage(context: Context, text: string | undefined): Promise<RegionImage> {
  const isUrl = text === undefined || /^[a-z][a-z0-9+.-]*:/i.test(text);
  if (isUrl) {
    const url = text === undefined ? context.region() : parseRegion(text);
    return servedImage(await (await context.composition()).transport(url), url, context.signal);
  }
  try {
    return await fileImage(text);
  } catch (error) {
    throw localFailure(error, text);
  }
}

async function* lines(image: RegionImage, flags: DumpFlags, member: number | undefined): Dump {
  const found = await findSuperblock(image);
  const all = !flags.log && !flags.groups && member === undefined;
  if (all || found.used === undefined) yield* dumpSuperblock(image, found);
  if (found.used === undefined) return;
  const { geometry } = found.used;
  if (member !== undefined) yield* dumpMember(image, geometry, member);
  if (all) {
    yield* dumpMembers(image, geometry);
    yield* dumpPrincipals(image, geometry);
  }
  if (all || flags.groups) yield* dumpLock(image, geometry);
  if (all || flags.groups) yield* dumpGroups(image, geometry);
  if (all || flags.log) yield* dumpLog(image, geometry);
}

/** One member: its line, its principals, what they own, and what lies in its arena. */
async function* dumpMember(image: RegionImage, geometry: Geometry, slot: number): Dump {
  if (slot >= geometry.memberSlots) {
    throw new ExomemError('OutOfRange', `there is no member slot ${slot}: there are ${geometry.memberSlots}`, {
      where: image.where,
      advice: '`exomem members` shows which there are',
    });
  }
  const bytes = await image.read(memberLineOffset(geometry, slot), memberStride);
  if (bytes.length < memberStride) {
    yield line('damage', `member ${slot}: the region ends before it`);
    return;
  }
  yield memberLine(bytes, slot);
  const { incarnation } = decodeMemberLine(bytes, slot);
  const words = await readWords(image, principalWordOffset(geometry, 1), geometry.principalSlots);
  const owners = new Set<number>();
  for (const [at, word] of words.entries()) {
    const found = decodePrincipal(word);
    if (found.state === principalState.free || found.member !== slot || found.memberIncarnation !== incarnation)
      continue;
    owners.add(at + 1);
    yield principalLine(at + 1, word);
  }
  yield* dumpGroups(image, geometry, owners);
  yield* dumpArena(image, geometry, slot);
}
