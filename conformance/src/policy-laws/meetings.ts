import { noFaults } from '../simulator/index.js';
import type { Meeting } from './scene.js';
import type { Deed } from './workload.js';

type Allocates = Extract<Deed, { kind: 'allocate' }>;
const picks =
  (kind: Exclude<Deed['kind'], 'rest' | 'allocate'>) =>
  (pick = 0): Deed => ({ kind, pick });

/** What a client of a meeting does. Where there is a choice, `pick` counts from what it was given first. */
export const does = {
  /** Asks for that many pages; `named`: to become part of a file. It fills them if it is to `write`. */
  allocates: (pages: number, more: Partial<Omit<Allocates, 'kind' | 'pages'>> = {}): Deed => ({
    kind: 'allocate',
    pages,
    initialise: 'none',
    named: false,
    alignment: 1,
    writes: false,
    ...more,
  }),
  frees: picks('free'),
  /** Frees what it has freed before: that must be refused. */
  freesAgain: picks('freeAgain'),
  /** Frees what it was never given: that must be refused. */
  freesForeign: picks('freeForeign'),
  /** Makes a construction of an allocation, to be given a name. */
  withholds: picks('withhold'),
  /** Gives a construction a name. */
  names: picks('name'),
  /** Gives a construction up. */
  releases: picks('release'),
  /** Takes a name away from a page that it gave one. */
  removesAName: picks('unname'),
  /** Gives a started group to the client of that number. */
  givesRoom: picks('giveRoom'),
  /** Takes over what a client held that was declared dead; see {@link Meeting.takeover}. */
  recovers: picks('recover'),
  /** Looks at what came into its hands, and frees what has no name. */
  looksAround: picks('judge'),
} as const;

/** Those that the law `exhaustive` goes through, the cheapest first. */
export const meetings: readonly Meeting[] = [
  {
    what: 'what the dead gave a name stays with whoever recovers it',
    groups: 1,
    groupPages: 2,
    deeds: [
      [does.allocates(1, { named: true, initialise: 'caller' }), does.names()],
      [does.recovers(), does.allocates(1)],
    ],
    faults: noFaults,
    takeover: 0,
  },
  {
    what: 'one takes two pages, frees one, and frees it again; one frees what it was never given',
    groups: 2,
    groupPages: 2,
    deeds: [
      [does.allocates(1), does.allocates(1), does.frees(), does.freesAgain()],
      [does.allocates(1), does.allocates(1, { alignment: 2 }), does.freesForeign()],
    ],
    faults: { ...noFaults, crashes: 1 },
  },
  {
    what: 'one dies in a long run',
    groups: 3,
    groupPages: 2,
    deeds: [[does.allocates(3), does.frees()], [does.allocates(3)]],
    faults: { ...noFaults, crashes: 1 },
  },
  {
    what: 'a page gets a name and loses it',
    groups: 1,
    groupPages: 2,
    deeds: [[does.allocates(1), does.withholds(), does.names(), does.removesAName()], [does.allocates(1)]],
    faults: { ...noFaults, losses: 1 },
  },
  {
    what: 'room comes back to who gave it',
    groups: 1,
    groupPages: 2,
    deeds: [
      [does.allocates(1, { named: true, initialise: 'caller' }), does.names(), does.givesRoom(1), does.looksAround()],
      [does.looksAround(), does.givesRoom(0)],
    ],
    faults: { ...noFaults, losses: 2 },
  },
  {
    what: 'one is taken over while it claims, and recovered',
    groups: 1,
    groupPages: 2,
    deeds: [[does.allocates(1)], [does.recovers(), does.allocates(1)]],
    faults: { ...noFaults, losses: 1 },
    takeover: 0,
  },
  {
    what: 'dirty pages change hands',
    groups: 1,
    groupPages: 2,
    clean: false,
    deeds: [[does.allocates(1, { initialise: 'zero' }), does.frees()], [does.allocates(1, { initialise: 'zero' })]],
    faults: { ...noFaults, losses: 1, aborts: 1 },
  },
  {
    what: 'room is given to one that claims the same group',
    groups: 1,
    groupPages: 2,
    deeds: [
      [does.allocates(1, { named: true, initialise: 'caller' }), does.names(), does.givesRoom(1)],
      [does.allocates(1, { named: true, initialise: 'caller' }), does.looksAround()],
    ],
    faults: { ...noFaults, losses: 1, aborts: 1 },
  },
  {
    what: 'room is given to one that gives up the same group',
    groups: 1,
    groupPages: 2,
    deeds: [
      [does.allocates(1, { named: true, initialise: 'caller' }), does.releases()],
      [does.allocates(1, { named: true, initialise: 'caller' }), does.names(), does.givesRoom(0)],
    ],
    faults: { ...noFaults, losses: 1, aborts: 1 },
  },
  {
    what: 'two want the last page',
    groups: 1,
    groupPages: 1,
    deeds: [
      [does.allocates(1), does.frees()],
      [does.allocates(1), does.frees()],
    ],
    faults: { losses: 1, aborts: 1, crashes: 1 },
  },
  {
    what: 'two long runs overlap',
    groups: 3,
    groupPages: 2,
    deeds: [[does.allocates(3)], [does.allocates(3), does.frees()]],
    faults: { ...noFaults, losses: 1 },
  },
];
