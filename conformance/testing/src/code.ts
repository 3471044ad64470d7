/** What errors of this workspace are known by, whichever copy of the package made them. */
const brand = Symbol.for('exomem.error');

/**
 * The code of the error of exomem that the work ends with, or `none`.
 * @throws every other error
 */
export async function code(work: unknown): Promise<string> {
  try {
    await (typeof work === 'function' ? work() : work);
  } catch (error) {
    if (typeof error === 'object' && error !== null && brand in error) return (error as { code?: string }).code ?? '';
    throw error;
  }
  return 'none';
}
