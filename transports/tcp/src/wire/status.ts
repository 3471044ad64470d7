import type { ErrorCode } from '@exomem/core';
import { ExomemError } from '@exomem/core';

/** What an answer says, by number. 0 is success. Numbers are never given a second meaning. */
const codes: readonly (ErrorCode | undefined)[] = [
  undefined,
  'OutOfRange',
  'Unaligned',
  'InvalidArgument',
  'PermissionDenied',
  'Fenced',
  'ProtocolError',
  'UnsupportedCapability',
  'NotFound',
  'Busy',
  'Closed',
  'Incompatible',
  'DeadlineExceeded',
];

export const statusOk = 0;

/** The number of an error code on the wire; a code without one is a `ProtocolError`. */
export function statusOf(code: ErrorCode): number {
  const status = codes.indexOf(code);
  return status === -1 ? codes.indexOf('ProtocolError') : status;
}

/** The error that an answer reports. */
export function errorOf(status: number, text: string, where: string): ExomemError {
  const code = codes[status];
  if (code === undefined)
    return new ExomemError('ProtocolError', `the appliance answered with status ${status}: ${text}`, { where });
  return new ExomemError(code, text, { where });
}
