import type { HostLimit } from '../host.js';

/** What this host cannot do: the price of a path-based binding to libfuse 2. */
export const limits: readonly HostLimit[] = [
  {
    name: 'utimens',
    effect: 'the modification time becomes the access time that was given; setting only one of them does nothing',
    reason: 'fuse-native hands the access time over twice, libfuse 2 drops a change of one alone',
  },
  {
    name: 'atime',
    effect: 'reading does not move the access time',
    reason: 'a record of the log for every read',
  },
  {
    name: 'milliseconds',
    effect: 'times are in whole milliseconds, and none is before 1970',
    reason: 'fuse-native passes them as milliseconds without a sign',
  },
  {
    name: 'owner',
    effect: 'new files belong to the user who mounts, whoever makes them; sockets, pipes and devices cannot be made',
    reason: 'fuse-native does not tell who calls; the region knows files, directories and symbolic links',
  },
  {
    name: 'append',
    effect: 'two mounts that append to one file overwrite each other',
    reason:
      'the kernel computes the position from the size that it knows, and libfuse 2 does not tell that O_APPEND was asked for',
  },
  {
    name: 'exclusive',
    effect: 'open(O_CREAT) fails with EEXIST where another mount made the file in between, even without O_EXCL',
    reason: 'fuse-native does not pass the flags of create, and lock files need the exclusive answer',
  },
  {
    name: 'inodes',
    effect:
      'names of one file show different inode numbers, and each name has a page cache of its own until it is opened anew',
    reason: 'libfuse 2 numbers paths, not files',
  },
  {
    name: 'replaced',
    effect:
      'where another mount replaces a file that is open here, old and new share a page cache until the old is closed',
    reason: 'libfuse 2 numbers paths, not files',
  },
  {
    name: 'rename-over-open',
    effect: 'programs may find nothing for an instant where a file that is open here is replaced by a rename',
    reason: 'libfuse 2 gives the replaced file another name first, in a request of its own',
  },
  {
    name: 'removed-elsewhere',
    effect: 'fstat of a file that is open here and was removed by another mount fails with ENOENT; its bytes are there',
    reason: 'libfuse 2 asks for attributes by the path alone, and a stat of the name has to fail',
  },
  {
    name: 'removed-directory',
    effect: 'a directory is not empty (ENOTEMPTY) while a file that was removed from it is still open here',
    reason: 'libfuse 2 finds an open file by its path alone',
  },
  {
    name: 'directories',
    effect: 'the attributes of a directory itself may be two milliseconds old',
    reason:
      'the kernel asks for each directory on the way to a name, and the region is asked once for the way and once for its end',
  },
  {
    name: 'live',
    effect: 'what is open or mapped does not see what another mount writes until it is opened again',
    reason: 'libfuse 2 as bound cannot invalidate what the kernel has cached',
  },
  {
    name: 'locks',
    effect: 'flock and fcntl locks hold on one mount, not between mounts',
    reason: 'fuse-native passes no locks on, so the kernel keeps them for itself',
  },
  {
    name: 'holes',
    effect: 'no fallocate, no SEEK_HOLE, no O_TMPFILE, no extended attributes',
    reason: 'libfuse 2 and fuse-native have no such operation',
  },
  {
    name: 'names',
    effect: 'names that are not UTF-8 cannot be kept apart',
    reason: 'fuse-native makes strings of them',
  },
  {
    name: 'renameat2',
    effect: 'RENAME_NOREPLACE and RENAME_EXCHANGE fail with EINVAL',
    reason: 'libfuse 2 has rename without flags',
  },
  {
    name: 'partial-write',
    effect: 'a write for which the region has room in part fails with ENOSPC whole, in pieces of 128 KiB',
    reason: 'fuse-native does not tell a write from the kernel writing a mapping back, where a part would count as all',
  },
  {
    name: 'threads',
    effect: 'each thread that libfuse ever starts keeps about 500 bytes',
    reason: 'fuse-native never frees what it keeps for a thread',
  },
];
