import { countRoundTrips } from './round-trips/operations.js';
import type { Row } from './row.js';

/** Round trips on the critical path, counted; the baseline is what the operation is held to. */
export async function run(): Promise<Row[]> {
  return (await countRoundTrips()).map(({ operation, trips, calls, aim }) => ({
    group: 'round trips',
    name: operation,
    unit: calls === trips ? 'trips' : `trips (${calls} calls)`,
    median: trips,
    least: trips,
    most: trips,
    baseline: 'aim',
    baselineMedian: aim,
    ratio: aim === 0 ? (trips === 0 ? 1 : Number.MAX_VALUE) : trips / aim,
    aim: `at most ${aim}`,
  }));
}
