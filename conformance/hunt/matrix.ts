import { conform, reportText, transportSubject } from '@exomem/conformance';
import { restrictions, shippedTransports, without, wrappers } from './sound-subjects.js';

export interface MatrixOptions {
  /** Milliseconds for each cell; all laws are held at least once, with less effort where that is short. Default 10,000. */
  readonly budget?: number | undefined;
  readonly seed?: number | undefined;
  /** Only cells with one of these in their name. */
  readonly names?: readonly string[];
  readonly tell: (line: string) => void;
}

/**
 * `npm run hunt -- matrix [PATTERN ...] [--seconds N]`: every shipped transport, stripped of each capability, through each wrapper, is
 * held to the laws. Whether all are kept.
 */
export async function matrix({ budget = 10_000, seed, names = [], tell }: MatrixOptions): Promise<boolean> {
  let well = true;
  for (const [what, make] of Object.entries(shippedTransports)) {
    for (const [less, restriction] of Object.entries(restrictions)) {
      for (const [around, wrap] of Object.entries(wrappers)) {
        const name = `${what} without ${less}, ${around}`;
        if (names.length > 0 && !names.some((one) => name.includes(one))) continue;
        const module = make((transport) => wrap(without(restriction)(transport)));
        const transport = await transportSubject(module, name);
        const options = { budget, ...(seed === undefined ? {} : { seed }) };
        const report = await conform({ kind: 'transport', transport }, options);
        const { passed, failed, skipped, milliseconds } = report;
        tell(`${name}: ${passed} kept, ${failed} broken, ${skipped} skipped, ${(milliseconds / 1000).toFixed(1)} s`);
        if (failed === 0) continue;
        well = false;
        tell(reportText(report));
      }
    }
  }
  return well;
}
