import { CommanderError } from 'commander';
import { exitCodeOf, exitCodes } from './exit-code.js';
import { describe } from './failure.js';
import { Interrupt } from './interrupt.js';
import { program } from './program.js';

/** Runs the command that these arguments say. Answers its exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const interrupt = new Interrupt();
  if (process.env['EXOMEM_TRACE']) {
    const { trace } = await import('./trace.js');
    trace(process.env['EXOMEM_TRACE']);
  }
  let exitCode: number = exitCodes.ok[0];
  try {
    await program(interrupt, (code) => {
      exitCode = code;
    }).parseAsync(args, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help and version are told by an exception, too.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage[0];
    const { reason } = interrupt;
    if (reason !== undefined) {
      if (reason.cause !== 'EPIPE') process.stderr.write(`exomem: ended by ${reason.cause} before it was done\n`);
      return reason.exitCode;
    }
    process.stderr.write(`${describe(error)}\n`);
    return exitCodeOf(error);
  }
}
