import type { Subject } from '../subject.js';
import { adoptionSearches } from './adoption.js';
import { apartSearches } from './apart.js';
import { cleaningSearches } from './cleaning.js';
import { deathSearches } from './deaths.js';
import { fileSearches } from './files.js';
import { graceSearches } from './grace.js';
import { laneSearches } from './lanes.js';
import { leaseSearches } from './lease.js';
import { lifetimeSearches } from './lifetime.js';
import { lockedSearches } from './locked.js';
import { lockSearches } from './locks.js';
import { logSearches } from './log.js';
import { manySearches } from './many.js';
import { memberSearches } from './members.js';
import { mergingSearches } from './merging.js';
import { messageSearches } from './message.js';
import { placingSearches } from './placing.js';
import { restartSearches } from './restart.js';
import { spaceSearches } from './space.js';
import { waitingSearches } from './waiting.js';

/** What is searched, in the order of what builds on what. */
export const searches: readonly Subject[] = [
  ...spaceSearches,
  ...apartSearches,
  ...placingSearches,
  ...manySearches,
  ...cleaningSearches,
  ...logSearches,
  ...memberSearches,
  ...mergingSearches,
  ...graceSearches,
  ...adoptionSearches,
  ...lifetimeSearches,
  ...waitingSearches,
  ...fileSearches,
  ...laneSearches,
  ...deathSearches,
  ...restartSearches,
  ...leaseSearches,
  ...lockSearches,
  ...lockedSearches,
  ...messageSearches,
];
