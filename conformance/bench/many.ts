import { type Allocation, Client, compareExchange, format, runSync } from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { tcp } from '@exomem/transport-tcp';
import { ApplianceProcess } from './appliance-process.js';
import { compare, type Row } from './row.js';
import { surroundings } from './surroundings.js';

const pageSize = 4096;
const GiB = 1024 ** 3;

/** Millions a second. */
function rate(count: number, work: () => void): number {
  const start = performance.now();
  work();
  return count / (performance.now() - start) / 1000;
}
async function rateOf(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (count / (performance.now() - start)) * 1000;
}

/** Units of a reservation, taken and given back by the calls that programs make. */
async function reserved(): Promise<Row> {
  const bytes = 64 * 1024 * 1024;
  const transport = sharedArrayBuffer({ r: [new SharedArrayBuffer(bytes)] });
  const session = await transport.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(bytes, { zeroed: true }), { session, surroundings });
  await using client = await Client.open({ transport, url: 'sab:r', surroundings });
  await using reservation = await client.reserve(1000, pageSize);
  const cell = new BigUint64Array(new SharedArrayBuffer(64));
  const count = 2_000_000;
  return await compare(
    {
      group: 'shared memory',
      name: 'take + give back a reserved page, one thread',
      unit: 'M pairs/s',
      baseline: 'compareExchange pair',
      aim: 'at least 5 M/s',
    },
    () =>
      rate(count, () => {
        for (let at = 0; at < count; at++) reservation.take().freeSync();
      }),
    () =>
      rate(count, () => {
        for (let at = 0; at < count; at++) {
          Atomics.compareExchange(cell, 0, 0n, 1n);
          Atomics.compareExchange(cell, 0, 1n, 0n);
        }
      }),
  );
}

/** Many pages at once, which are known to be zero. */
async function overTcp(): Promise<Row[]> {
  await using appliance = await ApplianceProcess.start();
  const url = await appliance.open(16 * GiB);
  await using client = await Client.open({ transport: tcp(), url, surroundings });
  const { session, geometry } = client;
  await (await client.allocate(pageSize)).free();
  const word = geometry.controlOffset + 1024;
  const steps = Array.from({ length: 1024 }, () => compareExchange(word, 1n, 1n));
  const frames = () =>
    rateOf(20 * steps.length, async () => {
      for (let at = 0; at < 20; at++) await session.batch(steps);
    });
  const count = 100_000;
  const row = { group: 'TCP on loopback', unit: 'pages/s', baseline: 'words exchanged, 1,024 in a frame' };
  const held: Allocation[][] = [];
  /** Pages for a second of CPU, of both processes together: what an idle machine comes to, since one waits for the other. */
  const byCpu = async (work: () => Promise<unknown>): Promise<number> => {
    const own = process.cpuUsage();
    const theirs = await appliance.cpu();
    await work();
    const { user, system } = process.cpuUsage(own);
    return (count / ((user + system) / 1000 + (await appliance.cpu()) - theirs)) * 1000;
  };
  return [
    await compare(
      { ...row, name: `allocateMany, ${count} pages (clean)`, aim: 'at least 1.5 M/s' },
      () => rateOf(count, async () => held.push(await client.allocateMany(count, pageSize))),
      frames,
    ),
    await compare(
      { ...row, name: `the same, by the CPU of both processes`, unit: 'pages/s of CPU', aim: 'at least 1.5 M/s' },
      () => byCpu(async () => held.push(await client.allocateMany(count, pageSize))),
      frames,
    ),
    await compare(
      { ...row, name: `freeMany, ${count} pages` },
      () => rateOf(count, () => client.freeMany(held.pop()!)),
      frames,
    ),
  ];
}

/** Many at once, and reservations. */
export async function run(): Promise<Row[]> {
  return [await reserved(), ...(await overTcp())];
}
