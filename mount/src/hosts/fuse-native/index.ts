import { ExomemError } from '@exomem/core';
import type { FileSystem } from '../../file-system/file-system.js';
import type { HostMount, HostOptions, MountHost } from '../host.js';
import {
  type Answer,
  type FuseMount,
  loadLibrary,
  type NativeOperations,
  type NativeStat,
  obstacleOf,
} from './library.js';
import { limits } from './limits.js';
import { operationsOn } from './operations.js';

/** The portable host: libfuse 2 through the package fuse-native. {@link limits} says what it cannot do. */
export function fuseNative(): MountHost {
  return { name: 'fuse-native', limits, obstacle: obstacleOf, mount };
}

async function mount(fileSystem: FileSystem, dir: string, options: HostOptions): Promise<HostMount> {
  const Fuse = loadLibrary();
  const operations = operationsOn(fileSystem, options.onFault);
  const fuse = new Fuse(dir, operations, {
    // The package knows no such option: it travels along in the value of another one. Without it writes come in 4 KiB.
    fsname: `${options.source},big_writes`,
    subtype: 'exomem',
    allowOther: options.allowOther,
    // The kernel checks permission bits, and knows who calls, which the package does not say.
    defaultPermissions: true,
    // Names and sizes are looked up each time: what another mount did is seen. (A number 0 would be dropped.)
    attrTimeout: '0',
    entryTimeout: '0',
    // Ours tells EIO, the package's ETIMEDOUT.
    timeout: false,
  });
  askByHandle(fuse, operations);
  await new Promise<void>((resolve, reject) => {
    fuse.mount((error) => {
      if (error === null || error === undefined) resolve();
      else {
        reject(
          new ExomemError('Unavailable', `libfuse could not mount on ${dir}`, {
            where: dir,
            cause: error,
            advice:
              process.geteuid?.() === 0
                ? 'in a container: docker run --device /dev/fuse --cap-add SYS_ADMIN'
                : 'mount as root, or apt install fuse',
          }),
        );
      }
    });
  });
  return {
    end() {
      // The threads of libfuse have ended with the mount. This lets go of what keeps the process alive.
      fuse.unmount(() => undefined);
    },
  };
}

/** The attributes of an open file belong to its handle: by its path another file may be there by now. */
function askByHandle(fuse: FuseMount, operations: NativeOperations): void {
  const byPath = fuse._op_getattr;
  fuse._op_fgetattr = (signal, path, handle) => {
    const ops = { getattr: (_path: string, answer: Answer<NativeStat>) => operations.fgetattr(path, handle, answer) };
    byPath.call({ ops }, signal, path);
  };
}
