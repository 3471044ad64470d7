import { readFileSync } from 'node:fs';
import { LawBroken } from './expect.js';

/**
 * Nothing may hang: whatever takes longer than `patience` milliseconds is taken for hanging. The time for which this process
 * wanted to go on and was not let, because others had the processors, does not count: that says nothing of the subject.
 * @param detail what is to be added to the sentence then
 */
export async function soon<T>(
  work: Promise<T>,
  patience: number,
  what: string,
  detail: { toString(): string } = '',
): Promise<T> {
  const spent = stopwatch();
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const look = (): void => {
      const left = patience - spent();
      if (left > 1) timer = setTimeout(look, left);
      else reject(new Hanging(`${what} hangs: nothing for ${patience} ms${detail}`));
    };
    timer = setTimeout(look, patience);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Something has not ended. */
export class Hanging extends LawBroken {}

/** Milliseconds since, but for those in which this thread waited for a processor. */
export function stopwatch(): () => number {
  const began = performance.now() - queued();
  return () => performance.now() - queued() - began;
}

/** Milliseconds for which this thread has waited for a processor; 0 where the machine does not count them. */
function queued(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[1]) / 1e6 || 0;
  } catch {
    return 0;
  }
}
