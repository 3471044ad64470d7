import { barrier, Correspondence } from '../message/correspondence.js';
import type { Protocol } from '../protocol/protocol.js';
import { incompatible } from '../region/superblock.js';
import { GroupAllocator } from './group-allocator.js';
import type { AllocationPolicy, Extent } from './policy.js';

/**
 * The policy `message`: group words as in `atomic`, but none is changed by compareExchange. Its owner writes an own word; groups
 * that are nobody's, or of the dead, are granted by one member over mailboxes in the region.
 */
export const message: AllocationPolicy = {
  name: 'message',
  apiVersion: 1,
  feature: incompatible.message,
  writes: true,
  create: (context) => new GrantedAllocator(context),
  coordinate: ({ superblock: { configured }, geometry, member: { slot, incarnation } }) =>
    new Correspondence({ geometry, slot, incarnation, ...(configured ? { configured } : {}) }),
};

/** Reads what others have left only when nothing is granted to those any more. */
class GrantedAllocator extends GroupAllocator {
  override *recover(from: { principal: number; incarnation: number }): Protocol<number> {
    yield barrier;
    return yield* super.recover(from);
  }
  override *holdings(): Protocol<readonly Extent[]> {
    yield barrier;
    return yield* super.holdings();
  }
}
