import type { ExomemError } from '../errors.js';
import { surely } from '../policy/resolve.js';
import type { Protocol } from '../protocol/protocol.js';
import { gateOffset, refusalOfData } from '../region/data-region.js';
import { dataHeaderBytes } from '../region/geometry.js';
import type { Superblock } from '../region/superblock.js';
import { read } from '../transport/step.js';

/** What a data region of its own has beside pages. */
export interface DataImage {
  /** Where it begins. */
  readonly offset: number;
  readonly header: Uint8Array;
  /** Why it is not the header of this region's data. */
  readonly problem: ExomemError | undefined;
  /** By the slot of the member. */
  readonly gates: BigUint64Array;
}

/** Reads it, if there is one. */
export function* readDataImage(block: Superblock): Protocol<DataImage | undefined> {
  const { data, geometry } = block;
  if (data === undefined) return undefined;
  const header = new Uint8Array(dataHeaderBytes);
  yield* surely(read(data.offset, header));
  const gates = new BigUint64Array(geometry.memberSlots);
  yield* surely(read(data.offset + gateOffset, new Uint8Array(gates.buffer)));
  return { offset: data.offset, header, problem: refusalOfData(header, block), gates };
}
