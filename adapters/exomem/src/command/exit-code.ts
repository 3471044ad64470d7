import { type ErrorCode, isExomemError } from '@exomem/core';

/** What the command ends with, and what it means. */
export const exitCodes = {
  ok: [0, 'done'],
  failure: [1, 'something else went wrong: the line on stderr says what; of fsck --repair: all damage was repaired'],
  usage: [2, 'the command line, a size, a URL or an argument makes no sense'],
  notFound: [3, 'there is no such region, file, directory or plug-in'],
  exists: [4, 'there is something of that name, or in that directory, already'],
  full: [5, 'the region is full, or has no free run as long as that'],
  unreachable: [6, 'the appliance does not answer, or the connection was lost'],
  unusable: [7, 'the region or the peer is damaged, not formatted, or of another version'],
  unavailable: [8, 'this machine lacks what that needs: see `exomem doctor`'],
  refused: [9, 'somebody else uses it, or you may not'],
  broken: [10, 'a law of conformance is broken, or a history has no order: the report says how'],
  interrupted: [130, 'ended by Ctrl-C before it was done (143: by SIGTERM)'],
} as const satisfies Record<string, readonly [code: number, meaning: string]>;

type Outcome = keyof typeof exitCodes;

/** Every error of exomem and how the command ends with it. */
export const outcomes: Record<ErrorCode, Outcome> = {
  OutOfRange: 'usage',
  Unaligned: 'usage',
  InvalidArgument: 'usage',
  PermissionDenied: 'refused',
  RegionFull: 'full',
  QuotaExceeded: 'full',
  Fragmented: 'full',
  Fenced: 'refused',
  OutcomeUnknown: 'unreachable',
  Disconnected: 'unreachable',
  ProtocolError: 'unusable',
  Unproven: 'refused',
  UnsupportedCapability: 'unavailable',
  StaleHandle: 'notFound',
  Aborted: 'interrupted',
  DeadlineExceeded: 'unreachable',
  Closed: 'unreachable',
  NotFormatted: 'unusable',
  Damaged: 'unusable',
  Incompatible: 'unusable',
  Unavailable: 'unavailable',
  Busy: 'refused',
  NotFound: 'notFound',
  Exists: 'exists',
  NotEmpty: 'exists',
  NotDirectory: 'notFound',
  IsDirectory: 'usage',
  NotSymlink: 'usage',
  TooManyLinks: 'usage',
  NameTooLong: 'usage',
  NamespaceFull: 'full',
};

/** How the command ends with an error. */
export function exitCodeOf(error: unknown): number {
  if (isExomemError(error)) return exitCodes[outcomes[error.code] ?? 'failure'][0];
  return exitCodes.failure[0];
}

/** The table, for help and for people. */
export function exitCodeTable(): string {
  const rows = Object.values(exitCodes).map(([code, meaning]) => `  ${String(code).padStart(3)}  ${meaning}`);
  return `${rows.join('\n')}\n  serve, up, mount, top and watch without --once are ended by Ctrl-C when they are done: 0`;
}
