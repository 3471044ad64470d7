import { incompatible } from '../region/superblock.js';
import { GroupAllocator } from './group-allocator.js';
import type { AllocationPolicy } from './policy.js';

/** The policy `atomic`: lock-free, a compareExchange on a group word for each step. */
export const atomic: AllocationPolicy = {
  name: 'atomic',
  apiVersion: 1,
  feature: incompatible.atomic,
  create: (context) => new GroupAllocator(context),
};
