import fc from 'fast-check';
import { type FaultKind, type FaultPlan, type PlannedFault, rough } from './plan.js';

export interface FaultSearch {
  /** How many plans are tried. Default 100. */
  readonly runs?: number;
  /** Where chance begins; by the clock unless given. */
  readonly seed?: number;
  /** How many sessions are open to faults. Default 2. */
  readonly sessions?: number;
  /** Which calls of each are. Default: the first 30. */
  readonly calls?: number;
  /** The most faults in one plan. Default 4. */
  readonly faults?: number;
  /** Which faults there are. Default: whatever a session survives. */
  readonly kinds?: readonly FaultKind[];
}

/** Something failed under a plan. `plan` is the simplest that was found; `cause` is what it failed with. */
export class FailedUnderFaults extends Error {
  override readonly name = 'FailedUnderFaults';
  constructor(
    readonly plan: FaultPlan,
    cause: unknown,
  ) {
    const what = cause instanceof Error ? cause.message : String(cause);
    super(`${what}\n  under the plan ${JSON.stringify(plan)}`, { cause });
  }
}

function plans({ sessions = 2, calls = 30, faults = 4, kinds = rough }: FaultSearch): fc.Arbitrary<FaultPlan> {
  const fault: fc.Arbitrary<PlannedFault> = fc.record({
    session: fc.nat(sessions - 1),
    call: fc.nat(calls - 1),
    kind: fc.constantFrom(...kinds),
    amount: fc.integer({ min: 1, max: 8 }),
  });
  return fc.record({ faults: fc.array(fault, { maxLength: faults }) });
}

/**
 * Runs something under one plan after the other, the first without a fault, until it throws or all have been tried; then makes
 * the plan simpler for as long as it throws. The plan of the error, given to `faulty`, shows it again.
 * @throws {@link FailedUnderFaults}
 */
export async function underFaults(run: (plan: FaultPlan) => Promise<void>, options: FaultSearch = {}): Promise<void> {
  const property = fc.asyncProperty(plans(options), run);
  const { runs = 100, seed } = options;
  const examples: [FaultPlan][] = [[{ faults: [] }]];
  const details = await fc.check(property, { numRuns: runs, examples, ...(seed === undefined ? {} : { seed }) });
  if (details.failed) throw new FailedUnderFaults(details.counterexample?.[0] ?? {}, details.errorInstance);
}
