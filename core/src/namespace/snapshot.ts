import { ExomemError } from '../errors.js';
import { crc32c } from '../region/crc32c.js';
import { ByteReader, ByteWriter } from './bytes.js';
import type { Inode } from './inode.js';
import {
  decodeExtents,
  decodeOwner,
  decodeRanges,
  encodeExtents,
  encodeOwner,
  encodeRanges,
  fileKinds,
  kindOf,
} from './operation.js';
import { entryWeight, NamespaceState, rootInode } from './state.js';

/** A run of groups of the reserve that holds a part of a snapshot. */
export interface SnapshotRun {
  readonly group: number;
  readonly groups: number;
}
/** The first 4,096 bytes of a snapshot. */
export interface SnapshotHeader {
  /** The index of the next record: everything below is in the snapshot. */
  readonly index: number;
  /** Bytes of the body, which follows the header and goes on through the runs. */
  readonly length: number;
  /** CRC-32C of the body. */
  readonly checksum: number;
  readonly runs: readonly SnapshotRun[];
}

export const snapshotHeaderBytes = 4096;
const magic = 0x70_6e_73_65; // "esnp"
const fixed = 48;
export const mostRuns = Math.floor((snapshotHeaderBytes - fixed) / 16);

/** `{magic:32 | crc of the header:32 | index:64 | length:64 | body crc:32 | runs:32 | 16 bytes of zeros | {group:64 | groups:64} ...}`. */
export function encodeSnapshotHeader(header: SnapshotHeader): Uint8Array {
  const bytes = new Uint8Array(snapshotHeaderBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, magic, true);
  view.setBigUint64(8, BigInt(header.index), true);
  view.setBigUint64(16, BigInt(header.length), true);
  view.setUint32(24, header.checksum, true);
  view.setUint32(28, header.runs.length, true);
  for (const [number, { group, groups }] of header.runs.entries()) {
    view.setBigUint64(fixed + number * 16, BigInt(group), true);
    view.setBigUint64(fixed + number * 16 + 8, BigInt(groups), true);
  }
  view.setUint32(4, crc32c(bytes.subarray(8)), true);
  return bytes;
}

/** Undefined if these bytes are no (whole) header. */
export function decodeSnapshotHeader(bytes: Uint8Array): SnapshotHeader | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(0, true) !== magic || view.getUint32(4, true) !== crc32c(bytes.subarray(8, snapshotHeaderBytes))) {
    return undefined;
  }
  const runs: SnapshotRun[] = [];
  const count = view.getUint32(28, true);
  if (count > mostRuns) return undefined;
  for (let number = 0; number < count; number++) {
    runs.push({
      group: Number(view.getBigUint64(fixed + number * 16, true)),
      groups: Number(view.getBigUint64(fixed + number * 16 + 8, true)),
    });
  }
  return {
    index: Number(view.getBigUint64(8, true)),
    length: Number(view.getBigUint64(16, true)),
    checksum: view.getUint32(24, true),
    runs,
  };
}

/** The body of a snapshot: fences, sequences, then inodes with their names, as varints unless said otherwise. */
export function encodeState(state: NamespaceState): Uint8Array {
  const writer = new ByteWriter();
  writer.varint(state.fences.size);
  for (const [principal, incarnation] of state.fences) {
    writer.varint(principal);
    writer.varint(incarnation);
  }
  writer.varint(state.sequences.size);
  for (const [principal, { incarnation, sequence }] of state.sequences) {
    writer.varint(principal);
    writer.varint(incarnation);
    writer.varint(sequence);
  }
  writer.varint(state.kept.size);
  for (const [inode, { extents, holders }] of state.kept) {
    writer.varint(inode);
    encodeExtents(writer, extents);
    writer.varint(holders.size);
    for (const [principal, incarnation] of holders) {
      writer.varint(principal);
      writer.varint(incarnation);
    }
  }
  writer.varint(state.inodes.size);
  for (const inode of state.inodes.values()) {
    writer.varint(inode.inode);
    writer.u8(fileKinds.indexOf(inode.kind));
    writer.varint(inode.mode);
    writer.varint(inode.uid);
    writer.varint(inode.gid);
    writer.varint(inode.links);
    writer.varint(inode.size);
    writer.i64(inode.atime);
    writer.i64(inode.mtime);
    writer.i64(inode.ctime);
    switch (inode.kind) {
      case 'symlink':
        writer.text(inode.target);
        break;
      case 'file':
        encodeExtents(writer, inode.extents);
        encodeRanges(writer, inode.unwritten);
        encodeOwner(writer, inode.owner);
        break;
      case 'directory':
        writer.varint(inode.parent);
        writer.varint(inode.entries!.size);
        for (const [name, number] of inode.entries!) {
          writer.text(name);
          writer.varint(number);
        }
        break;
    }
  }
  return writer.bytes;
}

/** The state of a body. @throws `Damaged`. */
export function decodeState(bytes: Uint8Array, pageSize: number, index: number): NamespaceState {
  const reader = new ByteReader(bytes);
  const state = new NamespaceState(pageSize);
  state.inodes.clear();
  state.weight = 0;
  state.index = index;
  for (let left = reader.varint(); left > 0; left--) state.fences.set(reader.varint(), reader.varint());
  for (let left = reader.varint(); left > 0; left--) {
    state.sequences.set(reader.varint(), { incarnation: reader.varint(), sequence: reader.varint() });
  }
  for (let left = reader.varint(); left > 0; left--) {
    const inode = reader.varint();
    const file = { extents: decodeExtents(reader), holders: new Map<number, number>() };
    for (let holders = reader.varint(); holders > 0; holders--) file.holders.set(reader.varint(), reader.varint());
    state.addKept(inode, file);
  }
  for (let left = reader.varint(); left > 0; left--) {
    const number = reader.varint();
    const kind = kindOf(reader.u8());
    const inode: Inode = {
      inode: number,
      kind,
      mode: reader.varint(),
      uid: reader.varint(),
      gid: reader.varint(),
      links: reader.varint(),
      size: reader.varint(),
      atime: reader.i64(),
      mtime: reader.i64(),
      ctime: reader.i64(),
      target: kind === 'symlink' ? reader.text() : '',
      extents: kind === 'file' ? decodeExtents(reader) : [],
      unwritten: kind === 'file' ? decodeRanges(reader) : [],
      owner: kind === 'file' ? decodeOwner(reader) : undefined,
      parent: kind === 'directory' ? reader.varint() : 0,
      entries: kind === 'directory' ? new Map() : undefined,
    };
    if (inode.entries !== undefined) {
      for (let names = reader.varint(); names > 0; names--) {
        const name = reader.text();
        inode.entries.set(name, reader.varint());
        state.weight += entryWeight(name);
      }
    }
    for (const { pages } of inode.extents) state.pages += pages;
    state.add(inode);
  }
  if (state.inodes.get(rootInode)?.kind !== 'directory')
    throw new ExomemError('Damaged', 'a snapshot has no root directory');
  return state;
}
