import type { Subject } from '../subject.js';
import { adoptionSearches } from './adoption.js';
import { graceSearches } from './grace.js';
import { lifetimeSearches } from './lifetime.js';
import { logSearches } from './log.js';
import { memberSearches } from './members.js';
import { mergingSearches } from './merging.js';
import { spaceSearches } from './space.js';
import { waitingSearches } from './waiting.js';

/** What is searched, in the order of what builds on what. */
export const searches: readonly Subject[] = [
  ...spaceSearches,
  ...logSearches,
  ...memberSearches,
  ...mergingSearches,
  ...graceSearches,
  ...adoptionSearches,
  ...lifetimeSearches,
  ...waitingSearches,
];
