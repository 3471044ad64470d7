import {
  controlFields,
  dataHeaderBytes,
  decodeRoot,
  decodeSnapshotHeader,
  memberStride,
  snapshotHeaderBytes,
} from '@exomem/core';
import { Copy, type Image } from './image.js';

/** Bytes of a region that mean something, or nothing, and who has to say so if they are damaged. */
export interface Area {
  readonly name: string;
  readonly offset: number;
  readonly length: number;
  /** One of these finds what is found. */
  readonly oracles: readonly string[];
}

/** Everything of an image that is no page of a user. */
export function areasOf(image: Image): Area[] {
  const { geometry, layout } = image;
  const { controlOffset, memberOffset, memberSlots, principalOffset, principalSlots, groupOffset, groupCount } =
    geometry;
  const { logOffset, logSlots, arenaOffset, arenaBytes, redoOffset, redoBytes, mailboxOffset, mailboxBytes } = geometry;
  const areas: Area[] = [
    { name: 'superblock', offset: 0, length: 4096, oracles: ['superblock'] },
    { name: 'root', offset: controlOffset + controlFields.root, length: 8, oracles: ['root', 'log', 'I7', 'reserve'] },
    { name: 'lock', offset: controlOffset + controlFields.lock, length: 8, oracles: ['root', 'I15'] },
    { name: 'rest of the control page', offset: controlOffset + 128, length: 4096 - 128, oracles: [] },
    {
      name: 'members',
      offset: memberOffset,
      length: memberStride * memberSlots,
      oracles: ['members', 'principals', 'gates', 'mail', 'I15'],
    },
    {
      name: 'principals',
      offset: principalOffset,
      length: 8 * (principalSlots + 1),
      oracles: ['principals', 'groups', 'runs', 'log', 'owners', 'tree', 'members'],
    },
    { name: 'groups', offset: groupOffset, length: 8 * groupCount, oracles: ['groups', 'runs', 'reserve', 'I6'] },
    { name: 'slots', offset: logOffset, length: 8 * logSlots, oracles: ['log', 'I7', 'root', 'members'] },
    { name: 'arenas', offset: arenaOffset, length: arenaBytes * memberSlots, oracles: ['I7'] },
    { name: 'copy', offset: geometry.copyOffset, length: 4096, oracles: ['superblock'] },
  ];
  if (redoBytes > 0)
    areas.push({ name: 'redo', offset: redoOffset, length: redoBytes * memberSlots, oracles: ['I15'] });
  if (mailboxBytes > 0)
    areas.push({ name: 'mailboxes', offset: mailboxOffset, length: mailboxBytes, oracles: ['mail'] });
  if (layout !== undefined) {
    const gates = { offset: layout.head + layout.gates, length: 8 * memberSlots };
    areas.push({ name: 'header of the data', offset: layout.head, length: dataHeaderBytes, oracles: ['gates'] });
    areas.push({ name: 'gates', ...gates, oracles: ['gates'] });
  }
  const copy = new Copy(image);
  const snapshot = decodeRoot(copy.load(controlOffset)).page * 4096;
  const header = decodeSnapshotHeader(copy.read(snapshot, snapshotHeaderBytes))!;
  // It is small: all of it lies in its first run.
  const oracles = ['root'];
  areas.push({ name: 'snapshot header', offset: snapshot, length: snapshotHeaderBytes, oracles });
  areas.push({ name: 'snapshot body', offset: snapshot + snapshotHeaderBytes, length: header.length, oracles });
  return areas;
}
