/**
 * Every error that exomem raises on purpose, in one table. A code is the contract: programs branch on `error.code`,
 * never on a message and never on `instanceof` (two copies of this package may be loaded at once).
 */
export const errorTable = {
  OutOfRange: {
    meaning: 'an offset, a length or a number lies outside what the region or the argument allows',
    advice: 'check the offset and the length against the size of the region',
  },
  Unaligned: {
    meaning: 'an atomic step was asked for at an offset that is no multiple of 8',
    advice: 'align 64-bit words to 8 bytes',
  },
  InvalidArgument: { meaning: 'an argument has no meaning here', advice: 'see the documentation of the call' },
  PermissionDenied: { meaning: 'this session may not do that', advice: 'open the region with the rights it needs' },
  RegionFull: {
    meaning: 'no free space that this client could claim is left',
    advice: 'free or remove something, or serve a larger region',
  },
  Fragmented: {
    meaning: 'there is enough free space, but no free run as long as was asked for',
    advice: 'ask for smaller pieces, or free what lies between',
  },
  QuotaExceeded: {
    meaning: 'it would be more than the quota of this principal allows',
    advice: 'free or remove something, or have the quota raised: `exomem quota show` shows it',
  },
  Fenced: {
    meaning: 'this client was declared dead by another; what it held is no longer its own',
    advice: 'join again with a new client',
  },
  OutcomeUnknown: {
    meaning: 'the step was sent and nothing came back: it may or may not have happened',
    advice: 'open a new epoch of the lane and read the word; the protocols of this library do it for you',
  },
  Disconnected: {
    meaning: 'there is no connection to the appliance',
    advice: 'check that the appliance runs and that its address is right',
  },
  ProtocolError: {
    meaning: 'the peer sent something that the protocol does not allow',
    advice: 'check that both ends are exomem, of compatible versions',
  },
  Unproven: {
    meaning: 'that member may still act: nobody can shut it out here, and that it has ended is not proven',
    advice:
      'wait for its end: `supervise` the thread that it runs in, or let its silence last for the wait of the region',
  },
  UnsupportedCapability: {
    meaning: 'the transport, the policy or the region does not offer that',
    advice: 'look at the declared capabilities, or choose another transport',
  },
  StaleHandle: {
    meaning: 'the allocation or the file behind this handle is gone',
    advice: 'look it up again',
  },
  Aborted: { meaning: 'the caller aborted it', advice: 'nothing to do' },
  DeadlineExceeded: { meaning: 'it did not end within its deadline', advice: 'try again, or allow more time' },
  Closed: { meaning: 'it was closed before', advice: 'open it again' },
  NotFormatted: {
    meaning: 'there is no exomem region there',
    advice: 'format it: a new `exomem serve` formats what it sets aside',
  },
  Damaged: {
    meaning: 'bytes of the region contradict the format',
    advice: 'look at it with `exomem dump`; do not write to it',
  },
  Incompatible: {
    meaning: 'the region or the peer uses a format or a feature that this version does not know',
    advice: 'use a version of exomem that knows it',
  },
  Unavailable: {
    meaning: 'this machine lacks what that needs',
    advice: '`exomem doctor` says what is missing and the line to type',
  },
  Busy: { meaning: 'somebody else uses it', advice: 'try again later, or end the other one' },
  NotFound: { meaning: 'there is nothing of that name', advice: 'check the path; `exomem ls` shows what there is' },
  Exists: { meaning: 'there is something of that name already', advice: 'choose another name, or remove it first' },
  NotEmpty: { meaning: 'the directory is not empty', advice: 'remove what is in it first' },
  NotDirectory: { meaning: 'a part of the path is no directory', advice: 'check the path' },
  IsDirectory: { meaning: 'it is a directory', advice: 'name a file' },
  NotSymlink: { meaning: 'it is no symbolic link', advice: 'check the path' },
  TooManyLinks: { meaning: 'a path has too many symbolic links, or a file too many names', advice: 'check for a loop' },
  NameTooLong: { meaning: 'a name is over 255 bytes', advice: 'choose a shorter name' },
  NamespaceFull: {
    meaning: 'the directory tree has grown as large as the room that this region keeps for it',
    advice: 'remove files, or serve a larger region',
  },
} as const satisfies Record<string, { meaning: string; advice: string }>;

/** The code of an {@link ExomemError}: a key of {@link errorTable}. */
export type ErrorCode = keyof typeof errorTable;

const brand: unique symbol = Symbol.for('exomem.error') as never;

/** What {@link ExomemError} may carry beside its code and message. */
export interface ErrorDetails {
  /** Where it happened: a URL, a path, an offset. */
  where?: string;
  /** What to do next; the table's advice for the code unless given. */
  advice?: string;
  cause?: unknown;
}

/** The one error class of exomem. */
export class ExomemError extends Error {
  readonly code: ErrorCode;
  readonly where: string | undefined;
  readonly advice: string;

  constructor(code: ErrorCode, what: string, details: ErrorDetails = {}) {
    super(what, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = code;
    this.code = code;
    this.where = details.where;
    this.advice = details.advice ?? errorTable[code].advice;
  }

  get [brand](): true {
    return true;
  }
}

/** Whether `error` is an error of exomem, and of that code if one is given. */
export function isExomemError(error: unknown, code?: ErrorCode): error is ExomemError {
  return (
    typeof error === 'object' &&
    error !== null &&
    (error as { [brand]?: true })[brand] === true &&
    (code === undefined || (error as ExomemError).code === code)
  );
}
