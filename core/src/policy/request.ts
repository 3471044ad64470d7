import { ExomemError } from '../errors.js';
import type { Geometry } from '../region/geometry.js';
import type { Need } from './placement.js';
import type { AllocationRequest } from './policy.js';

/** @throws `OutOfRange`, `InvalidArgument` for what no region of this size can meet. */
export function checkRequest(request: AllocationRequest, geometry: Geometry, groups: number): void {
  const { pages, initialise } = request;
  const { pageSize, groupPages } = geometry;
  const alignment = request.alignment ?? pageSize;
  const total = groups * groupPages;
  if (!Number.isSafeInteger(pages) || pages < 1 || pages > total) {
    throw new ExomemError(
      'OutOfRange',
      `a run of ${pages} pages is not possible: this region has ${total} for its users`,
    );
  }
  if (alignment !== pageSize && !isPowerOfTwo(alignment)) {
    throw new ExomemError(
      'OutOfRange',
      `an alignment of ${alignment} bytes is not possible: it must be a power of two`,
    );
  }
  if (initialise !== 'none' && initialise !== 'zero' && (initialise !== 'caller' || request.named !== true)) {
    throw new ExomemError(
      'InvalidArgument',
      `pages that are not to be named cannot be initialised as "${initialise}"`,
      {
        advice: 'take "zero" or "none"; "caller" is for pages of a named file',
      },
    );
  }
}

/** What a placement is asked for. */
export function needOf({ pages, alignment }: AllocationRequest, geometry: Geometry): Need {
  const { pageSize, groupPages } = geometry;
  return {
    pages,
    groups: pages > groupPages ? Math.ceil(pages / groupPages) : 0,
    alignment: alignment ?? pageSize,
    skip: 0,
  };
}

function isPowerOfTwo(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 1 && 2 ** Math.round(Math.log2(value)) === value;
}
