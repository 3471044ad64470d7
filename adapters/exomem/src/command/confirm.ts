import { createInterface } from 'node:readline/promises';
import { ExomemError } from '@exomem/core';
import type { Context } from './context.js';

/**
 * Asks on the terminal before something that cannot be undone, unless `yes` says that it was meant.
 * @throws `InvalidArgument` where nobody can be asked, `Aborted` if the answer is not yes.
 */
export async function confirm({ signal }: Context, question: string, yes: boolean | undefined): Promise<void> {
  if (yes) return;
  const { stdin: input, stderr: output } = process;
  if (!input.isTTY || !output.isTTY) {
    throw new ExomemError('InvalidArgument', 'this cannot be undone, and there is no terminal to ask on', {
      advice: 'add --yes if that is what you want',
    });
  }
  // The terminal keeps its own line editing, so that Ctrl-C stays a signal.
  const terminal = createInterface({ input, output, terminal: false });
  try {
    const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('')));
    const answer = await Promise.race([terminal.question(`${question} [y/N] `, { signal }), ended]);
    if (!/^\s*y(es)?\s*$/i.test(answer)) {
      throw new ExomemError('Aborted', 'nothing was done', { advice: 'answer y where you want it' });
    }
  } finally {
    terminal.close();
  }
}
