import { ExomemError } from '@exomem/core';

/** That a file keeps no region: to format it is not what whoever wants to see or load one means. */
export function noRegion(error: ExomemError, where: string): ExomemError {
  return new ExomemError('NotFormatted', error.message, {
    where,
    advice: 'name a file that keeps a region, or an image of one',
    cause: error,
  });
}
