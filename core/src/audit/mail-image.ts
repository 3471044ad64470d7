import { surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { answerWordOffset, requestWordOffset, seatOffset } from '../region/mailboxes.js';
import { load, read } from '../transport/step.js';

/** The words of the mailboxes of a region that has some. */
export interface MailImage {
  readonly seat: bigint;
  /** By the slot of the member. */
  readonly requests: BigUint64Array;
  readonly answers: BigUint64Array;
}

/** Reads them, in the order in which an answer cannot look newer than its request. */
export function* readMail(geometry: Geometry): Protocol<MailImage | undefined> {
  if (geometry.mailboxBytes === 0) return undefined;
  const seat = (yield* surely(load(seatOffset(geometry)))) as bigint;
  const answers = new BigUint64Array(geometry.memberSlots);
  yield* surely(read(answerWordOffset(geometry, 0), new Uint8Array(answers.buffer)));
  const requests = new BigUint64Array(geometry.memberSlots);
  yield* surely(read(requestWordOffset(geometry, 0), new Uint8Array(requests.buffer)));
  return { seat, requests, answers };
}
