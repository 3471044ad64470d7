import { type Protocol, pause } from '../protocol/protocol.js';
import type { Finding } from './finding.js';
import { type RegionImage, readImage } from './image.js';
import type { JudgeOptions, Oracle } from './oracle.js';
import { I9, I12 } from './oracles/access.js';
import { I4, I5 } from './oracles/acknowledged.js';
import { counts } from './oracles/counts.js';
import { gates } from './oracles/gates.js';
import { groups } from './oracles/groups.js';
import { I10, I11 } from './oracles/growth.js';
import { I1, I2, I3 } from './oracles/handles.js';
import { I15 } from './oracles/lock.js';
import { log } from './oracles/log.js';
import { mail } from './oracles/mail.js';
import { members } from './oracles/members.js';
import { I6, I7, I8 } from './oracles/names.js';
import { owners } from './oracles/owners.js';
import { principals } from './oracles/principals.js';
import { I13, I14 } from './oracles/refusals.js';
import { reserve } from './oracles/reserve.js';
import { root } from './oracles/root.js';
import { runs } from './oracles/runs.js';
import { superblock } from './oracles/superblock.js';
import { files, tree } from './oracles/tree.js';
import type { Told } from './told.js';

/** Everything that is always true of a region, in the order in which to believe it. */
export const oracles: readonly Oracle[] = [
  superblock,
  gates,
  members,
  principals,
  groups,
  runs,
  reserve,
  root,
  log,
  tree,
  files,
  owners,
  counts,
  mail,
  I1,
  I2,
  I3,
  I4,
  I5,
  I6,
  I7,
  I8,
  I9,
  I10,
  I11,
  I12,
  I13,
  I14,
  I15,
];

/** Holds an image against every oracle. */
export function judge(image: RegionImage, told?: Told, options?: JudgeOptions): Finding[] {
  return oracles.flatMap((oracle) => oracle.check(image, told, options));
}

/** What an audit comes to. */
export interface Audit {
  /** The last reading. */
  readonly image: RegionImage;
  readonly findings: readonly Finding[];
  readonly damaged: boolean;
}

export interface AuditOptions extends JudgeOptions {
  /**
   * How often the region is read before damage is believed, since a reading of a region that others change is of no one
   * instant. 1 where nobody changes it. Default 3.
   */
  readonly readings?: number;
}

/** Milliseconds between two readings. */
const interval = 100;

/**
 * Reads a region and holds it against every oracle that the bytes decide. Damage is what every reading shows at the
 * same place.
 * @param size bytes of the region
 */
export function* auditRegion(size: number, options: AuditOptions = {}): Protocol<Audit> {
  const { readings = 3 } = options;
  let believed: ReadonlySet<string> | undefined;
  for (let reading = 1; ; reading++) {
    const image = yield* readImage(size);
    const findings = judge(image, undefined, options).filter(
      (finding) => finding.severity === 'note' || (believed?.has(keyOf(finding)) ?? true),
    );
    const damage = findings.filter(({ severity }) => severity === 'damage');
    if (damage.length === 0 || reading >= readings) return { image, findings, damaged: damage.length > 0 };
    believed = new Set(damage.map(keyOf));
    yield pause(interval);
  }
}

/** What two readings must have in common: the place, not the numbers in the words. */
function keyOf({ oracle, where, what, ...place }: Finding): string {
  return JSON.stringify([oracle, where, place, what.replace(/[0-9a-fx]*\d+/g, '')]);
}
