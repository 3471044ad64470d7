import { does, type Meeting, meet } from '@exomem/conformance';
import { type AllocationPolicy, locked, shippedPolicies } from '@exomem/core';

export interface PolicyHunt {
  /** States after which a meeting is left. Default: none for those that end, 1,000,000 for those that are bounded. */
  readonly limit?: number | undefined;
  readonly tell: (line: string) => void;
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

/** With what they promise. */
const subjects: readonly { readonly policy: AllocationPolicy; readonly progress: boolean }[] = shippedPolicies.map(
  (policy) => ({ policy, progress: policy !== locked }),
);

/**
 * `npm run hunt -- policies [NAME ...] [--limit STATES]`: goes every way of larger meetings of each shipped policy. A name is that
 * of a policy, or of a meeting. Whether all is as it must be.
 */
export function policies(names: readonly string[], { limit, tell }: PolicyHunt): boolean {
  const wanted = (name: string, all: readonly string[]): boolean =>
    !names.some((one) => all.includes(one)) || names.includes(name);
  const known = [...subjects.map(({ policy }) => policy.name), ...largeMeetings.map(({ name }) => name)];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) throw new Error(`there is no ${unknown}; there are ${known.join(', ')}`);
  let well = true;
  for (const { policy, progress } of subjects) {
    if (
      !wanted(
        policy.name,
        subjects.map((one) => one.policy.name),
      )
    )
      continue;
    for (const meeting of largeMeetings) {
      if (
        !wanted(
          meeting.name,
          largeMeetings.map(({ name }) => name),
        )
      )
        continue;
      const most = limit ?? (meeting.bounded || !progress ? 1_000_000 : 30_000_000);
      const order = meeting.bounded || !progress ? 'scattered' : 'breadth';
      try {
        const { states, ends, depth, milliseconds, complete } = meet(policy, meeting, {
          limit: most,
          order,
          mayWait: !progress,
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
