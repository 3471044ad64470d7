import {
  type Application,
  Client,
  type FormatOptions,
  format,
  locked,
  type MemoryStep,
  RegionMemory,
  runSync,
  type Surroundings,
  userGroups,
} from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, tcp } from '@exomem/transport-tcp';
import { Memory } from 'exomem';
import { surroundings } from '../surroundings.js';
import { counted, type Less, Trips } from './counted-transport.js';

/** What an operation took, and what it may take. */
export interface Trip {
  readonly operation: string;
  /** On the critical path. */
  readonly trips: number;
  /** All calls, those that are waited for together too. */
  readonly calls: number;
  /** What it is held to. */
  readonly aim: number;
}

/** Nothing goes on by itself meanwhile: who waits for longer than this waits until it ends. */
const longest = 100;
const still: Surroundings = {
  ...surroundings,
  sleep: (milliseconds, signal) => {
    if (milliseconds < longest) return surroundings.sleep(milliseconds, signal);
    return new Promise((resolve) => {
      if (signal?.aborted) resolve();
      else signal?.addEventListener('abort', () => resolve(), { once: true });
    });
  },
};

/** A fresh region over TCP whose pages are known to be zero, and programs in it whose round trips are counted. */
class Place implements AsyncDisposable {
  readonly trips = new Trips();
  readonly counts: Trip[] = [];
  readonly #appliance = new Appliance();
  readonly #memories: Memory[] = [];
  #url = '';

  static async make(options: FormatOptions = {}, bytes = 64 * 1024 * 1024): Promise<Place> {
    const place = new Place();
    const segments = [new SharedArrayBuffer(bytes)];
    const session = await sharedArrayBuffer({ r: segments }).connect('sab:r', {
      clientId: new Uint8Array(16),
      lane: 0,
    });
    runSync(format(bytes, { zeroed: true, ...options }), { session, surroundings });
    place.#appliance.expose('r', new RegionMemory(segments));
    await place.#appliance.listen('127.0.0.1:0');
    place.#url = place.#appliance.url('r');
    return place;
  }

  async open(less?: Less): Promise<Memory> {
    const transport = counted(tcp(), this.trips, less);
    const memory = new Memory(await Client.open({ transport, url: this.#url, surroundings: still }));
    this.#memories.push(memory);
    return memory;
  }

  /** Counts what it takes until `work` is done. */
  async count<T>(operation: string, aim: number, work: () => T | Promise<T>): Promise<T> {
    this.trips.begin();
    const value = await work();
    this.counts.push({ operation, trips: this.trips.path, calls: this.trips.calls, aim });
    return value;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const memory of this.#memories) await memory.close().catch(() => undefined);
    await this.#appliance.close();
  }
}

const page = 4096;

async function allocating(): Promise<readonly Trip[]> {
  await using place = await Place.make();
  const memory = await place.open();
  const run = 40 * page;
  await place.count('the first allocation of a client: the table is read', 2, () => memory.allocate(page));
  const own = await place.count('allocate a page, in a group of its own', 1, () => memory.allocate(page));
  await place.count('allocate a group that nobody owned', 1, () => memory.allocate(16 * page));
  const long = await place.count('allocate a larger extent', 1, () => memory.allocate(run));
  const reservation = await place.count('reserve 1,000 pages', 1, () => memory.reserve(1000, page));
  const unit = await place.count('take a reserved page', 0, () => reservation.take());
  await place.count('take a reserved page of zeros', 0, () => reservation.takeZeroed());
  await place.count('give a reserved page back', 0, () => unit.free());
  const many = await place.count('allocate 10,000 pages at once', 1, () => memory.allocateMany(10_000, page));
  await place.count('free a page', 1, () => own.free());
  await place.count('free a larger extent', 1, () => long.free());
  await place.count('free 10,000 pages at once', 1, () => memory.freeMany(many));
  await place.count('allocate a page that is dirty: it is zeroed', 3, () => memory.allocate(page));
  return place.counts;
}

async function withoutStopping(): Promise<readonly Trip[]> {
  await using place = await Place.make();
  const memory = await place.open({ stopOnFail: false });
  await memory.allocate(page);
  const other = 'where a batch cannot stop at a failure';
  const long = await place.count(`allocate a larger extent, ${other}`, 2, () => memory.allocate(40 * page));
  await place.count(`free a larger extent, ${other}`, 1, () => long.free());
  return place.counts;
}

/** What another took meanwhile is found out by one look at many groups, not by a try at each. */
async function withOldView(): Promise<readonly Trip[]> {
  await using place = await Place.make();
  const [memory, other] = [await place.open(), await place.open()];
  await memory.allocate(page);
  const { groupPages } = memory.client.geometry;
  const groups = userGroups(memory.client.geometry);
  await other.allocateMany((groups - 101) * groupPages, page);
  const old = `another took ${groups - 101} groups of ${groups} meanwhile`;
  await place.count(`allocate a group, where ${old}: two tries, a look`, 4, () => memory.allocate(groupPages * page));
  await other.allocateMany(50 * groupPages, page);
  await place.count('the same with 50 groups of 100', 4, () => memory.allocate(groupPages * page));
  return place.counts;
}

/** Where the table is changed under a lock, a change of it is a section of its own. */
async function underLock(): Promise<readonly Trip[]> {
  await using place = await Place.make({ policy: locked });
  const memory = await place.open();
  await memory.allocate(page);
  const one = await place.count('allocate a page, under the lock', 3, () => memory.allocate(page));
  const long = await place.count('allocate a larger extent, under the lock', 3, () => memory.allocate(40 * page));
  const many = await place.count('allocate 10,000 pages at once, under the lock: four sections', 12, () =>
    memory.allocateMany(10_000, page),
  );
  await place.count('free a page, under the lock', 3, () => one.free());
  await place.count('free a larger extent, under the lock', 3, () => long.free());
  await place.count('free 10,000 pages at once, under the lock: four sections', 12, () => memory.freeMany(many));
  return place.counts;
}

async function naming(): Promise<readonly Trip[]> {
  await using place = await Place.make();
  const memory = await place.open();
  const other = await place.open();
  await memory.files.mkdir('/d');
  await memory.allocate(page);
  await place.count('allocate a page with a name', 2, () => memory.allocate(page, { name: '/a' }));
  await place.count('allocate a larger extent with a name', 2, () => memory.allocate(40 * page, { name: '/b' }));
  await place.count('allocate a page with a name in a directory', 2, () => memory.allocate(page, { name: '/d/c' }));
  // Where a record lies is known when its slot is seen. So the record of who was faster is read in the round trip that lost only
  // where it lies as expected, right behind the last one of the same writer; of who has not written yet nobody knows anything.
  for (const [lost, atOnce, aim, whom] of [
    [1, 1, 4, 'log slot is lost to one that has not appended before'],
    [1, 1, 3, 'log slot is lost to another'],
    [2, 1, 4, 'log slots are lost to another'],
    [3, 1, 5, 'log slots are lost to another'],
    [2, 2, 3, 'log slots are lost to another at once'],
  ] as const) {
    const operation = `the same, and ${lost} ${whom}`;
    place.trips.before = overtaking(place.trips, memory, lost, async (left) => {
      for (let n = 0; n < atOnce; n++) await other.files.mkdir(`/${operation} ${left - n}`);
      return atOnce;
    });
    await place.count(operation, aim, () => memory.allocate(page, { name: `/${operation}` }));
    place.trips.before = undefined;
  }
  return place.counts;
}

/** Has somebody else append before each attempt to, until it has been faster so many times. Its round trips are not on the path. */
function overtaking(
  trips: Trips,
  { client }: Memory,
  lost: number,
  append: (left: number) => Promise<number>,
): (steps: readonly MemoryStep[]) => Promise<void> {
  const { logOffset, arenaOffset } = client.geometry;
  let left = lost;
  let counting = true;
  return async (steps) => {
    const appends = steps.some(
      ({ op, offset }) => op === 'compareExchange' && offset >= logOffset && offset < arenaOffset,
    );
    if (!counting || left === 0 || !appends) return;
    counting = false;
    const { path, calls } = trips;
    left -= await append(left);
    Object.assign(trips, { path, calls });
    counting = true;
  };
}

async function moving(): Promise<readonly Trip[]> {
  await using place = await Place.make();
  const [from, to] = [await place.open(), await place.open()];
  const application = await from.client.register({ keep: 3_600_000 });
  for (let n = 0; n < 20; n++) await application.allocate(20 * page);
  const lineOf = async ({ client }: Memory, { member }: Client) => (await client.members()).members[member.slot]!;
  const seen = await lineOf(from, to.client);
  await place.count('migrate an application that is willing to a member that was just seen', 1, () =>
    application.migrate(seen),
  );
  const here = await place.count('act for an application that was handed over', 1, () =>
    to.client.adopt(application.principal),
  );
  await place.count('read what it holds', 1, () => here.holdings());
  // Whether it lives is looked at first, or again: over what was not seen, or has changed since, nothing is handed to anybody.
  const { slot, incarnation } = from.client.member;
  await place.count('migrate one to a member that was not seen', 2, () => here.migrate({ slot, incarnation }));
  const back = await from.client.adopt(application.principal);
  await place.count('migrate one to a member that has beaten since it was seen', 2, () =>
    back.migrate({ ...seen, word: seen.word + 1n }),
  );
  await to.client.adopt(application.principal);

  const [one, two, three] = [await place.open(), await place.open(), await place.open()];
  const kept: Application[] = [];
  for (const client of [one.client, two.client, three.client]) {
    kept.push(await client.register({ keep: 3_600_000 }));
    await kept.at(-1)!.allocate(page);
  }
  const next = await place.open();
  await next.client.kick(one.client.member.slot);
  await next.client.members();
  await place.count('adopt one whose client was declared dead here, and was seen', 1, () =>
    next.client.adopt(kept[0]!.principal),
  );
  await next.client.kick(two.client.member.slot);
  await place.count('adopt one whose client was declared dead here: a look, take over', 2, () =>
    next.client.adopt(kept[1]!.principal),
  );
  await from.client.kick(three.client.member.slot);
  // These wait for each other: the principal says whom to shut out; and a member that died between an exchange that came first
  // and the revoke would leave a principal that does not say any more who is still to be shut out.
  const adopted = await place.count(
    'adopt one whose client another has declared dead: a look, revoke, take over',
    3,
    () => next.client.adopt(kept[2]!.principal),
  );
  await place.count('read what that holds', 1, () => adopted.holdings());
  return place.counts;
}

/** Round trips of each operation, counted over real sessions. */
export async function countRoundTrips(): Promise<readonly Trip[]> {
  return [
    ...(await allocating()),
    ...(await withoutStopping()),
    ...(await withOldView()),
    ...(await underLock()),
    ...(await naming()),
    ...(await moving()),
  ];
}
