import type { MemoryStep } from '@exomem/core';
import { headerBytes, op, padded, stepBytes, stopOnFailFlag, writeHeader, writeNumber } from '../wire/format.js';
import type { Outbox } from '../wire/outbox.js';
import type { Request } from './request.js';

/** Bytes of a step in the request of a batch. */
export function stepRequestBytes(step: MemoryStep): number {
  switch (step.op) {
    case 'compareExchange':
      return stepBytes + 16;
    case 'fetchAdd':
      return stepBytes + 8;
    case 'write':
      return stepBytes + padded(step.bytes.byteLength);
    default:
      return stepBytes;
  }
}

/** Bytes of a step's result in the answer to a batch. */
export function stepAnswerBytes(step: MemoryStep): number {
  return 'bytes' in step ? (step.op === 'read' ? padded(step.bytes.byteLength) : 0) : 8;
}

/** Puts a request into the outbox. Answers its length; the payload of a WRITE, which is counted, is the caller's to add. */
export function encode(request: Request, id: number, outbox: Outbox): number {
  switch (request.op) {
    case op.batch:
      return encodeBatch(request.steps!, request.stopOnFail, id, outbox);
    case op.load: {
      const at = outbox.reserve(24);
      writeHeader(outbox.view, at, 24, op.load, 0, id);
      writeNumber(outbox.view, at + 16, request.offset);
      return 24;
    }
    case op.compareExchange: {
      const at = outbox.reserve(40);
      writeHeader(outbox.view, at, 40, op.compareExchange, 0, id);
      writeNumber(outbox.view, at + 16, request.offset);
      outbox.view.setBigUint64(at + 24, request.expected, true);
      outbox.view.setBigUint64(at + 32, request.desired, true);
      return 40;
    }
    case op.read: {
      const at = outbox.reserve(32);
      writeHeader(outbox.view, at, 32, op.read, 0, id);
      writeNumber(outbox.view, at + 16, request.offset);
      writeNumber(outbox.view, at + 24, request.bytes!.byteLength);
      return 32;
    }
    case op.write: {
      const length = 24 + request.bytes!.byteLength;
      const at = outbox.reserve(24);
      writeHeader(outbox.view, at, length, op.write, 0, id);
      writeNumber(outbox.view, at + 16, request.offset);
      return length;
    }
    case op.fetchAdd: {
      const at = outbox.reserve(32);
      writeHeader(outbox.view, at, 32, op.fetchAdd, 0, id);
      writeNumber(outbox.view, at + 16, request.offset);
      outbox.view.setBigUint64(at + 24, request.desired, true);
      return 32;
    }
    case op.bind:
    case op.revoke: {
      const at = outbox.reserve(32);
      writeHeader(outbox.view, at, 32, request.op, 0, id);
      outbox.view.setUint32(at + 16, request.member!.slot, true);
      outbox.view.setUint32(at + 20, request.member!.incarnation, true);
      writeNumber(outbox.view, at + 24, request.member!.offset);
      return 32;
    }
    default: {
      const at = outbox.reserve(headerBytes);
      writeHeader(outbox.view, at, headerBytes, request.op, 0, id);
      return headerBytes;
    }
  }
}

const numbers = {
  load: op.load,
  read: op.read,
  write: op.write,
  compareExchange: op.compareExchange,
  fetchAdd: op.fetchAdd,
};

function encodeBatch(steps: readonly MemoryStep[], stopOnFail: boolean, id: number, outbox: Outbox): number {
  let length = headerBytes + 8;
  for (const step of steps) length += stepRequestBytes(step);
  const start = outbox.reserve(length);
  const view = outbox.view;
  writeHeader(view, start, length, op.batch, stopOnFail ? stopOnFailFlag : 0, id);
  view.setUint32(start + 16, steps.length, true);
  view.setUint32(start + 20, 0, true);
  let at = start + headerBytes + 8;
  for (const step of steps) {
    view.setUint32(at, numbers[step.op], true);
    view.setUint32(at + 4, 'bytes' in step ? step.bytes.byteLength : 0, true);
    writeNumber(view, at + 8, step.offset);
    at += stepBytes;
    if (step.op === 'compareExchange') {
      view.setBigUint64(at, step.expected, true);
      view.setBigUint64(at + 8, step.desired, true);
      at += 16;
    } else if (step.op === 'fetchAdd') {
      view.setBigUint64(at, step.desired, true);
      at += 8;
    } else if (step.op === 'write') {
      outbox.bytes.set(step.bytes, at);
      const end = at + padded(step.bytes.byteLength);
      outbox.bytes.fill(0, at + step.bytes.byteLength, end);
      at = end;
    }
  }
  return length;
}
