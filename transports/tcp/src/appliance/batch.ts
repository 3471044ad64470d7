import type { RegionMemory } from '@exomem/core';
import { ExomemError } from '@exomem/core';
import { limits, op, padded, readNumber, stepBytes } from '../wire/format.js';
import { checkRange, checkWord } from './bounds.js';

/**
 * Walks the `count` steps of a batch that lie from `at` to `end` before any of them is run.
 * Answers the bytes that the results take if all are run.
 * @throws `ProtocolError` if the bytes are no such batch; `OutOfRange`, `Unaligned`, `InvalidArgument` for a step.
 */
export function checkBatch(view: DataView, at: number, end: number, count: number, size: number): number {
  let answer = 0;
  let wrong: ExomemError | undefined;
  for (let index = 0; index < count; index += 1) {
    if (at + stepBytes > end) throw malformed(index);
    const operation = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    const offset = readNumber(view, at + 8);
    at += stepBytes;
    const isBytes = operation === op.read || operation === op.write;
    wrong ??= isBytes ? checkRange(offset, length, size) : checkWord(offset, size);
    if (length > limits.batchBytes || (!isBytes && length !== 0)) throw malformed(index);
    switch (operation) {
      case op.load:
        answer += 8;
        break;
      case op.compareExchange:
        answer += 8;
        at += 16;
        break;
      case op.fetchAdd:
        answer += 8;
        at += 8;
        break;
      case op.read:
        answer += padded(length);
        break;
      case op.write:
        at += padded(length);
        break;
      default:
        throw malformed(index);
    }
  }
  if (at !== end) throw malformed(count);
  if (wrong !== undefined) throw wrong;
  return answer;
}

/** Where a batch ended. */
export interface BatchEnd {
  /** How many steps were run; fewer than asked for if it stopped. */
  ran: number;
  /** Where the results end. */
  end: number;
}

const ended: BatchEnd = { ran: 0, end: 0 };

/** Runs a batch that was checked; puts the results into `out` from `to`. The answer is overwritten by the next call. */
export function runBatch(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  count: number,
  stopOnFail: boolean,
  memory: RegionMemory,
  out: Uint8Array,
  outView: DataView,
  to: number,
): BatchEnd {
  let ran = 0;
  while (ran < count) {
    const operation = view.getUint8(at);
    const length = view.getUint32(at + 4, true);
    const offset = readNumber(view, at + 8);
    at += stepBytes;
    ran += 1;
    if (operation === op.load) {
      outView.setBigUint64(to, memory.load(offset), true);
      to += 8;
    } else if (operation === op.compareExchange) {
      const expected = view.getBigUint64(at, true);
      const observed = memory.compareExchange(offset, expected, view.getBigUint64(at + 8, true));
      at += 16;
      outView.setBigUint64(to, observed, true);
      to += 8;
      if (stopOnFail && observed !== expected) break;
    } else if (operation === op.fetchAdd) {
      outView.setBigUint64(to, memory.fetchAdd(offset, view.getBigUint64(at, true)), true);
      at += 8;
      to += 8;
    } else if (operation === op.read) {
      memory.read(offset, out.subarray(to, to + length));
      out.fill(0, to + length, to + padded(length));
      to += padded(length);
    } else {
      memory.write(offset, bytes.subarray(at, at + length));
      at += padded(length);
    }
  }
  ended.ran = ran;
  ended.end = to;
  return ended;
}

function malformed(index: number): ExomemError {
  return new ExomemError('ProtocolError', `a batch whose step ${index} is malformed`);
}
