import type { PathChange } from '@exomem/core';
import type { Context } from '../command/context.js';
import { printable } from '../command/output.js';

/** Tells what becomes of a path, a line each, until it is ended; or the first of it. */
export async function watch(context: Context, text: string | undefined, flags: { once?: boolean }): Promise<void> {
  const { output, signal } = context;
  const { url, path } = context.location(text);
  await using client = await context.look(url);
  const watched = path === '' ? '/' : path;
  const changes = client.watch(watched, { signal })[Symbol.asyncIterator]();
  let next = changes.next();
  // Whatever comes after this line is told.
  if (output.json) output.value({ type: 'watching', path: watched, index: client.replica.index });
  else output.note(`exomem: watching ${printable(watched)}`);
  for (let told = await next; !told.done; told = await next) {
    if (output.json) output.value(told.value);
    else output.line(lineOf(told.value));
    if (flags.once) {
      await changes.return?.();
      return;
    }
    next = changes.next();
  }
  await changes.return?.();
  // Whoever waits for a change must not take an end without one for it.
  if (flags.once) signal.throwIfAborted();
}

function lineOf({ type, path, to }: PathChange): string {
  return `${type} ${printable(path)}${to === undefined ? '' : ` -> ${printable(to)}`}`;
}
