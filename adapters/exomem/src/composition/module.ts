import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ExomemError } from '@exomem/core';

/** Whether that names a file, and no package or part. */
export function isPath(specifier: string): boolean {
  return /^\.{0,2}\//.test(specifier) || /\.[cm]?js$/.test(specifier);
}

/**
 * Imports a path, or a package by its name.
 * @param what it is to be, and the `option` that names it, for messages
 * @throws `NotFound`, `InvalidArgument`
 */
export async function importModule(specifier: string, what: string, option: string): Promise<Record<string, unknown>> {
  try {
    return await import(isPath(specifier) ? pathToFileURL(resolve(specifier)).href : specifier);
  } catch (cause) {
    const missing = ['ERR_MODULE_NOT_FOUND', 'ENOENT'].includes((cause as NodeJS.ErrnoException).code ?? '');
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new ExomemError(
      missing ? 'NotFound' : 'InvalidArgument',
      `this ${what} cannot be loaded: ${why.split('\n', 1)[0]}`,
      { where: specifier, advice: `name a module, as in ${option} ./mine.mjs`, cause },
    );
  }
}
