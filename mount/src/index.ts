export { errnoOf, errnoTable } from './file-system/errno.js';
export { FileSystem, type FileSystemOptions } from './file-system/file-system.js';
export { fuseNative } from './hosts/fuse-native/index.js';
export type { HostLimit, HostMount, HostOptions, MountHost, Obstacle } from './hosts/host.js';
export { type ChildOptions, runMountChild } from './life/child.js';
export { isMounted, type MountEntry, mountAt, mountTable, mountType } from './life/mount-table.js';
export { type ServedMount, type ServeOptions, serveMount } from './life/serve.js';
export { type MountEnd, type SupervisedMount, type SuperviseOptions, superviseMount } from './life/supervise.js';
export { type UnmountOptions, unmount } from './life/unmount.js';
