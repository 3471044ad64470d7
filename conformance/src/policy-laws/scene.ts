import {
  type AllocationPolicy,
  type Coordinator,
  exchange,
  type Geometry,
  loadWord,
  type Protocol,
  principalWordOffset,
  userGroups,
} from '@exomem/core';
import {
  type Faults,
  looksOnly,
  type Moments,
  type Operation,
  type Scene,
  type World as SearchedWorld,
  type SimulatedClient,
  Simulation,
} from '../simulator/index.js';
import { Deeds } from './deeds.js';
import type { Holder } from './holding.js';
import { type Heard, type Held, nameOffset, Player } from './player.js';
import { coordinatorOf, identityOf, memberOf, smallMemory, smallRegion } from './small-region.js';
import { Verdict } from './verdict.js';
import type { Deed } from './workload.js';
import { deadMember, dyingWord, nameOf, placeName, tagOf, World } from './world.js';

/** Clients of a policy, a few deeds each, on as few groups as make them meet. */
export interface Meeting {
  readonly what: string;
  /** Groups of so many pages each. */
  readonly groups: number;
  readonly groupPages: number;
  /** The memory begins zero, and its words say so. Default true. */
  readonly clean?: boolean;
  /** For each client what it does, one after the other. */
  readonly deeds: readonly (readonly Deed[])[];
  /** How often what may go wrong, at any step. */
  readonly faults: Faults;
  /** At any time somebody declares that client dead. */
  readonly takeover?: number;
}

const everybodyOf = (meeting: Meeting): readonly Holder[] =>
  meeting.deeds.map((_, at) => ({ name: nameOf(at), tag: tagOf(at), identity: identityOf(at), asking: [] }));

/**
 * A meeting from its beginning, as {@link exhaust} goes through it: with a policy's shipped generators, and a judge that holds every
 * moment against the laws of policies.
 */
export function meetingScene(policy: AllocationPolicy, meeting: Meeting): Scene<Held, Heard> {
  const { groups, groupPages, clean = true, deeds } = meeting;
  const geometry = smallRegion(groups, groupPages, policy);
  const everybody = everybodyOf(meeting);
  const attend = attendant(policy, geometry, deeds.length);
  const clients = deeds.length + (attend === undefined ? 0 : 1);
  const memory = smallMemory(geometry, { groups, groupPages, clean, clients });
  // Whoever waits is as quick as all others; a policy that asks for the time is told that it stands still.
  const simulation = new Simulation(memory, { grain: 64, timeless: true });
  const players = new Map<SimulatedClient, Player>();
  for (const [at, own] of deeds.entries()) {
    const client = simulation.addClient(nameOf(at));
    client.binding = memberOf(geometry, at);
    const player = new Player(geometry, everybody, at, policy.create({ geometry, identity: identityOf(at) }));
    const coordinator = coordinatorOf(policy, geometry, at);
    const makes = new Deeds<Player>(player);
    for (const deed of own) if (deed.kind !== 'rest') client.queue.push(makes.operation(player, deed, coordinator));
    players.set(client, player);
    actors.set(client, { player, coordinator });
  }
  const able = new Set(simulation.clients);
  if (meeting.takeover !== undefined) {
    simulation.addClient('U', [declaresDead(geometry, meeting.takeover, policy.coordinate !== undefined)]);
  }
  const onCall = new Map<SimulatedClient, (moments: Moments, region: number) => boolean>();
  if (attend !== undefined) {
    const clerk = simulation.addClient('K');
    clerk.binding = memberOf(geometry, deeds.length);
    const operation = { name: 'attends', start: attend };
    simulation.runAlone(clerk, operation);
    clerk.queue.push(operation);
    onCall.set(clerk, wouldChange(attend));
  }
  const principals = geometry.principalOffset - (geometry.principalOffset % 64);
  return {
    simulation,
    mortal: able,
    lossy: able,
    bounds: [principals, geometry.groupOffset, geometry.logOffset, geometry.arenaOffset, geometry.dataOffset],
    pagesFrom: geometry.dataOffset,
    judged: looksAt(geometry, deeds.length),
    onCall,
    hold: (client) => players.get(client)?.held() ?? nothing,
    hear: (client) => players.get(client)?.hear() ?? [],
    judge: new Verdict(
      geometry,
      everybody,
      (world, local) => actors.get(world.standing(local))!.player,
      (world, recovered) => settleMeeting(policy, meeting, world, recovered),
    ),
  };
}

/**
 * What a member does that attends to the others, where a policy wants that: it begins from what the bytes say each time. It is one more
 * than those who meet, and nothing ever happens to it.
 */
function attendant(policy: AllocationPolicy, geometry: Geometry, slot: number): (() => Protocol<number>) | undefined {
  const coordinator = (): Coordinator | undefined => coordinatorOf(policy, geometry, slot);
  if (coordinator()?.attend === undefined) return undefined;
  return () => coordinator()!.attend!();
}

/** Whether a protocol would change something at a moment. */
function wouldChange(make: () => Protocol<unknown>): (moments: Moments, region: number) => boolean {
  const known = new Map<number, boolean>();
  return (moments, region) => {
    let changes = known.get(region);
    if (changes === undefined) known.set(region, (changes = !looksOnly(moments, region, make())));
    return changes;
  };
}

const nothing: Held = { runs: [], leaving: [], asking: [], current: undefined, leftovers: [] };

/** Who plays which client, and through what its protocols are run. */
const actors = new WeakMap<
  SimulatedClient,
  { readonly player: Player; readonly coordinator: Coordinator | undefined }
>();

/** What the judge of a meeting looks at whenever something happens: who lives, acts for whom, owns what, and what has a name. */
function looksAt(geometry: Geometry, clients: number): (offset: number, length: number) => boolean {
  const { principalOffset, logOffset, arenaOffset, groupPages } = geometry;
  const pages = userGroups(geometry) * groupPages;
  const ranges = [
    [memberOf(geometry, 0).offset, memberOf(geometry, clients + 1).offset],
    // The principals, and the groups behind them.
    [principalOffset, logOffset],
    [arenaOffset, arenaOffset + 8 * pages],
  ] as const;
  return (offset, length) => ranges.some(([from, to]) => offset < to && from < offset + length);
}

/** Names what lies at an offset of a meeting's region. */
export function meetingNames(policy: AllocationPolicy, { groups, groupPages }: Meeting): (offset: number) => string {
  const geometry = smallRegion(groups, groupPages, policy);
  return (offset) => placeName(geometry, offset);
}

function declaresDead(geometry: Geometry, victim: number, coordinated: boolean): Operation {
  const { word, principal } = identityOf(victim);
  const offset = principalWordOffset(geometry, principal);
  const member = memberOf(geometry, victim);
  return {
    name: `takes over from ${nameOf(victim)}`,
    *start(): Protocol<void> {
      if (coordinated) {
        const there = yield* loadWord(member.offset);
        yield* exchange(member.offset, there, deadMember);
      }
      yield* exchange(offset, word, dyingWord({ identity: identityOf(victim) }));
      yield { op: 'revoke', member };
    },
  };
}

/** Puts a world together that is as that one is at its end, and settles it: it is free to change what it likes. */
function settleMeeting(
  policy: AllocationPolicy,
  meeting: Meeting,
  searched: SearchedWorld<Held, Heard>,
  recovered: number,
): void {
  const { groups, groupPages, clean = true, deeds } = meeting;
  const locals = searched.locals.slice(0, deeds.length);
  const world = new World(policy, deeds.length, { groups, groupPages, clean });
  searched.moments.restore(searched.region, world.memory.bytes);
  for (const [at, client] of world.clients.entries()) {
    const { dead, fenced, node } = locals[at]!;
    client.simulated.dead = dead;
    client.simulated.fenced = fenced;
    const word = world.memory.load(principalWordOffset(world.geometry, client.identity.principal));
    if (word !== client.identity.word) client.takenAt = 0;
    for (const page of node.held.leftovers) world.leftovers.add(page);
    for (const request of node.held.asking) client.asking.add({ request, since: 0 });
    if ((recovered >>> at) & 1) continue;
    if (!client.stands) {
      for (const run of node.held.runs) {
        world.ledger.hold({ ...run, holder: client, extent: { ...run, live: true }, busy: false });
      }
      continue;
    }
    // The client as it stands there takes its place.
    const { player, coordinator } = actors.get(searched.lend(locals[at]!))!;
    client.allocator = player.allocator;
    client.coordinator = coordinator;
    for (const one of player.holdings()) world.ledger.hold({ ...one, holder: client });
  }
  for (let page = 0; page < userGroups(world.geometry) * groupPages; page++) {
    if (world.memory.load(nameOffset(world.geometry, page)) !== 0n) world.ledger.named.add(page);
  }
  world.settle();
}
