// A program that uses a file system as it is told over its channel, and ends with who started it. Whoever serves a mount may
// not use it, and a process that a file system does not answer can be ended from outside: so this is one of its own.
import { getSystemErrorName } from 'node:util';
import type { Answer, Call } from './agent.js';
import { type Operations, systemOperations } from './operations.js';

const [spoiler] = process.argv.slice(2);
let operations = systemOperations();
if (spoiler !== undefined) {
  const module = (await import(spoiler)) as { default: (operations: Operations) => Operations };
  operations = module.default(operations);
}

function act([name, ...parameters]: Call): Answer {
  try {
    return { value: (operations[name] as (...parameters: unknown[]) => unknown)(...parameters) };
  } catch (error) {
    const { errno, code } = error as NodeJS.ErrnoException;
    return { error: errno === undefined ? (code ?? String(error)) : nameOf(errno) };
  }
}

/** Node's own `code` lacks some. */
function nameOf(errno: number): string {
  return errno === -116 ? 'ESTALE' : getSystemErrorName(errno);
}

process.on('message', (script: readonly Call[]) => process.send!(script.map(act)));
process.on('disconnect', () => process.exit());
process.send!([]);
