import { Client } from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { ApplianceProcess } from './appliance-process.js';
import { compare, type Row } from './row.js';
import { surroundings } from './surroundings.js';

const group = 'applications that move, over TCP';
const MiB = 1024 * 1024;

function open(url: string): Promise<Client> {
  return Client.open({ transport: tcp(), url, surroundings });
}

/** How an application comes to its next client. */
type Way = 'handed over' | 'adopted';

/** Milliseconds from the last thing that one client did for an application until the next one knows what it holds. */
async function move(appliance: ApplianceProcess, bytes: number, way: Way): Promise<number> {
  // The region is the same for any size: what is read is its table.
  const [from, to] = await both(await appliance.open(1200 * MiB));
  const application = await from.register({ keep: 3_600_000 });
  const piece = Math.min(bytes, 16 * MiB);
  for (let at = 0; at < bytes; at += piece) await application.allocate(piece);
  const start = performance.now();
  if (way === 'handed over') await application.migrate(to.member);
  else await to.kick(from.member.slot);
  const holdings = await (await to.adopt(application.principal)).holdings();
  const took = performance.now() - start;
  const held = holdings.reduce((sum, { length }) => sum + length, 0);
  if (held !== bytes) throw new Error(`${held} bytes are held, not ${bytes}`);
  await from.close();
  await to.close();
  return took;
}

async function both(url: string): Promise<[Client, Client]> {
  return [await open(url), await open(url)];
}

/** The figures of applications that move. */
export async function run(): Promise<Row[]> {
  await using appliance = await ApplianceProcess.start();
  const rows: Row[] = [];
  for (const way of ['handed over', 'adopted'] as const) {
    rows.push(
      await compare(
        { group, name: `${way}, with 1 GiB`, unit: 'ms', baseline: 'with 1 MiB', aim: 'about the same' },
        () => move(appliance, 1024 * MiB, way),
        () => move(appliance, MiB, way),
      ),
    );
  }
  return rows;
}
