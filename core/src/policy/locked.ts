import { LockCoordinator } from '../coordination/lock-coordinator.js';
import { incompatible } from '../region/superblock.js';
import { GroupAllocator } from './group-allocator.js';
import type { AllocationPolicy } from './policy.js';

/**
 * The policy `locked`: the words of `atomic`, changed under one lock with a lease, several at one moment. A section is three
 * round trips. Who stops in one delays the others by the wait of the region, once.
 */
export const locked: AllocationPolicy = {
  name: 'locked',
  apiVersion: 1,
  feature: incompatible.locked,
  create: (context) => new GroupAllocator(context),
  coordinate: (context) => new LockCoordinator(context),
};
