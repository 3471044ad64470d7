/** One figure, beside the baseline of the same run. */
export interface Row {
  readonly group: string;
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly least: number;
  readonly most: number;
  /** What it is compared with. */
  readonly baseline: string;
  readonly baselineMedian: number;
  /** The median of the ratios of each round, figure over baseline; above 1 is more of the unit. */
  readonly ratio: number;
  /** What was aimed for, in words. */
  readonly aim?: string;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}

/**
 * Runs both in turn, so that a machine that drifts drifts for both.
 * @param figure and baseline each run once and answer a number of the unit
 */
export async function compare(
  row: Pick<Row, 'group' | 'name' | 'unit' | 'baseline' | 'aim'>,
  figure: () => Promise<number> | number,
  baseline: () => Promise<number> | number,
  rounds = 7,
): Promise<Row> {
  await baseline();
  await figure();
  const figures: number[] = [];
  const baselines: number[] = [];
  for (let round = 0; round < rounds; round++) {
    baselines.push(await baseline());
    figures.push(await figure());
  }
  return {
    ...row,
    median: median(figures),
    least: Math.min(...figures),
    most: Math.max(...figures),
    baselineMedian: median(baselines),
    ratio: median(figures.map((value, round) => value / baselines[round]!)),
  };
}
