// uvu looks at UVU_DEFER once, when it is loaded: its suites then only queue themselves, and `suite.ts` runs them. Left
// to itself it starts on a timer, and runs tests twice when a second suite comes after the first has begun.
const shared = globalThis as { UVU_DEFER?: number; UVU_QUEUE?: unknown[][] };
shared.UVU_DEFER = 1;
shared.UVU_QUEUE ??= [[]];

export const { suite: uvuSuite } = await import('uvu');

/** Runs a suite. Answers what to print about failures; the counts beside it are kept elsewhere. */
type Task = () => Promise<[errors: string | true, ...counts: number[]]>;

/** Takes the suite that was queued last. */
export function queued(): Task {
  return shared.UVU_QUEUE![0]!.pop() as Task;
}
