import {
  type ExaminedSuperblock,
  examineSuperblock,
  ruler,
  type Superblock,
  superblockBytes,
  superblockState,
} from '@exomem/core';
import { printable } from '../command/output.js';
import { formatSize } from '../command/quantity.js';
import { timeOf } from '../commands/attributes.js';
import type { RegionImage } from '../image/region-image.js';
import { type Dump, hex, line, nameOf } from './line.js';

/** The superblock to go by: the first one, or its copy at the end where the first one is of no use. */
export interface FoundSuperblock {
  readonly first: ExaminedSuperblock | undefined;
  readonly copy: ExaminedSuperblock | undefined;
  readonly used: Superblock | undefined;
}

export async function findSuperblock(image: RegionImage): Promise<FoundSuperblock> {
  const first = examineSuperblock(await image.read(0, superblockBytes), image.size);
  // Where the copy lies the size tells, should the first one not.
  const places = [first?.block.geometry.copyOffset, Math.floor(image.size / 4096) * 4096 - superblockBytes];
  let copy: ExaminedSuperblock | undefined;
  for (const offset of places) {
    if (copy !== undefined || offset === undefined || !Number.isSafeInteger(offset) || offset <= 0) continue;
    copy = examineSuperblock(await image.read(offset, superblockBytes), image.size);
  }
  // The copy has no state: it cannot be refused for that alone.
  const fine = [first, copy].find((one) => one?.geometryFits && one.refusal === undefined);
  const usable = fine ?? [first, copy].find((one) => one?.geometryFits);
  return { first, copy, used: usable?.block };
}

export async function* dumpSuperblock(image: RegionImage, found: FoundSuperblock): Dump {
  const { first, copy, used } = found;
  yield line('region', `region ${image.where}, ${image.size} bytes (${formatSize(image.size)})`, {
    where: image.where,
    size: image.size,
  });
  if (first === undefined) {
    const start = await image.read(0, 32);
    const bytes = Buffer.from(start).toString('hex');
    yield line('damage', `superblock: none; the region begins with ${bytes}`, { bytes });
  } else yield* describe('superblock', first);
  if (copy === undefined) yield line('copy', 'copy of the superblock: none', { found: false });
  else if (first === undefined || first.refusal !== undefined) yield* describe('copy', copy);
  else {
    const differ = differences(first.block, copy.block);
    yield line('copy', `copy of the superblock: ${differ.length === 0 ? 'the same' : `other ${differ.join(', ')}`}`, {
      found: true,
      differ,
    });
  }
  if (used === undefined) yield line('damage', 'no superblock says where anything lies: nothing more can be shown');
}

function* describe(
  kind: string,
  { block, state, nonce, refusal }: ExaminedSuperblock,
): Generator<ReturnType<typeof line>> {
  const { geometry, uuid, created, compat, incompat, roCompat, lease, delay, drift, wait, version } = block;
  const id = Buffer.from(uuid)
    .toString('hex')
    .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
  const of = kind === 'copy' ? 'copy of the superblock' : 'superblock';
  yield line(kind, `${of}: version ${version}, ${nameOf(superblockState, state)}, nonce ${hex(nonce)}, uuid ${id}`, {
    found: true,
    version,
    state: nameOf(superblockState, state),
    nonce: hex(nonce),
    uuid: id,
    created: timeOf(created),
    compat: hex(compat),
    incompat: hex(incompat),
    roCompat: hex(roCompat),
    policy: ruler(block),
    lease,
    delay,
    drift,
    wait,
    geometry,
    refusal: refusal?.message,
  });
  yield line(
    kind,
    `  made ${timeOf(created)}; lease ${lease} ms, delay ${delay} ms, drift ${drift} ppm, wait ${wait} ms`,
  );
  yield line(
    kind,
    `  features: compat ${hex(compat)}, incompat ${hex(incompat)}, ro-compat ${hex(roCompat)}; policy ${printable(ruler(block))}`,
  );
  for (const [field, value] of Object.entries(geometry)) yield line(kind, `  ${field.padEnd(16)} ${value}`);
  if (refusal !== undefined && !(kind === 'copy' && state === 0)) {
    yield line('damage', `  ${of} is refused: ${refusal.message}`, { code: refusal.code });
  }
}

function differences(a: Superblock, b: Superblock): string[] {
  const fields: [string, unknown, unknown][] = [];
  for (const key of Object.keys(a.geometry) as (keyof Superblock['geometry'])[]) {
    fields.push([key, a.geometry[key], b.geometry[key]]);
  }
  for (const key of [
    'version',
    'compat',
    'incompat',
    'roCompat',
    'lease',
    'delay',
    'drift',
    'wait',
    'created',
    'policy',
  ] as const) {
    fields.push([key, a[key], b[key]]);
  }
  fields.push(['uuid', Buffer.from(a.uuid).toString('hex'), Buffer.from(b.uuid).toString('hex')]);
  return fields.filter(([, one, other]) => one !== other).map(([name]) => name);
}
