import { countUsage, groupWordOffset, type Protocol, userGroups } from '@exomem/core';
import { everApplied } from './deeds.js';
import { Breach } from './law.js';
import type { World, WorldClient } from './world.js';

/**
 * When all is quiet: the dead are recovered, everybody repairs, judges and sweeps, all is held against what clients were told;
 * then everybody leaves, and all is free. @throws `Breach`
 */
export function settle(world: World): void {
  const { ledger, clients, deeds } = world;
  const standing = clients.filter((client) => client.stands);
  const [recoverer] = standing;
  if (recoverer === undefined) return;
  world.ending(() => {
    // Each client does that now and then.
    for (const { simulated, coordinator } of standing) {
      if (coordinator?.attend !== undefined) {
        world.simulation.runAlone(simulated, { name: 'attends', start: () => coordinator.attend!() });
      }
    }
    ledger.allLeft();
    for (const client of clients) {
      if (client.stands) continue;
      world.bury(client);
      world.alone(recoverer, `recovers what ${client.name} held`, () => deeds.recovering(recoverer, client));
    }
    for (const client of standing) world.alone(client, 'looks around', () => deeds.lookAround(client));
    for (const client of standing) {
      client.asking.clear();
      for (const holding of world.holdings(client)) if (holding.state === 'unsure') holding.state = 'live';
    }
    ledger.checkAll();
    for (const client of standing) checkCounts(world, client);
    checkTotal(world);
    for (const client of standing) world.finished(client);
    for (const client of standing) world.alone(client, 'leaves', () => leave(world, client));
    checkReturned(world, standing);
  });
}

function checkCounts(world: World, client: WorldClient): void {
  const { ledger, geometry, leftovers } = world;
  const { principal } = client.identity;
  const { held = 0, withheld = 0 } = countUsage(table(world), geometry.groupPages).principals.get(principal) ?? {};
  let [live, constructing] = [0, 0];
  for (const { state, pages } of world.holdings(client)) {
    if (state === 'live') live += pages;
    else constructing += pages;
  }
  const own = (page: number): boolean => ownerOf(world, page) === principal;
  const kept = [...ledger.named].filter(own).length;
  const left = [...leftovers].filter(own).length;
  if (held !== live) throw new Breach('conserved', `${client.name} holds ${live} pages, the bytes count ${held}`);
  if (withheld < constructing + kept || withheld > constructing + kept + left) {
    throw new Breach(
      'conserved',
      `${client.name} builds ${constructing} pages and keeps ${kept}, the bytes count ${withheld}`,
    );
  }
}

function checkTotal(world: World): void {
  const { geometry } = world;
  const { total, free, room, held, withheld } = countUsage(table(world), geometry.groupPages);
  const sum = free + room + held + withheld;
  if (sum !== total || total !== userGroups(geometry) * geometry.groupPages) {
    throw new Breach('conserved', `${free} free + ${room} room + ${held} held + ${withheld} withheld is not ${total}`);
  }
}

function* leave(world: World, { allocator, identity }: WorldClient): Protocol<void> {
  const { ledger } = world;
  const holdings = [...ledger.holdings].filter(({ holder }) => holder.identity.principal === identity.principal);
  for (const [at, holding] of holdings.entries()) {
    ledger.letGo(holding);
    // Half of it by hand; the rest is given back by leaving.
    if (at % 2 === 1) continue;
    if (holding.state === 'constructing') yield* allocator.release(holding.page, holding.pages);
    else yield* allocator.free(holding.extent);
  }
  yield* allocator.surrender();
  const index = world.nextIndex();
  for (const page of ledger.named) allocator.dismiss(page, 1, index);
  for (const page of [...ledger.named]) if (ownerOf(world, page) === identity.principal) ledger.named.delete(page);
  yield* allocator.sweep(everApplied);
  yield* allocator.surrender();
}

function checkReturned(world: World, standing: readonly WorldClient[]): void {
  const { free, total, principals } = countUsage(table(world), world.geometry.groupPages);
  for (const { name, identity, allocator } of standing) {
    const left = principals.get(identity.principal);
    if (left !== undefined) throw new Breach('returned', `${name} has left, and still owns ${left.groups} groups`);
    if (!allocator.empty) throw new Breach('returned', `${name} has left, and says that it is not empty`);
  }
  if (free !== total) throw new Breach('returned', `all have left or are dead, and ${free} of ${total} pages are free`);
}

function table({ memory, geometry }: World): Uint32Array {
  return new Uint32Array(memory.bytes.buffer, geometry.groupOffset, 2 * userGroups(geometry));
}

function ownerOf({ memory, geometry }: World, page: number): number {
  const group = Math.floor(page / geometry.groupPages);
  return Number(memory.load(groupWordOffset(geometry, group)) >> 48n);
}
