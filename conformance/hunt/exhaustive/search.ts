import { createHash } from 'node:crypto';
import { type Action, Execution, type SimulatedClient, type Simulation } from '@exomem/conformance/simulator';

/** A small world from its beginning, and what must be true of it. */
export interface World {
  readonly simulation: Simulation;
  /** Who may die. */
  readonly mortal: ReadonlySet<SimulatedClient>;
  /** Whose replies may be lost. */
  readonly lossy: ReadonlySet<SimulatedClient>;
  /** All of the memory, and all that the judgement of the future depends on beside the simulation. */
  fingerprint(): string;
  /** Something happened. @throws what is wrong, if `judge` */
  after(actor: SimulatedClient, judge: boolean): void;
  /** Nobody has anything left to do. @throws what is wrong */
  finish(): void;
}

export interface Bound {
  readonly crashes: number;
  /** Replies that are lost; what was on its way happens at once, later, by half, or never. */
  readonly losses: number;
}

export interface Searched {
  readonly states: number;
  readonly ends: number;
  /** The longest way to an end, in steps. */
  readonly depth: number;
  readonly milliseconds: number;
  /** Every way was gone. If not, this was a bounded hunt. */
  readonly complete: boolean;
}

/** A way that ends badly: the number of the choice at each step. */
export class Found extends Error {
  override readonly name = 'Found';
  constructor(
    readonly path: readonly number[],
    readonly states: number,
    cause: unknown,
  ) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

type Choice = Action | 'end';
type Left = { -readonly [Key in keyof Bound]: number };

/**
 * Goes every way that a world can go: every order of the steps of its clients, with at most so many faults, wherever they can
 * happen. Generators cannot be copied, so a way is gone again from its beginning wherever it forks; a client's state is
 * what it has been told so far, and a state that was met before is not followed twice.
 *
 * A step in which no other client has a part (the start of an operation, a drain when nothing is on its way) is taken
 * before anything else: every order of the others leads to the same states behind it.
 * @param limit states after which it stops @throws {@link Found}
 */
export function search(make: () => World, bound: Bound, limit = Number.POSITIVE_INFINITY): Searched {
  const seen = new Set<string>();
  const forks: Uint8Array[] = [new Uint8Array()];
  const start = performance.now();
  // Lost replies are errors, by the million, and nobody looks at where they were made.
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  let ends = 0;
  let depth = 0;
  const searched = (complete: boolean): Searched => {
    Error.stackTraceLimit = stackTraceLimit;
    return { states: seen.size, ends, depth, milliseconds: performance.now() - start, complete };
  };
  let chance = 1;
  /** The last fork; or, where not all can be seen, any of them: what is seen is then seen from everywhere. */
  const next = (): Uint8Array | undefined => {
    if (limit === Number.POSITIVE_INFINITY || forks.length < 2) return forks.pop();
    chance = (Math.imul(chance, 1_664_525) + 1_013_904_223) >>> 0;
    const at = Math.floor((chance / 2 ** 32) * forks.length);
    const fork = forks[at]!;
    const last = forks.pop()!;
    if (at < forks.length) forks[at] = last;
    return fork;
  };
  for (let fork = next(); fork !== undefined; fork = next()) {
    const path = [...fork];
    let world: World | undefined;
    try {
      const left: Left = { ...bound };
      world = make();
      for (const [at, choice] of path.entries()) {
        perform(world, choices(world, left)[choice]!, left, at === path.length - 1);
      }
      for (;;) {
        const all = choices(world, left);
        if (all.length === 0) throw new Error('nobody can go on, and not all is done');
        if (all.length > 1 || all[0] === 'end') {
          const key = digest(`${world.fingerprint()}|${left.crashes}|${left.losses}`);
          if (seen.has(key)) break;
          if (seen.size >= limit) return searched(false);
          seen.add(key);
        }
        for (let choice = all.length - 1; choice > 0; choice--) forks.push(Uint8Array.from([...path, choice]));
        path.push(0);
        if (all[0] === 'end') {
          ends++;
          depth = Math.max(depth, path.length);
          world.finish();
          break;
        }
        perform(world, all[0]!, left, true);
      }
    } catch (error) {
      Error.stackTraceLimit = stackTraceLimit;
      throw new Found(path, seen.size, error);
    }
  }
  return searched(true);
}

/** Goes one way again. What is wrong at its end is thrown once more. */
export function retrace(world: World, path: readonly number[], bound: Bound): void {
  const left: Left = { ...bound };
  for (const choice of path) {
    const chosen = choices(world, left)[choice]!;
    if (chosen === 'end') world.finish();
    else perform(world, chosen, left, true);
  }
}

function perform(world: World, choice: Choice, left: Left, judge: boolean): void {
  if (choice === 'end') throw new Error('an end has no continuation');
  const { simulation } = world;
  const actor = 'task' in choice ? choice.task.client : choice.client;
  if (choice.kind === 'lose') left.losses--;
  if (choice.kind === 'crash') {
    left.crashes--;
    // What it had sent is on its way still, unless somebody shut it out.
    for (const { pending } of actor.tasks) {
      if (actor.fenced || !(pending instanceof Execution) || !pending.changes) continue;
      pending.abandon();
      actor.limbo.push(pending);
    }
  }
  simulation.perform(choice);
  for (const client of simulation.clients) if (client.told.length > 40) client.told = digest(client.told);
  world.after(actor, judge);
}

function choices(world: World, left: Left): Choice[] {
  const { simulation, mortal, lossy } = world;
  const actions = simulation.actions();
  for (const action of actions) if (isPrivate(simulation, action)) return [action];
  if (simulation.quiet) return ['end', ...actions];
  const faults: Choice[] = [];
  for (const client of simulation.clients) {
    if (client.dead) continue;
    if (left.crashes > 0 && mortal.has(client)) faults.push({ kind: 'crash', client });
    if (left.losses === 0 || client.fenced || !lossy.has(client)) continue;
    for (const task of client.tasks) {
      const { pending } = task;
      // A read whose reply is lost is read again, and nothing else: that of a change is what matters.
      if (pending instanceof Execution && pending.steps.some(({ op }) => op !== 'load' && op !== 'read')) {
        faults.push({ kind: 'lose', task, pieces: 0 });
      }
    }
  }
  return [...actions, ...faults];
}

/** Whether an action leaves no trace that another client could see, and sees none of others. */
function isPrivate(simulation: Simulation, action: Action): boolean {
  if (action.kind === 'begin') return action.client.tasks.length === 0;
  if (action.kind !== 'step') return false;
  const { client, pending } = action.task;
  // Operations of one client share what it knows.
  if (client.tasks.length > 1) return false;
  if (pending === undefined || pending instanceof Execution) return false;
  switch (pending.op) {
    case 'pause':
      return true;
    case 'drain':
    case 'renew':
      return client.limbo.length === 0;
    case 'revoke': {
      const { slot, incarnation } = pending.member;
      const bound = simulation.clients.filter(
        ({ binding }) => binding?.slot === slot && binding.incarnation === incarnation,
      );
      return bound.every(({ fenced, limbo }) => fenced && limbo.length === 0);
    }
    default:
      return false;
  }
}

function digest(text: string): string {
  return createHash('sha1').update(text, 'latin1').digest('base64');
}
