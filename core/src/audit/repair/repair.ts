import { exchangeSurely } from '../../policy/resolve.js';
import type { Protocol } from '../../protocol/protocol.js';
import { groupWordOffset } from '../../region/geometry.js';
import { memberState } from '../../region/words.js';
import { type Audit, type AuditOptions, auditRegion } from '../audit.js';
import type { Finding } from '../finding.js';
import type { RegionImage } from '../image.js';
import { type Loss, type Salvage, salvage } from '../salvage/salvage.js';
import { cureGates } from './gates.js';
import { cureGroups } from './groups.js';
import { cureLock, underLock } from './lock.js';
import { cureLog } from './log.js';
import { cureMail } from './mail.js';
import { cureMembers } from './members.js';
import { type Mend, type Patient, placesOf } from './mend.js';
import { Overlay } from './overlay.js';
import { curePrincipals } from './principals.js';
import { cureSuperblock } from './superblock.js';

export type { Loss } from '../salvage/loss.js';
export type { Change, Mend } from './mend.js';

export interface RepairOptions extends AuditOptions {
  /** Say what would be changed, and change nothing. */
  readonly dryRun?: boolean;
  /**
   * Rebuild a namespace that cannot be read, or contradicts itself, of what is whole, although something is lost with that. Only
   * if nothing else helps, and nobody is joined. Default false.
   */
  readonly acceptLoss?: boolean;
}

export interface Repair {
  /** As the region was. */
  readonly before: Audit;
  /** What was put right; of a dry run, what would be. */
  readonly mends: readonly Mend[];
  /** What somebody else had changed before it could be put right. */
  readonly missed: readonly Mend[];
  /** What is lost with that; nothing without `acceptLoss`. */
  readonly losses: readonly Loss[];
  /** Why the namespace was not rebuilt, although it is damaged and losses were accepted. */
  readonly refused?: string | undefined;
  /** As the region is; of a dry run, as it would be. */
  readonly after: Audit;
}

/** How often what was uncovered by a mend is looked at in turn. */
const rounds = 10;

/**
 * Repairs a region: word by word, each by compare-and-swap from what was read. Everything is tried first in an image of the
 * region, to the end: only if less is damaged then, and no file is lost, one word of the region is touched. What cannot be
 * put right for certain is left as it is, among the findings of `after`.
 * @param size bytes of the region
 */
export function* repairRegion(size: number, options: RepairOptions = {}): Protocol<Repair> {
  const before = yield* auditRegion(size, options);
  const plan = before.damaged ? yield* planOf(size, before, options) : undefined;
  if (plan === undefined) return { before, mends: [], missed: [], losses: [], after: before };
  const { losses, refused } = plan;
  if (options.dryRun || plan.mends.length === 0)
    return { before, mends: plan.mends, missed: [], losses, refused, after: plan.after };
  const mends: Mend[] = [];
  const missed: Mend[] = [];
  const { mend: first, table } = byTable(plan);
  const applyAll = function* (all: readonly Mend[]): Protocol<void> {
    for (const mend of all) ((yield* apply(mend)) ? mends : missed).push(mend);
  };
  yield* applyAll(first);
  const { block } = plan.after.image.superblock;
  if (block === undefined || block.geometry.redoBytes === 0 || table.length === 0) yield* applyAll(table);
  else
    yield* underLock(block.geometry, { wait: block.wait, deserted: !isAttended(plan.after.image) }, () =>
      applyAll(table),
    );
  return { before, mends, missed, losses, refused, after: yield* auditRegion(size, options) };
}

interface Plan {
  readonly mends: readonly Mend[];
  readonly losses: readonly Loss[];
  readonly refused?: string | undefined;
  readonly after: Audit;
}

/** What to do, tried in an image; nothing if that would not make it better. */
function* planOf(size: number, before: Audit, options: RepairOptions): Protocol<Plan | undefined> {
  const refused = options.acceptLoss ? refusalOf(before) : undefined;
  if (options.acceptLoss && refused === undefined) {
    const plan = yield* tryOut(size, before, options, [...all, 'salvage']);
    if (plan !== undefined) return plan;
  }
  const plan = yield* planWithoutLoss(size, before, options);
  if (refused === undefined || !isLost((plan?.after ?? before).findings)) return plan;
  return { ...(plan ?? { mends: [], losses: [], after: before }), refused };
}

/** Whether less is damaged. What only names tell, where they could not be read before, was so before. */
function isBetter(before: Audit, after: Audit): boolean {
  const shown = ({ image }: Audit): boolean => image.tables?.log.complete ?? false;
  const damage = ({ findings }: Audit): number => {
    const all = ownDamage(findings);
    return shown(before) || !shown(after) ? all.length : all.filter(({ oracle }) => !byNames.has(oracle)).length;
  };
  return damage(after) < damage(before);
}
/** Who needs names to say that something is damaged. */
const byNames: ReadonlySet<string> = new Set(['I6', 'I8', 'tree', 'files', 'owners', 'counts', 'runs', 'principals']);

/** What is wrong with the namespace that no word can put right. */
function isLost(findings: readonly Finding[]): boolean {
  return ownDamage(findings).some(({ oracle }) => ofNamespace.has(oracle));
}
/** Damage, but for what a damaged word of a group says of pages of files: that shows only where names can be read, and is no other. */
function ownDamage(findings: readonly Finding[]): Finding[] {
  const damage = damageOf(findings);
  const doubted = new Set(placesOf(damage, 'group', 'groups', 'runs'));
  return damage.filter(({ oracle, group }) => oracle !== 'I6' || group === undefined || !doubted.has(group));
}
const ofNamespace: ReadonlySet<string> = new Set([
  'root',
  'log',
  'I6',
  'I7',
  'I8',
  'tree',
  'files',
  'owners',
  'counts',
]);

/** Why nothing may be lost. */
function refusalOf({ image }: Audit): string | undefined {
  if (image.tables === undefined) return 'no superblock says what this region is';
  if (!isAttended(image)) return undefined;
  return 'members are there, and have read what cannot be read any more. Their next snapshot brings it back; a rebuilt namespace would be another than theirs';
}

function* planWithoutLoss(size: number, before: Audit, options: RepairOptions): Protocol<Plan | undefined> {
  // If all of it together makes it no better, a part of it may.
  for (const parts of [all, ['superblock', 'log'], ['superblock', 'tables'], ['superblock']] as const) {
    const plan = yield* tryOut(size, before, options, parts);
    if (plan !== undefined) return plan;
  }
  return undefined;
}

type Part = 'superblock' | 'log' | 'tables' | 'salvage';
const all: readonly Part[] = ['superblock', 'log', 'tables'];

function* tryOut(
  size: number,
  before: Audit,
  options: RepairOptions,
  parts: readonly Part[],
): Protocol<Plan | undefined> {
  const overlay = new Overlay();
  const mends: Mend[] = [];
  let rebuilt: Salvage | undefined;
  let forsaken = false;
  const forgone: Loss[] = [];
  let image = before.image;
  let findings = before.findings;
  for (let round = 0; round < rounds; round++) {
    let next: readonly Mend[] = yield* overlay.through(cures(image, damageOf(findings), { parts, forsaken }));
    if (next.length === 0 && parts.includes('salvage') && rebuilt === undefined && isLost(findings)) {
      const patient = patientOf(image, damageOf(findings));
      if (patient !== undefined) rebuilt = yield* overlay.through(salvage(patient));
      next = rebuilt?.mends ?? [];
    }
    // Last of all, since those who are kept may lose memory: whose it is cannot be told.
    if (next.length === 0 && parts.includes('salvage') && !forsaken && damageOf(findings).length > 0) {
      forsaken = true;
      next = yield* overlay.through(cures(image, damageOf(findings), { parts, forsaken }));
    }
    if (forsaken) {
      const groups = next.filter(({ oracle }) => oracle === 'groups');
      forgone.push(...groups.map(({ what }) => ({ what: `${what}: whose memory it was cannot be told` })));
    }
    if (next.length === 0) break;
    const changed = new Set<number>();
    for (const mend of next) {
      // Of two that would change the same word the second is seen to in the next round, if it is still needed.
      if (mend.changes.some(({ offset }) => changed.has(offset))) continue;
      for (const { offset, desired } of mend.changes) {
        changed.add(offset);
        overlay.set(offset, desired);
      }
      mends.push(mend);
    }
    // Read as often as it takes to believe it: others may be at work meanwhile.
    ({ image, findings } = yield* overlay.through(auditRegion(size, options)));
    if (damageOf(findings).length === 0) break;
  }
  const { refused } = rebuilt ?? {};
  const losses = [...(rebuilt?.losses ?? []), ...forgone];
  const after = { image, findings, damaged: damageOf(findings).length > 0 };
  if (refused !== undefined) {
    const plan = yield* planWithoutLoss(size, before, options);
    return { ...(plan ?? { mends: [], losses: [], after: before }), refused };
  }
  if (mends.length === 0) return undefined;
  // A namespace that can be read again may show what is wrong with words that it refers to: that was so before.
  if (rebuilt !== undefined && rebuilt.mends.length > 0) return isLost(findings) ? undefined : { mends, losses, after };
  if (!isBetter(before, after) || losesFiles(before.image, image)) return undefined;
  return { mends, losses, after };
}

/** @param how `forsaken`: memory that cannot be told whose it is is nobody's, although somebody is kept */
function* cures(
  image: RegionImage,
  damage: readonly Finding[],
  { parts, forsaken }: { readonly parts: readonly Part[]; readonly forsaken: boolean },
): Protocol<Mend[]> {
  const mends = parts.includes('superblock') ? cureSuperblock(image) : [];
  const { tables } = image;
  // What the tables are is known when the superblock is.
  if (mends.length > 0 || tables === undefined) return mends;
  const attended = isAttended(image);
  const known = patientOf(image, damage)!;
  const patient = forsaken ? { ...known, deserted: true } : known;
  if (parts.includes('log')) mends.push(...(yield* cureLog(patient)));
  if (mends.length > 0 || !parts.includes('tables')) return mends;
  mends.push(...cureLock(patient), ...(yield* cureMembers(patient)), ...curePrincipals(patient));
  // Whose a group is depends on those. Where groups are granted by messages, whoever is a member writes their words as it knows
  // them: another may only when nobody is.
  const granted = tables.geometry.mailboxBytes > 0;
  if (mends.length === 0 && !(granted && attended)) mends.push(...cureGroups(patient));
  if (mends.length === 0) mends.push(...cureMail(patient, attended));
  if (mends.length === 0) mends.push(...cureGates(patient));
  return mends;
}

/** Undefined where no superblock says what the tables are. */
function patientOf(image: RegionImage, damage: readonly Finding[]): Patient | undefined {
  const { tables } = image;
  if (tables === undefined) return undefined;
  let kept = false;
  for (let principal = 1; principal < tables.principals.length; principal++) {
    const word = tables.standings.principal(principal)!;
    kept ||= tables.standings.of((principal << 16) | word.incarnation) === 'kept';
  }
  return { image, tables, damage, deserted: !isAttended(image) && !kept };
}

/** Mends of the table of groups, and the others, which come first. */
function byTable({ mends, after }: Plan): { readonly mend: readonly Mend[]; readonly table: readonly Mend[] } {
  const geometry = after.image.tables?.geometry;
  const isTable = ({ changes }: Mend): boolean =>
    geometry !== undefined &&
    changes.some(
      ({ offset }) => offset >= geometry.groupOffset && offset < groupWordOffset(geometry, geometry.groupCount),
    );
  return { mend: mends.filter((mend) => !isTable(mend)), table: mends.filter(isTable) };
}

function isAttended({ tables }: RegionImage): boolean {
  return tables?.members.some(({ state }) => state === memberState.joining || state === memberState.active) ?? false;
}

function damageOf(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ severity }) => severity === 'damage');
}

/** Whether a file that could be read before could not be any more, or would be another one. */
function losesFiles(before: RegionImage, after: RegionImage): boolean {
  const [was, is] = [before.tables?.log, after.tables?.log];
  if (was === undefined || was.begin === undefined) return false;
  if (is?.begin === undefined || is.end < was.end) return true;
  // With records that had been lost there may be other files, and names that had gone already.
  if (is.end > was.end || !was.complete) return false;
  for (const { inode, size, extents } of was.state.inodes.values()) {
    const found = is.state.inodes.get(inode);
    if (found?.size !== size || JSON.stringify(found.extents) !== JSON.stringify(extents)) return true;
  }
  return false;
}

/** Changes what still is as it was read; from the first that another has changed on all is left to it. Whether all of it was done. */
function* apply({ changes }: Mend): Protocol<boolean> {
  for (const { offset, expected, desired } of changes) {
    const found = yield* exchangeSurely(offset, expected, desired);
    if (found !== expected && found !== desired) return false;
  }
  return true;
}
