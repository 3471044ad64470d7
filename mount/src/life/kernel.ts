/** Calls of the kernel that Node has no form of. */
export interface Kernel {
  /** umount2(2), in a thread of the pool: it may wait for the server of the mount. Answers whether it went well. */
  unmount(dir: string, flags: number): Promise<boolean>;
}

let loaded: Promise<Kernel | undefined> | undefined;

/** The C library through koffi; undefined where this machine is no Linux or koffi is not installed. */
export function loadKernel(): Promise<Kernel | undefined> {
  loaded ??= process.platform === 'linux' ? load() : Promise.resolve(undefined);
  return loaded;
}

async function load(): Promise<Kernel | undefined> {
  try {
    const koffi = (await import('koffi')).default;
    const umount2 = koffi.load(null).func('int umount2(const char *target, int flags)');
    return {
      unmount: (dir, flags) =>
        new Promise((resolve, reject) => {
          umount2.async(dir, flags, (error: unknown, result: number) =>
            error ? reject(error) : resolve(result === 0),
          );
        }),
    };
  } catch {
    return undefined;
  }
}
