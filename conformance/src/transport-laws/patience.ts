import { LawBroken } from './expect.js';

/** Nothing may hang: whatever takes longer than `patience` milliseconds is taken for hanging. */
export async function soon<T>(work: Promise<T>, patience: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LawBroken(`${what} hangs: nothing for ${patience} ms`)), patience);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
