import { type Allocation, Client, isExomemError } from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { ApplianceProcess } from './appliance-process.js';
import { median, type Row } from './row.js';
import { surroundings } from './surroundings.js';

const group = 'room';
const pageSize = 4096;
const regionBytes = 4 * 1024 * 1024;
/** Gifts that one asks for in a row. */
const gifts = 12;

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Takes all that there is, half of it for files, and gives the other half back: half of each group is room. */
async function startAll(client: Client): Promise<void> {
  const half = (client.geometry.groupPages / 2) * pageSize;
  const anonymous: Allocation[] = [];
  try {
    for (let n = 0; ; n++) {
      await (await client.allocate(half, { name: `/${n}`, initialise: 'none' })).file!.close();
      anonymous.push(await client.allocate(half, { initialise: 'none' }));
    }
  } catch (error) {
    if (!isExomemError(error, 'RegionFull')) throw error;
  }
  for (const one of anonymous) await one.free();
}

/** Milliseconds after which who found no room no longer listens for others who look for some. */
const quiet = 1500;

/**
 * Milliseconds of an allocation where there is room, of the first that another has to give room for, and of those after.
 * @param pause milliseconds since the other was told that the region is full
 */
async function round(appliance: ApplianceProcess, pause: number): Promise<[number, number, number]> {
  const url = await appliance.open(regionBytes);
  const open = () => Client.open({ transport: tcp(), url, surroundings });
  const [asker, holder] = [await open(), await open()];
  const half = (asker.geometry.groupPages / 2) * pageSize;
  const allocate = () => asker.allocate(half, { initialise: 'none' });
  await (await allocate()).free();
  const near: number[] = [];
  for (let n = 0; n < gifts; n++) {
    let one: Allocation | undefined;
    near.push(
      await timed(async () => {
        one = await allocate();
      }),
    );
    await one!.free();
  }
  // The group that it has started itself is full.
  for (let n = 0; n < 2; n++) await allocate();
  await startAll(holder);
  await surroundings.sleep(pause);
  const far: number[] = [];
  for (let n = 0; n < gifts; n++) far.push(await timed(allocate));
  await asker.close();
  await holder.close();
  return [median(near), far[0]!, median(far.slice(1))];
}

/** How long an allocation waits for a started group of another. */
export async function run(): Promise<Row[]> {
  await using appliance = await ApplianceProcess.start();
  await round(appliance, 0);
  const busy: [number, number, number][] = [];
  const calm: [number, number, number][] = [];
  for (let n = 0; n < 7; n++) {
    busy.push(await round(appliance, 0));
    calm.push(await round(appliance, quiet));
  }
  const row = (name: string, rounds: readonly (readonly [number, number, number])[], column: 1 | 2): Row => {
    const values = rounds.map((one) => one[column]);
    return {
      group,
      name,
      unit: 'ms',
      median: median(values),
      least: Math.min(...values),
      most: Math.max(...values),
      baseline: 'one where there is room',
      baselineMedian: median(rounds.map(([near]) => near)),
      ratio: median(rounds.map((one) => one[column] / one[0])),
    };
  };
  return [
    row('the first allocation that another gives room for, which found none itself just now', busy, 1),
    row('the same, from another that has not asked for a while: heard at its next beat', calm, 1),
    row('the ones after that, each', [...busy, ...calm], 2),
  ];
}
