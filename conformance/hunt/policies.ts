import { does, type Meeting, type MeetOptions, meetAgain, meetingScene } from '@exomem/conformance';
import { Counterexample, type Exhausted, exhaust, type Recollection } from '@exomem/conformance/simulator';
import {
  type AllocationPolicy,
  type CoordinationContext,
  type Coordinator,
  locked,
  shippedPolicies,
} from '@exomem/core';
import { Annals } from './exhaustive/annals.js';
import { type LockCoordinator, LockRecollection } from './exhaustive/lock-recollection.js';
import { type MailCoordinator, MailRecollection } from './exhaustive/mail-recollection.js';

export interface PolicyHunt {
  /** States after which a meeting is left. Default: 100,000,000 for those that end, 1,000,000 for those that are bounded. */
  readonly limit?: number | undefined;
  readonly tell: (line: string) => void;
  /** Hears now and then how far a long one is. */
  readonly progress?: (line: string) => void;
}

interface Large extends Meeting {
  readonly name: string;
  /** Too large to be gone through: how far it comes is told. */
  readonly bounded?: boolean;
}

const shape = { groups: 3, groupPages: 2 } as const;
const dies = { losses: 0, aborts: 0, crashes: 1 } as const;
const long = does.allocates(3);

/** Two clients of three operations each and three of one, with all that may go wrong; three of two as a bounded hunt. */
export const largeMeetings: readonly Large[] = [
  {
    name: '2x3',
    what: 'A and B allocate, allocate two pages and free; one dies, or a reply is lost',
    ...shape,
    deeds: [
      [does.allocates(1), does.allocates(2), does.frees()],
      [does.allocates(1), does.allocates(2), does.frees()],
    ],
    faults: { losses: 1, aborts: 0, crashes: 1 },
  },
  {
    name: '2x3-long',
    what: 'A and B take a run of two groups, free it, and take it again; one dies',
    ...shape,
    deeds: [
      [long, does.frees(), long],
      [long, does.frees(), long],
    ],
    faults: dies,
  },
  {
    name: '2x3-taken',
    what: 'A allocates, frees and takes a run, and is declared dead at any time; B recovers it, allocates and frees',
    ...shape,
    deeds: [
      [does.allocates(1), does.frees(), long],
      [does.recovers(), does.allocates(1), does.frees()],
    ],
    faults: { losses: 0, aborts: 0, crashes: 0 },
    takeover: 0,
  },
  {
    name: '3x1',
    what: 'A takes a run of two groups, B a page and C two pages; one dies',
    ...shape,
    deeds: [[long], [does.allocates(1)], [does.allocates(2)]],
    faults: dies,
  },
  {
    name: '3x2',
    what: 'A takes a run and frees it, B and C allocate and free; one dies, or a reply is lost',
    ...shape,
    deeds: [
      [long, does.frees()],
      [does.allocates(1), does.frees()],
      [does.allocates(2), does.frees()],
    ],
    faults: { losses: 1, aborts: 0, crashes: 1 },
    bounded: true,
  },
];

/**
 * `npm run hunt -- policies [NAME ...] [--limit STATES]`: goes every way of larger meetings of each shipped policy. A name is that
 * of a policy, or of a meeting. Whether all is as it must be.
 */
export function policies(names: readonly string[], { limit, tell, progress = () => undefined }: PolicyHunt): boolean {
  const all = [shippedPolicies, largeMeetings].map((group) => group.map(({ name }) => name));
  const unknown = names.find((name) => !all.flat().includes(name));
  if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${all.flat().join(', ')}`);
  // Of what no name is said, all are wanted.
  const [policyNames, meetingNames] = all.map((group) => {
    const said = group.filter((name) => names.includes(name));
    return new Set(said.length === 0 ? group : said);
  });
  let well = true;
  for (const policy of shippedPolicies.filter(({ name }) => policyNames!.has(name))) {
    for (const meeting of largeMeetings.filter(({ name }) => meetingNames!.has(name))) {
      const { bounded = false } = meeting;
      try {
        const { states, ends, depth, milliseconds, complete } = go(policy, meeting, {
          limit: limit ?? (bounded ? 1_000_000 : 100_000_000),
          order: bounded ? 'scattered' : 'breadth',
          progress: ({ states, open, milliseconds }) => {
            const minutes = (milliseconds / 60_000).toFixed(1);
            progress(`${policy.name} ${meeting.name}: ${states} states so far, ${open} to go on from, ${minutes} min`);
          },
        });
        const how = complete ? 'complete' : 'a bounded hunt, stopped by its limit';
        const seconds = (milliseconds / 1000).toFixed(1);
        tell(
          `${policy.name} ${meeting.name}: ${states} states, ${ends} ends, ${depth} steps to the farthest, ${seconds} s, ${how}`,
        );
      } catch (error) {
        well = false;
        tell(`${policy.name} ${meeting.name}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
  return well;
}

function go(policy: AllocationPolicy, meeting: Large, options: MeetOptions): Exhausted {
  const { faults } = meeting;
  // Who waits for a lock of the dead may do so for ever: nobody here declares them dead.
  const mayWait = policy === locked;
  try {
    return exhaust(forgetful(policy, meeting, new Annals()), { reduce: true, ...options, faults, mayWait });
  } catch (error) {
    if (!(error instanceof Counterexample)) throw error;
    const { told, wrong } = meetAgain(recollecting(policy, new Annals(), []), meeting, error.path);
    throw new Error(`${meeting.what}: ${(wrong ?? error).message}\n${told}`, { cause: error });
  }
}

/**
 * A meeting whose clients forget what they have seen while they waited for others: otherwise hardly one ends.
 * @param annals undefined: under the lock a client remembers what it has seen in earlier waits; by messages, in each
 */
export function forgetful(
  policy: AllocationPolicy,
  meeting: Meeting,
  annals: Annals | undefined,
): () => ReturnType<typeof meetingScene> {
  return () => {
    const recollections: Recollecting[] = [];
    const scene = meetingScene(recollecting(policy, annals, recollections), meeting);
    return { ...scene, recollect: ({ index }) => recollections[index]?.recollect() };
  };
}

/** @param recollections where what each of its clients remembers is to be found */
function recollecting(
  policy: AllocationPolicy,
  annals: Annals | undefined,
  recollections: Recollecting[],
): AllocationPolicy {
  if (policy.coordinate === undefined) return policy;
  const coordinate = (context: CoordinationContext): Recollecting => {
    const recollection = recollectionOf(policy, context, annals);
    recollections[context.member.slot] = recollection;
    return recollection;
  };
  return { ...policy, coordinate };
}

interface Recollecting extends Coordinator {
  recollect(): Recollection | undefined;
}

function recollectionOf(
  policy: AllocationPolicy,
  context: CoordinationContext,
  annals: Annals | undefined,
): Recollecting {
  const coordinator = policy.coordinate!(context);
  return policy === locked
    ? new LockRecollection({ concurrency: 1 }, context.geometry, coordinator as LockCoordinator, annals)
    : new MailRecollection(coordinator as MailCoordinator, annals);
}
