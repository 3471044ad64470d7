import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { type ErrorCode, ExomemError, isExomemError } from '@exomem/core';

const codes: Record<string, ErrorCode> = {
  ENOENT: 'NotFound',
  ENOTDIR: 'NotDirectory',
  EISDIR: 'IsDirectory',
  EEXIST: 'Exists',
  EACCES: 'PermissionDenied',
  EPERM: 'PermissionDenied',
  EROFS: 'PermissionDenied',
};

/** What went wrong with a file of this machine, as an error of exomem. */
export function localFailure(error: unknown, where: string): Error {
  if (isExomemError(error)) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  const known = code === undefined ? undefined : codes[code];
  const what = /^[A-Z]+: ([^,]+)/.exec(message)?.[1] ?? message;
  if (known === undefined) {
    if (code === 'ENOSPC')
      return new ExomemError('Unavailable', what, { where, advice: 'make room there', cause: error });
    return error as Error;
  }
  return new ExomemError(known, what, { where, advice: 'check the local path and its rights', cause: error });
}

/** Where a program is found. */
export async function onPath(program: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder || '.', program);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return undefined;
}
