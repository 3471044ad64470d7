import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatVersion } from '@exomem/core';
import { pack } from '../fixtures/project.js';

/** Where the packages of a version of the format are kept, as they were published: among the sources. */
export const packagesFolder = fileURLToPath(new URL('../../../test/golden/packages/', import.meta.url));

/**
 * Packs what is published as it is now, to be run against later versions: `npm run golden -- --packages`. Those of a version of
 * the format that promises nothing are made again when they and today's code cannot understand each other any more.
 */
export async function makePackages(): Promise<string> {
  const folder = join(packagesFolder, `v${formatVersion}`);
  mkdirSync(folder, { recursive: true });
  if (formatVersion > 0 && readdirSync(folder).length > 0) {
    throw new Error(`version ${formatVersion} is released: its packages stay as they are`);
  }
  for (const name of readdirSync(folder)) rmSync(join(folder, name));
  await pack(folder);
  return folder;
}
