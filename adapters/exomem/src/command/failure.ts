import { errorTable, isExomemError } from '@exomem/core';

/** What a person reads of an error: one line of what, where, and what to do; with EXOMEM_DEBUG the stack as well. */
export function describe(error: unknown): string {
  if (process.env['EXOMEM_DEBUG'] && error instanceof Error) return `exomem: ${error.stack}${causes(error)}`;
  return `exomem: ${sentenceOf(error)}`;
}

/** That line alone, without a name before it. */
export function sentenceOf(error: unknown): string {
  if (isExomemError(error)) {
    const where = error.where === undefined || error.message.includes(error.where) ? '' : ` (${error.where})`;
    // Who types a command has made no call.
    const advice =
      error.advice === errorTable.InvalidArgument.advice
        ? '`exomem --help` and the help of each command say what there is'
        : error.advice;
    return oneLine(`${error.message}${where}: ${advice}`);
  }
  const message = error instanceof Error ? error.message : String(error);
  if ((error as NodeJS.ErrnoException)?.syscall !== undefined) return oneLine(message);
  return oneLine(`${message}: this should not happen; EXOMEM_DEBUG=1 shows where it does`);
}

function causes(error: Error): string {
  let text = '';
  for (let cause = error.cause; cause instanceof Error; cause = cause.cause) text += `\n  because: ${cause.stack}`;
  return text;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, '; ');
}
