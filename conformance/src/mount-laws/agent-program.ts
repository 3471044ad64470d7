import { getSystemErrorName } from 'node:util';
import type { Answer, Call } from './agent.js';
import { type Operations, systemOperations } from './operations.js';

/**
 * Makes this process one that uses a file system as it is told over its channel, and ends with who started it. Whoever
 * serves a mount may not use it, and a process that a file system does not answer can be ended from outside.
 * @param change gives other operations than those of the system: a file system in a library, or one with a mistake
 */
export function mountAgent(change: (system: Operations) => Operations = (system) => system): void {
  const operations = change(systemOperations());
  const act = ([name, ...parameters]: Call): Answer => {
    try {
      return { value: (operations[name] as (...parameters: unknown[]) => unknown)(...parameters) };
    } catch (error) {
      const { errno, code } = error as NodeJS.ErrnoException;
      return { error: errno === undefined ? (code ?? String(error)) : getSystemErrorName(errno) };
    }
  };
  process.on('message', (script: readonly Call[]) => process.send!(script.map(act)));
  process.on('disconnect', () => process.exit());
  process.send!([]);
}
