import type { Operation } from '../operation.js';
import { adopt, migrate, register } from './applications.js';
import { create, overwrite, remove, rename, snapshot, truncate, write } from './files.js';
import { endOwned, leaveOwned, own } from './lifetime.js';
import { giveRoom, join, leave, leaveAlone, leaveToMember } from './membership.js';
import { allocateLong, allocateNamed, allocateSmall, allocateZeroed, free } from './memory.js';
import { keep, removeOpen, sweep } from './open-files.js';
import { receive, recover } from './recovery.js';

/** Everything whose steps are places to die. */
export const operations: readonly Operation[] = [
  join,
  leave,
  leaveToMember,
  leaveAlone,
  allocateSmall,
  allocateLong,
  allocateZeroed,
  allocateNamed,
  free,
  giveRoom,
  create,
  write,
  overwrite,
  truncate,
  rename,
  remove,
  removeOpen,
  keep,
  sweep,
  snapshot,
  own,
  leaveOwned,
  endOwned,
  register,
  migrate,
  adopt,
  receive,
  recover,
];
