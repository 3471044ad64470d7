import { ExomemError } from '../errors.js';
import type { ByteReader, ByteWriter } from './bytes.js';

export type FileKind = 'file' | 'directory' | 'symlink';
export const fileKinds: readonly FileKind[] = ['file', 'directory', 'symlink'];

/** `pages` pages of a file from its page `at` on lie at `page` of the region and behind it. */
export interface FileExtent {
  readonly at: number;
  readonly page: number;
  readonly pages: number;
}
/** Bytes `from` up to, not including, `to` of a file. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** The principal that a file ends with, in the incarnation that it has just now. */
export interface FileOwner {
  readonly principal: number;
  readonly incarnation: number;
}

/** What a record of the log can say. Inodes are numbers, times are nanoseconds since 1970. */
export type Operation =
  | {
      readonly op: 'create';
      readonly parent: number;
      readonly name: string;
      readonly kind: FileKind;
      /** Permission bits, 0o7777. */
      readonly mode: number;
      readonly uid: number;
      readonly gid: number;
      readonly time: bigint;
      /** Of a symlink. */
      readonly target: string;
      readonly size: number;
      readonly extents: readonly FileExtent[];
      /** Of a file that ends with its owner; absent: it outlives everybody. */
      readonly owner?: FileOwner;
    }
  | {
      readonly op: 'link';
      readonly parent: number;
      readonly name: string;
      readonly inode: number;
      readonly time: bigint;
    }
  /** Removes a name; with `directory` it must be an empty directory, else anything but a directory. */
  | {
      readonly op: 'unlink';
      readonly parent: number;
      readonly name: string;
      readonly inode: number;
      readonly directory: boolean;
      readonly time: bigint;
    }
  | {
      readonly op: 'rename';
      readonly parent: number;
      readonly name: string;
      readonly inode: number;
      readonly newParent: number;
      readonly newName: string;
      /** What the new name was before, 0 for nothing. */
      readonly replaced: number;
      readonly time: bigint;
    }
  /** Pages enter a file; it is at least `size` bytes long then; the `written` ranges are its bytes from now on. */
  | {
      readonly op: 'extend';
      readonly inode: number;
      readonly size: number;
      readonly time: bigint;
      readonly extents: readonly FileExtent[];
      readonly written: readonly ByteRange[];
    }
  | { readonly op: 'truncate'; readonly inode: number; readonly size: number; readonly time: bigint }
  | {
      readonly op: 'setattr';
      readonly inode: number;
      readonly mode?: number;
      readonly uid?: number;
      readonly gid?: number;
      readonly atime?: bigint;
      readonly mtime?: bigint;
      readonly ctime: bigint;
    }
  /**
   * A member has a file open whose last name is gone: it stays readable until every holder has dropped it. The extents
   * are what the file had; long lists take several records.
   */
  | {
      readonly op: 'keep';
      readonly inode: number;
      readonly principal: number;
      readonly incarnation: number;
      readonly extents: readonly FileExtent[];
    }
  | { readonly op: 'drop'; readonly inode: number; readonly principal: number; readonly incarnation: number }
  /**
   * Nothing that this principal appends with this or a lower incarnation counts any more. Files that end with it end, or
   * with `adopt` become those of its next incarnation.
   */
  | { readonly op: 'fence'; readonly principal: number; readonly incarnation: number; readonly adopt: boolean }
  /** A principal ends willingly: so do the files that end with it. By whoever acts for it. */
  | { readonly op: 'disown'; readonly principal: number; readonly incarnation: number };

const codes = {
  create: 1,
  link: 2,
  unlink: 3,
  rename: 4,
  extend: 5,
  truncate: 6,
  setattr: 7,
  fence: 8,
  keep: 9,
  drop: 10,
  disown: 11,
} as const;

export function encodeOperation(writer: ByteWriter, operation: Operation): void {
  writer.u8(codes[operation.op]);
  switch (operation.op) {
    case 'create':
      writer.varint(operation.parent);
      writer.text(operation.name);
      writer.u8(fileKinds.indexOf(operation.kind));
      writer.u16(operation.mode);
      writer.varint(operation.uid);
      writer.varint(operation.gid);
      writer.i64(operation.time);
      writer.text(operation.target);
      writer.varint(operation.size);
      encodeExtents(writer, operation.extents);
      encodeOwner(writer, operation.owner);
      break;
    case 'link':
      writer.varint(operation.parent);
      writer.text(operation.name);
      writer.varint(operation.inode);
      writer.i64(operation.time);
      break;
    case 'unlink':
      writer.varint(operation.parent);
      writer.text(operation.name);
      writer.varint(operation.inode);
      writer.u8(operation.directory ? 1 : 0);
      writer.i64(operation.time);
      break;
    case 'rename':
      writer.varint(operation.parent);
      writer.text(operation.name);
      writer.varint(operation.inode);
      writer.varint(operation.newParent);
      writer.text(operation.newName);
      writer.varint(operation.replaced);
      writer.i64(operation.time);
      break;
    case 'extend':
      writer.varint(operation.inode);
      writer.varint(operation.size);
      writer.i64(operation.time);
      encodeExtents(writer, operation.extents);
      encodeRanges(writer, operation.written);
      break;
    case 'truncate':
      writer.varint(operation.inode);
      writer.varint(operation.size);
      writer.i64(operation.time);
      break;
    case 'setattr': {
      const { mode, uid, gid, atime, mtime } = operation;
      const fields = [mode, uid, gid, atime, mtime];
      writer.varint(operation.inode);
      writer.u8(fields.reduce<number>((mask, field, bit) => (field === undefined ? mask : mask | (1 << bit)), 0));
      for (const field of fields) {
        if (typeof field === 'number') writer.varint(field);
        else if (field !== undefined) writer.i64(field);
      }
      writer.i64(operation.ctime);
      break;
    }
    case 'fence':
      writer.u16(operation.principal);
      writer.u16(operation.incarnation);
      writer.u8(operation.adopt ? 1 : 0);
      break;
    case 'disown':
      writer.u16(operation.principal);
      writer.u16(operation.incarnation);
      break;
    case 'keep':
    case 'drop':
      writer.varint(operation.inode);
      writer.u16(operation.principal);
      writer.u16(operation.incarnation);
      if (operation.op === 'keep') encodeExtents(writer, operation.extents);
      break;
  }
}

export function decodeOperation(reader: ByteReader): Operation {
  const code = reader.u8();
  switch (code) {
    case codes.create:
      return {
        op: 'create',
        parent: reader.varint(),
        name: reader.text(),
        kind: kindOf(reader.u8()),
        mode: reader.u16(),
        uid: reader.varint(),
        gid: reader.varint(),
        time: reader.i64(),
        target: reader.text(),
        size: reader.varint(),
        extents: decodeExtents(reader),
        owner: decodeOwner(reader),
      };
    case codes.link:
      return { op: 'link', parent: reader.varint(), name: reader.text(), inode: reader.varint(), time: reader.i64() };
    case codes.unlink:
      return {
        op: 'unlink',
        parent: reader.varint(),
        name: reader.text(),
        inode: reader.varint(),
        directory: reader.u8() === 1,
        time: reader.i64(),
      };
    case codes.rename:
      return {
        op: 'rename',
        parent: reader.varint(),
        name: reader.text(),
        inode: reader.varint(),
        newParent: reader.varint(),
        newName: reader.text(),
        replaced: reader.varint(),
        time: reader.i64(),
      };
    case codes.extend:
      return {
        op: 'extend',
        inode: reader.varint(),
        size: reader.varint(),
        time: reader.i64(),
        extents: decodeExtents(reader),
        written: decodeRanges(reader),
      };
    case codes.truncate:
      return { op: 'truncate', inode: reader.varint(), size: reader.varint(), time: reader.i64() };
    case codes.setattr: {
      const inode = reader.varint();
      const mask = reader.u8();
      const mode = mask & 1 ? reader.varint() : undefined;
      const uid = mask & 2 ? reader.varint() : undefined;
      const gid = mask & 4 ? reader.varint() : undefined;
      const atime = mask & 8 ? reader.i64() : undefined;
      const mtime = mask & 16 ? reader.i64() : undefined;
      return { op: 'setattr', inode, mode, uid, gid, atime, mtime, ctime: reader.i64() };
    }
    case codes.fence:
      return { op: 'fence', principal: reader.u16(), incarnation: reader.u16(), adopt: reader.u8() === 1 };
    case codes.disown:
      return { op: 'disown', principal: reader.u16(), incarnation: reader.u16() };
    case codes.keep:
      return {
        op: 'keep',
        inode: reader.varint(),
        principal: reader.u16(),
        incarnation: reader.u16(),
        extents: decodeExtents(reader),
      };
    case codes.drop:
      return { op: 'drop', inode: reader.varint(), principal: reader.u16(), incarnation: reader.u16() };
    default:
      throw new ExomemError('Damaged', `a record has an operation of unknown kind ${code}`);
  }
}

export function kindOf(code: number): FileKind {
  const kind = fileKinds[code];
  if (kind === undefined) throw new ExomemError('Damaged', `a record has a file of unknown kind ${code}`);
  return kind;
}

export function encodeOwner(writer: ByteWriter, owner: FileOwner | undefined): void {
  writer.varint(owner?.principal ?? 0);
  if (owner !== undefined) writer.varint(owner.incarnation);
}
export function decodeOwner(reader: ByteReader): FileOwner | undefined {
  const principal = reader.varint();
  if (principal === 0) return undefined;
  const incarnation = reader.varint();
  if (principal > 0xffff || incarnation > 0xffff)
    throw new ExomemError('Damaged', `a file would end with principal ${principal} (incarnation ${incarnation})`);
  return { principal, incarnation };
}

export function encodeExtents(writer: ByteWriter, extents: readonly FileExtent[]): void {
  writer.varint(extents.length);
  for (const { at, page, pages } of extents) {
    writer.varint(at);
    writer.varint(page);
    writer.varint(pages);
  }
}
export function decodeExtents(reader: ByteReader): FileExtent[] {
  const extents: FileExtent[] = [];
  for (let left = reader.varint(); left > 0; left--) {
    extents.push({ at: reader.varint(), page: reader.varint(), pages: reader.varint() });
  }
  return extents;
}
export function encodeRanges(writer: ByteWriter, ranges: readonly ByteRange[]): void {
  writer.varint(ranges.length);
  for (const { from, to } of ranges) {
    writer.varint(from);
    writer.varint(to);
  }
}
export function decodeRanges(reader: ByteReader): ByteRange[] {
  const ranges: ByteRange[] = [];
  for (let left = reader.varint(); left > 0; left--) ranges.push({ from: reader.varint(), to: reader.varint() });
  return ranges;
}
