import {
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
  for (const lost of [1, 2]) {
    const { logOffset, arenaOffset } = memory.client.geometry;
    const isAppend = (steps: readonly MemoryStep[]): boolean =>
      steps.some(({ op, offset }) => op === 'compareExchange' && offset >= logOffset && offset < arenaOffset);
    let left = lost;
    let counting = true;
    place.trips.before = async (steps) => {
      if (!counting || left === 0 || !isAppend(steps)) return;
      counting = false;
      left--;
      // What the other one sends is not on this path.
      const { path, calls } = place.trips;
      await other.files.mkdir(`/other${lost}.${left}`);
      Object.assign(place.trips, { path, calls });
      counting = true;
    };
    await place.count(`the same, and ${lost} log slot(s) lost to another`, 2 + 2 * lost, () =>
      memory.allocate(page, { name: `/lost${lost}` }),
    );
    place.trips.before = undefined;
  }
  return place.counts;
}

async function moving(): Promise<readonly Trip[]> {
  await using place = await Place.make();
  const [from, to] = [await place.open(), await place.open()];
  const application = await from.client.register({ keep: 3_600_000 });
  for (let n = 0; n < 20; n++) await application.allocate(20 * page);
  await place.count('migrate an application that is willing: a look whether the other lives, take over', 2, () =>
    application.migrate(to.client.member),
  );
  const here = await place.count('act for an application that was handed over', 1, () =>
    to.client.adopt(application.principal),
  );
  await place.count('read what it holds', 1, () => here.holdings());
  const next = await place.open();
  await to.client.register({ keep: 3_600_000 });
  await next.client.kick(to.client.member.slot);
  const adopted = await place.count('adopt one whose client is dead: a look, revoke, take over', 3, () =>
    next.client.adopt(application.principal),
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
