import { constants } from 'node:os';
import { type ErrorCode, isExomemError } from '@exomem/core';

type ErrnoName = keyof typeof constants.errno;

/** What a program sees of each error of exomem. A program that mounts knows these names, and no others. */
export const errnoTable = {
  OutOfRange: 'EFBIG',
  Unaligned: 'EINVAL',
  InvalidArgument: 'EINVAL',
  PermissionDenied: 'EPERM',
  RegionFull: 'ENOSPC',
  QuotaExceeded: 'EDQUOT',
  Fragmented: 'ENOSPC',
  NamespaceFull: 'ENOSPC',
  Fenced: 'EIO',
  OutcomeUnknown: 'EIO',
  Disconnected: 'EIO',
  ProtocolError: 'EIO',
  Unproven: 'EBUSY',
  UnsupportedCapability: 'EOPNOTSUPP',
  // The kernel looks the path up again when it hears this, so a name that was replaced meanwhile is no failure.
  StaleHandle: 'ESTALE',
  Aborted: 'EINTR',
  DeadlineExceeded: 'EIO',
  Closed: 'EIO',
  NotFormatted: 'EIO',
  Damaged: 'EIO',
  Incompatible: 'EIO',
  Unavailable: 'EIO',
  Busy: 'EBUSY',
  NotFound: 'ENOENT',
  Exists: 'EEXIST',
  NotEmpty: 'ENOTEMPTY',
  NotDirectory: 'ENOTDIR',
  IsDirectory: 'EISDIR',
  NotSymlink: 'EINVAL',
  // Symbolic links are the kernel's to follow: what is left is a file with too many names.
  TooManyLinks: 'EMLINK',
  NameTooLong: 'ENAMETOOLONG',
} as const satisfies Record<ErrorCode, ErrnoName>;

/** The positive error number of the system for whatever was thrown; a fault of ours is an EIO. */
export function errnoOf(error: unknown): number {
  return constants.errno[isExomemError(error) ? errnoTable[error.code] : 'EIO'];
}
