import { decodePrincipal, encodeSlot, logSlotOffset, runSync } from '@exomem/core';
import {
  type Audit,
  auditRegion,
  type Finding,
  type RegionImage,
  type Repair,
  type RepairOptions,
  repairRegion,
} from '@exomem/core/audit';
import { surroundings } from 'exomem';
import { type Area, areasOf } from './areas.js';
import { type Harm, inflict } from './harm.js';
import { Copy, type Image } from './image.js';
import { namespaceOf, subjectsOf, userPages } from './namespace.js';

/** What comes of a harm. */
export type Outcome = 'indifferent' | 'repaired' | 'better' | 'refused' | 'rebuilt';

/** Bits of a page that is in use. */
const inUse = 0xaaaa_aaaa;

/** Whose damage may be left: of what was in both superblocks no byte tells, nor whether a header that is none was ours. */
const nobodyCanTell = new Set(['superblock', 'gates']);

/** Who needs names to say that something is damaged: what they say when these can be read again was so before. */
const byNames = /^(I6|I8|tree|files|owners|counts|runs|principals):/;

/** An image of a region that is well, and what must be true however it is damaged. */
export class Patient {
  readonly image: Image;
  readonly areas: readonly Area[];
  readonly #whole: RegionImage;
  readonly #subjects: ReadonlyMap<number, ReadonlySet<number>>;
  /** The namespace without its last records: none of them, one, ... */
  readonly #endings: readonly string[];

  constructor(image: Image) {
    this.image = image;
    this.areas = areasOf(image);
    const { damaged, findings, image: whole } = audit(new Copy(image));
    if (damaged) throw new Error(`the image is not well: ${damageIn(findings).join('; ')}`);
    this.#whole = whole;
    this.#subjects = subjectsOf(image, whole);
    const copy = new Copy(image);
    const { logSlots } = image.geometry;
    const endings = [namespaceOf(whole)];
    for (let index = whole.tables!.log.end - 1; index >= whole.tables!.log.begin!; index--) {
      copy.store(logSlotOffset(image.geometry, index), encodeSlot(Math.floor(index / logSlots), 0));
      endings.push(namespaceOf(audit(copy).image));
    }
    this.#endings = endings;
  }

  /** Does it to a copy, and looks at what an audit, a repair and a salvage make of that. @throws what is wrong with them */
  suffer(harms: readonly Harm[]): Outcome | undefined {
    const copy = new Copy(this.image);
    if (!inflict(copy, this.areas, harms)) return undefined;
    const sick = userPages(copy, this.image.geometry);
    const untouched = (): void => {
      demand(Buffer.from(sick).equals(userPages(copy, this.image.geometry)), 'bytes of users were changed');
    };
    const found = audit(copy);
    if (!found.damaged) {
      this.#demandWhole(found.image, 'damage that is not found changes nothing');
      return 'indifferent';
    }
    this.#demandNamed(harms, found);
    const dry = repair(copy, { dryRun: true });
    const mended = repair(copy);
    untouched();
    this.#demandBetter(mended, harms);
    demand(dry.mends.length === mended.mends.length, 'a dry run says something else than what is done');
    const after = audit(copy);
    if (!after.damaged) {
      this.#demandWhole(after.image, 'what was repaired is as it was');
      this.#demandHolders(harms, after.image);
      return 'repaired';
    }
    const salvaged = repair(copy, { acceptLoss: true });
    untouched();
    const last = audit(copy);
    // A member line may be damaged so that somebody seems to be there.
    if (!last.image.tables?.members.some(({ state }) => state === 1 || state === 2)) this.#demandBeyond(last);
    if (salvaged.losses.length === 0) {
      const [was, is] = [ownDamageIn(after.findings), ownDamageIn(last.findings)];
      demand(is.length <= was.length, `a salvage made it worse: ${was.join('; ')} -> ${is.join('; ')}`);
      return mended.mends.length > 0 ? 'better' : 'refused';
    }
    this.#demandRest(salvaged, last.image);
    return 'rebuilt';
  }

  /** Whoever is responsible for a byte names it. */
  #demandNamed(harms: readonly Harm[], { findings }: Audit): void {
    const damage = findings.filter(({ severity }) => severity === 'damage');
    const own = new Set(harms.flatMap(({ area }) => this.areas.find(({ name }) => name === area)?.oracles ?? []));
    demand(
      damage.some(({ oracle }) => own.has(oracle)),
      `nobody who should has named it: ${damageIn(findings).join('; ')}`,
    );
  }

  #demandBetter({ before, after, mends, missed }: Repair, harms: readonly Harm[]): void {
    const shown = ({ image }: Audit): boolean => image.tables?.log.complete ?? false;
    const comparable = ({ findings }: Audit): string[] => {
      const all = ownDamageIn(findings);
      return shown(before) || !shown(after) ? all : all.filter((line) => !byNames.test(line));
    };
    const [was, is] = [comparable(before), comparable(after)];
    demand(missed.length === 0, 'something was missed, and nobody else was there');
    if (mends.length === 0) demand(was.length === is.length, `nothing was done: ${was.join('; ')} -> ${is.join('; ')}`);
    else demand(is.length < was.length, `it is no better: ${was.join('; ')} -> ${is.join('; ')}`);
    const [log, now] = [before.image.tables?.log, after.image.tables?.log];
    if (log?.complete !== true) return;
    for (const { inode, kind, size, extents } of log.state.inodes.values()) {
      if (kind !== 'file') continue;
      const file = now?.state.inodes.get(inode);
      const same = file !== undefined && file.size === size && JSON.stringify(file.extents) === JSON.stringify(extents);
      demand(same || this.#regained(harms, log.end, now?.end), `file ${inode} could be read, and is another now`);
    }
  }
  /** With records that had been lost there may be other files. */
  #regained(harms: readonly Harm[], was: number, is = 0): boolean {
    return is > was && harms.some(({ area }) => area === 'slots' || area === 'root');
  }

  /** The namespace is that of the image. Records that nothing points at any more may be missing at its end: no byte tells of them. */
  #demandWhole(image: RegionImage, what: string): void {
    const { tables } = image;
    demand(tables?.log.complete === true, `${what}: the namespace cannot be read`);
    const lost = this.#whole.tables!.log.end - tables!.log.end;
    demand(this.#endings[lost] === namespaceOf(image), `${what}: the namespace is another`);
  }

  /** Who held memory holds it, whose word and whose owner's word were not harmed. */
  #demandHolders(harms: readonly Harm[], { tables }: RegionImage): void {
    const whole = this.#whole.tables!;
    if (harms.some(({ area }) => area === 'groups' || area === 'principals' || area === 'members')) return;
    for (let group = 0; group * this.image.geometry.groupPages < whole.userPages; group++) {
      const high = whole.high(group);
      if (high >>> 16 === 0 || decodePrincipal(whole.principals[high >>> 16]!).state === 0) continue;
      const kept = tables!.high(group) === high && ((tables!.low(group) ^ whole.low(group)) & inUse) === 0;
      demand(kept, `group ${group} has lost its owner`);
    }
  }

  /** What even a salvage leaves is what nobody can tell: both superblocks, or memory of one who is kept. */
  #demandBeyond({ findings }: Audit): void {
    const wrong = ownDamageIn(findings).filter((line) => !nobodyCanTell.has(line.slice(0, line.indexOf(':'))));
    demand(wrong.length === 0, `a salvage leaves ${wrong.join('; ')}`);
  }

  /** Every file that no lost record was about is there. */
  #demandRest({ losses, before }: Repair, image: RegionImage): void {
    const { tables } = image;
    const whole = this.#whole.tables!;
    const read = before.image.tables!.log;
    const based = !losses.some(({ what }) => what.startsWith('the snapshot'));
    const gone = new Set<number>();
    for (const { what } of losses) {
      const [, first, last = first] = /^the records? of index (\d+)(?: to (\d+))? (?:is|are) lost/.exec(what) ?? [];
      for (let index = Number(first); index <= Number(last); index++) gone.add(index);
    }
    if (read.complete && tables!.log.begin === whole.log.begin) {
      this.#demandWhole(image, 'what could be read is as it was');
      return;
    }
    const end = tables!.log.begin!;
    demand(end >= whole.log.end - 1, `it goes on at index ${end}, and the log ended at ${whole.log.end}`);
    for (let index = end; index < whole.log.end; index++) gone.add(index);
    const doubted = new Set([...gone].flatMap((index) => [...(this.#subjects.get(index) ?? [])]));
    const told = new Set(losses.map(({ inode }) => inode));
    for (const { inode, kind, size, extents } of whole.log.state.inodes.values()) {
      if (kind !== 'file' || doubted.has(inode) || told.has(inode)) continue;
      if (!based && inode < whole.log.begin! * 4096) continue;
      const file = tables!.log.state.inodes.get(inode);
      const same = file !== undefined && file.size === size && JSON.stringify(file.extents) === JSON.stringify(extents);
      demand(same, `file ${inode} is lost, and nobody says so: ${losses.map(({ what }) => what).join('; ')}`);
    }
  }
}

function audit(copy: Copy): Audit {
  const { session } = copy;
  return runSync(auditRegion(session.size, { readings: 1 }), { session, surroundings });
}
function repair(copy: Copy, options: RepairOptions = {}): Repair {
  const { session } = copy;
  return runSync(repairRegion(session.size, { readings: 1, ...options }), { session, surroundings });
}
export function damageIn(findings: readonly Finding[]): string[] {
  return findings.filter(({ severity }) => severity === 'damage').map(({ oracle, what }) => `${oracle}: ${what}`);
}
/** Damage, but for what words that are damaged themselves say of pages of files. */
function ownDamageIn(findings: readonly Finding[]): string[] {
  const damage = findings.filter(({ severity }) => severity === 'damage');
  const doubted = new Set(
    damage.filter(({ oracle }) => oracle === 'groups' || oracle === 'runs').map(({ group }) => group),
  );
  return damageIn(damage.filter(({ oracle, group }) => oracle !== 'I6' || !doubted.has(group)));
}
function demand(truth: boolean, what: string): asserts truth {
  if (!truth) throw new Error(what);
}
