import {
  atomic,
  type Bench,
  encodePrincipal,
  groupWordOffset,
  type Protocol,
  planGeometry,
  principalState,
  principalWordOffset,
  RegionMemory,
  readOccupancy,
  run as runProtocol,
  type Session,
  userGroups,
} from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, tcp } from '@exomem/transport-tcp';
import { compare, type Row } from './row.js';
import { surroundings } from './surroundings.js';

const group = 'the structure of 1 TiB';
/** As it is laid out by default; what is not read of it is not there. */
const geometry = planGeometry(2 ** 40);
const principals = 50;

/** The tables of the region, with some of its groups in use and those of the first principal among them. */
function tables(): SharedArrayBuffer {
  const bytes = new SharedArrayBuffer(geometry.logOffset);
  const words = new BigUint64Array(bytes);
  const word = (principal: number) =>
    encodePrincipal({
      state: principalState.active,
      incarnation: 1,
      member: principal,
      memberIncarnation: 1,
      policy: 0,
    });
  for (let principal = 1; principal <= principals; principal++) {
    words[principalWordOffset(geometry, principal) / 8] = word(principal);
  }
  for (let at = 0; at < userGroups(geometry); at++) {
    // A third is free; the others hold a page here, a run of eight there, or files.
    const kind = (at * 2_654_435_761) % 3;
    const owner = BigInt(1 + ((at >>> 6) % principals));
    const low = kind === 1 ? 0x4000_6aaan : 0xffff_0000n;
    words[groupWordOffset(geometry, at) / 8] = kind === 0 ? 0x5555_5555n : (owner << 48n) | (1n << 32n) | low;
  }
  return bytes;
}

async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

async function scans(session: Session, over: string): Promise<Row[]> {
  const bench: Bench = { session, surroundings };
  const act = <T>(protocol: Protocol<T>): Promise<T> => Promise.resolve(runProtocol(protocol, bench));
  const identity = {
    principal: 1,
    incarnation: 1,
    word: encodePrincipal({ state: principalState.active, incarnation: 1, member: 1, memberIncarnation: 1, policy: 0 }),
  };
  const raw = new Uint8Array(userGroups(geometry) * 8);
  const row = (name: string) => ({
    group,
    name: `${name}, ${over}`,
    unit: 'ms',
    baseline: 'its bytes are read',
    aim: 'under 1,000',
  });
  const bytes = () => timed(() => session.read(geometry.groupOffset, raw));
  return [
    await compare(
      row('inspect: how full it is, and who holds how much'),
      () => timed(() => act(atomic.create({ geometry, identity }).inspect())),
      bytes,
    ),
    await compare(
      row('discover: what an allocator begins with'),
      () => timed(() => act(atomic.create({ geometry, identity }).discover())),
      bytes,
    ),
    await compare(
      row('holdings: what one principal has'),
      () => timed(() => act(atomic.create({ geometry, identity }).holdings())),
      bytes,
    ),
    await compare(
      row('all runs of pages, with who holds them'),
      () =>
        timed(async () => {
          let runs = 0;
          for (const _ of (await act(readOccupancy(geometry))).runs()) runs++;
          if (runs < 1000) throw new Error('the table was not read');
        }),
      bytes,
    ),
  ];
}

/** How long a look at all words of a region of a terabyte takes. */
export async function run(): Promise<Row[]> {
  const memory = tables();
  const shared = sharedArrayBuffer({ r: [memory] }).open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const rows = await scans(shared, 'shared memory');
  const appliance = new Appliance();
  try {
    appliance.expose('r', new RegionMemory([memory]));
    await appliance.listen('127.0.0.1:0');
    const session = await tcp().connect(appliance.url('r'), { clientId: new Uint8Array(16), lane: 0 });
    rows.push(...(await scans(session, 'TCP')));
    await session.close();
  } finally {
    await appliance.close();
  }
  return rows;
}
