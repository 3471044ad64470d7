import { crc32c } from './crc32c.js';
import type { Geometry } from './geometry.js';

/**
 * The mailboxes of the policy `message`: a seat, a request word and an answer word for each member slot, and a cell for each
 * with the bodies of both. Every word and every body has one writer at a time: the member of the slot that of its
 * requests, whoever has the seat all others.
 *
 * ```
 * seat (a line of 64 bytes) | request words | answer words | cells: request body, answer body
 * ```
 */

/** Changes that one request asks for at most. */
export const requestLimit = 64;
const headBytes = 16;
const changeBytes = 24;
/** A request body: head, and the changes. */
export const requestBytes = 1600;
/** An answer body: what was found, a word for each change. */
export const answerBytes = requestLimit * 8;
export const cellBytes = requestBytes + answerBytes;
const seatBytes = 64;

/** Bytes of all mailboxes of a region. */
export function mailboxTableBytes(memberSlots: number): number {
  return seatBytes + 2 * wordsBytes(memberSlots) + memberSlots * cellBytes;
}
function wordsBytes(memberSlots: number): number {
  return Math.ceil((memberSlots * 8) / 64) * 64;
}

export function seatOffset({ mailboxOffset }: Geometry): number {
  return mailboxOffset;
}
export function requestWordOffset({ mailboxOffset }: Geometry, slot: number): number {
  return mailboxOffset + seatBytes + slot * 8;
}
export function answerWordOffset({ mailboxOffset, memberSlots }: Geometry, slot: number): number {
  return mailboxOffset + seatBytes + wordsBytes(memberSlots) + slot * 8;
}
export function requestBodyOffset({ mailboxOffset, memberSlots }: Geometry, slot: number): number {
  return mailboxOffset + seatBytes + 2 * wordsBytes(memberSlots) + slot * cellBytes;
}
export function answerBodyOffset(geometry: Geometry, slot: number): number {
  return requestBodyOffset(geometry, slot) + requestBytes;
}

/** The seat: `{term:28 | slot:16 | incarnation:20}`. Who is in it coordinates; incarnation 0 is nobody. */
export interface Seat {
  /** Counts those who have had the seat. */
  readonly term: number;
  readonly slot: number;
  readonly incarnation: number;
}
export const maxTerm = 2 ** 28 - 1;
export function encodeSeat({ term, slot, incarnation }: Seat): bigint {
  return (BigInt(term) << 36n) | (BigInt(slot) << 20n) | BigInt(incarnation);
}
export function decodeSeat(word: bigint): Seat {
  return {
    term: Number(word >> 36n),
    slot: Number((word >> 20n) & 0xffffn),
    incarnation: Number(word & 0xfffffn),
  };
}

/**
 * A request or answer word: `{incarnation:20 | sequence:36 | count:8}`. The count of a request says how many changes it asks
 * for, that of an answer how many of them have a word in its body.
 */
export interface Letter {
  readonly incarnation: number;
  readonly sequence: number;
  readonly count: number;
}
export const maxSequence = 2 ** 36 - 1;
/** The count of an answer that says: the member does not act for whom it wants these words for. */
export const refusedCount = 0xff;
export function encodeLetter({ incarnation, sequence, count }: Letter): bigint {
  return (BigInt(incarnation) << 44n) | (BigInt(sequence) << 8n) | BigInt(count);
}
export function decodeLetter(word: bigint): Letter {
  return {
    incarnation: Number(word >> 44n),
    sequence: Number((word >> 8n) & 0xf_ffff_ffffn),
    count: Number(word & 0xffn),
  };
}
/** Whether an answer word is the answer to that request word. */
export function answers(answer: bigint, request: bigint): boolean {
  return answer >> 8n === request >> 8n;
}

/** What is to become of a group's word, if it is what is expected. */
export interface WordExchange {
  readonly group: number;
  readonly expected: bigint;
  readonly desired: bigint;
}

export interface Request {
  readonly changes: readonly WordExchange[];
  /** Nothing is changed behind the first change that fails. */
  readonly stop: boolean;
}

const stopFlag = 1;

/**
 * A request body: `{crc:32, flags:32}`, the request word once more, and the changes, `{group, expected, desired}` of 64 bits
 * each. The CRC-32C is of all that follows it.
 */
export function encodeRequest(word: bigint, { changes, stop }: Request): Uint8Array {
  const bytes = new Uint8Array(headBytes + changes.length * changeBytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(4, stop ? stopFlag : 0, true);
  view.setBigUint64(8, word, true);
  for (const [at, { group, expected, desired }] of changes.entries()) {
    const offset = headBytes + at * changeBytes;
    view.setBigUint64(offset, BigInt(group), true);
    view.setBigUint64(offset + 8, expected, true);
    view.setBigUint64(offset + 16, desired, true);
  }
  view.setUint32(0, crc32c(bytes.subarray(4)), true);
  return bytes;
}

/** Bytes of a request body with so many changes. */
export function requestLength(count: number): number {
  return headBytes + count * changeBytes;
}

/**
 * Reads a request body. Undefined: it is not the one that the word announces, or not yet all of it.
 * @param groups that there are for users
 */
export function decodeRequest(bytes: Uint8Array, word: bigint, groups: number): Request | undefined {
  const { count } = decodeLetter(word);
  if (count > requestLimit || bytes.byteLength < requestLength(count)) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, requestLength(count));
  if (view.getBigUint64(8, true) !== word) return undefined;
  if (view.getUint32(0, true) !== crc32c(bytes.subarray(4, requestLength(count)))) return undefined;
  const changes: WordExchange[] = [];
  for (let offset = headBytes; offset < view.byteLength; offset += changeBytes) {
    const group = view.getBigUint64(offset, true);
    if (group >= BigInt(groups)) return undefined;
    changes.push({
      group: Number(group),
      expected: view.getBigUint64(offset + 8, true),
      desired: view.getBigUint64(offset + 16, true),
    });
  }
  return { changes, stop: (view.getUint32(4, true) & stopFlag) !== 0 };
}
