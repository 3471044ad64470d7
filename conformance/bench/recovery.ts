import { setTimeout as sleep } from 'node:timers/promises';
import { Client, groupWordOffset, load, userGroups } from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { ApplianceProcess } from './appliance-process.js';
import { compare, type Row } from './row.js';
import { surroundings } from './surroundings.js';

const group = 'life and death over TCP';
const MiB = 1024 * 1024;
const pageSize = 4096;

function open(url: string): Promise<Client> {
  return Client.open({ transport: tcp(), url, surroundings });
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Milliseconds from the fence until everything that a client had is free, or has a new custodian. */
async function recovery(appliance: ApplianceProcess, pages: number, named: boolean): Promise<[number, number]> {
  // Small runs of groups, as programs have them; and room for tables, log and snapshots.
  const run = Math.min(pages, 4096);
  const url = await appliance.open(Math.ceil((pages * pageSize * 1.1) / MiB) * MiB + 64 * MiB);
  const keeper = await open(url);
  const dead = await open(url);
  for (let at = 0; at < pages; at += run) {
    const memory = await dead.allocate(run * pageSize, named ? { name: `/${at}` } : {});
    await memory.file?.close();
  }
  await keeper.refresh();
  const table = new Uint8Array(8 * userGroups(keeper.geometry));
  const scan = await timed(async () => keeper.session.read(groupWordOffset(keeper.geometry, 0), table));
  await keeper.kick(dead.member.slot);
  const took = await timed(() => keeper.lookAfter());
  const { held, withheld } = await keeper.usage();
  if (held !== 0 || withheld !== (named ? pages : 0)) throw new Error(`${held} pages are held, ${withheld} withheld`);
  await dead.close();
  await keeper.close();
  return [took, scan];
}

async function recoveries(appliance: ApplianceProcess): Promise<Row[]> {
  const rows: Row[] = [];
  for (const [pages, named] of [
    [1024, false],
    [16_384, false],
    [262_144, false],
    [1_048_576, false],
    [1_048_576, true],
  ] as const) {
    let scan = 0;
    rows.push(
      await compare(
        {
          group,
          name: `recover ${pages.toLocaleString('en-US')} pages${named ? ' of files' : ''}, from the fence on`,
          unit: 'ms',
          baseline: 'one reading of the table',
          aim: pages === 1_048_576 ? 'under 1,000 ms' : undefined,
        },
        async () => {
          const [took, reading] = await recovery(appliance, pages, named);
          scan = reading;
          return took;
        },
        async () => scan || (await recovery(appliance, 1024, false))[1],
        5,
      ),
    );
  }
  let recovered = 0;
  rows.push(
    await compare(
      { group, name: 'the grace after that: 262,144 pages that nobody named', unit: 'ms', baseline: 'their recovery' },
      async () => {
        const found = await grace(appliance, 262_144);
        recovered = found.recovered;
        return found.waited;
      },
      async () => recovered || (await grace(appliance, 262_144)).recovered,
      5,
    ),
  );
  return rows;
}

/**
 * Milliseconds from the end of a recovery until pages that the dead had withheld and nobody has named are free: every member
 * must have published that it looks at nothing older, which it does with its next heartbeat.
 */
async function grace(appliance: ApplianceProcess, pages: number): Promise<{ recovered: number; waited: number }> {
  const url = await appliance.open(Math.ceil((pages * pageSize * 1.1) / MiB) * MiB + 64 * MiB);
  const [keeper, other, dead] = [await open(url), await open(url), await open(url)];
  for (let at = 0; at < pages; at += 4096)
    await dead.run(dead.allocator.allocate({ pages: 4096, initialise: 'caller', named: true }));
  await keeper.kick(dead.member.slot);
  const recovered = await timed(() => keeper.lookAfter());
  const waited = await timed(async () => {
    while ((await keeper.usage()).withheld > 0) {
      await sleep(10);
      await keeper.tidy();
    }
  });
  for (const client of [dead, other, keeper]) await client.close();
  return { recovered, waited };
}

/** CPU of the appliance, in microseconds, for each heartbeat of clients that do nothing else; and all that they take. */
async function idle(appliance: ApplianceProcess, count: number): Promise<{ beat: number; share: number }> {
  const url = await appliance.open(256 * MiB, { memberSlots: 256 });
  const clients = await Promise.all(Array.from({ length: count }, () => open(url)));
  await sleep(1000);
  const beats = async (): Promise<number> =>
    (await clients[0]!.members()).members.reduce(
      (sum, { word, state }) => sum + (state ? Number(word & 0xffffn) : 0),
      0,
    );
  const [before, cpuBefore, start] = [await beats(), await appliance.cpu(), performance.now()];
  await sleep(5000);
  const cpu = (await appliance.cpu()) - cpuBefore;
  const time = performance.now() - start;
  // Sixteen bits of the counter, which may have gone round in each of them.
  const beaten = (await beats()) - before;
  await Promise.all(clients.map((client) => client.close()));
  if (beaten <= 0) return idle(appliance, count);
  return { beat: (cpu * 1000) / beaten, share: (cpu / time) * 100 };
}

async function heartbeats(appliance: ApplianceProcess): Promise<Row[]> {
  const rows: Row[] = [];
  const loads = async (): Promise<number> => {
    const url = await appliance.open(64 * MiB);
    const client = await open(url);
    const step = load(0);
    const before = await appliance.cpu();
    for (let at = 0; at < 5000; at++) await client.session.batch([step]);
    const cpu = (await appliance.cpu()) - before;
    await client.close();
    return (cpu * 1000) / 5000;
  };
  const shares = new Map<number, number[]>();
  for (const count of [2, 20, 200]) {
    const seen: number[] = [];
    shares.set(count, seen);
    rows.push(
      await compare(
        {
          group,
          name: `a heartbeat, of ${count} clients that are idle`,
          unit: 'us of appliance CPU',
          baseline: 'a load of a word',
        },
        async () => {
          const { beat, share } = await idle(appliance, count);
          seen.push(share);
          return beat;
        },
        loads,
        3,
      ),
    );
  }
  for (const [count, seen] of shares) {
    const sorted = [...seen].sort((a, b) => a - b);
    const least = shares.get(2)!.toSorted((a, b) => a - b);
    const middle = sorted[sorted.length >> 1]!;
    const baseline = least[least.length >> 1]!;
    rows.push({
      group,
      name: `${count} clients that are idle`,
      unit: '% of a core of the appliance',
      median: middle,
      least: sorted[0]!,
      most: sorted.at(-1)!,
      baseline: '2 clients',
      baselineMedian: baseline,
      ratio: middle / baseline,
    });
  }
  return rows;
}

/** What becomes of what a client had, and what it costs to be there. */
export async function run(): Promise<Row[]> {
  await using appliance = await ApplianceProcess.start();
  return [...(await recoveries(appliance)), ...(await heartbeats(appliance))];
}
