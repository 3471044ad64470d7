import type { Placement } from '../placement.js';
import { aligned } from './aligned.js';
import { bestFit } from './best-fit.js';
import { firstFit } from './first-fit.js';
import { lowFragmentation } from './low-fragmentation.js';

/** The placements that are built in. */
export const placements: readonly Placement[] = [lowFragmentation, firstFit, bestFit, aligned];
