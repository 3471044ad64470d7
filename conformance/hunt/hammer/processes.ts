import { setTimeout as sleep } from 'node:timers/promises';
import { FaultyLink, type HistoryCall, type HistoryEvent } from '@exomem/conformance';
import { Ground } from '../ground.js';
import { chances } from '../pattern.js';
import { Scene } from '../scene.js';
import { Nursery, type VictimProcess } from '../victims.js';
import type { Strike } from './striker.js';

export interface ProcessOptions {
  readonly kind: Strike['kind'];
  readonly seed: number;
  /** Processes at a time. Default 3. */
  readonly processes?: number;
  /** How often something is done to one of them: it is killed, stopped for a while, or cut off. Default 8. */
  readonly blows?: number;
  /** Milliseconds. Default 1,000. */
  readonly lease?: number;
}

const MiB = 1024 * 1024;

/** A process at work, and the piece of network that it works through. */
interface Working {
  readonly victim: VictimProcess;
  readonly link: FaultyLink;
  /** When the first signal reached it. */
  struck: bigint | undefined;
}

/** Processes that change words, or allocate and free, over TCP, while they are killed, stopped and cut off at random. What they did. */
export async function hammerProcesses(options: ProcessOptions): Promise<HistoryEvent[]> {
  const { kind, seed, processes = 3, blows = 8, lease = 1_000 } = options;
  const chance = chances(seed);
  await using ground = await Ground.open({ lease });
  await using nursery = new Nursery('./hammer/striker.js', 1);
  await using scene = await Scene.open(ground, { bytes: kind === 'words' ? 6 * MiB : 2 * MiB, steward: true });
  const there = new URL(scene.url);
  const offsets = kind === 'words' ? await wordsFor(scene) : [];
  const all: Working[] = [];
  const hire = async (): Promise<Working> => {
    const number = all.length + 1;
    const link = await FaultyLink.open({ host: there.hostname, port: Number(there.port) });
    const url = Object.assign(new URL(scene.url), { host: `127.0.0.1:${link.port}` }).href;
    const victim = await nursery.take();
    const strike: Strike = { kind, url, client: `process ${number}`, number, seed: seed * 31 + number, offsets };
    victim.send(strike);
    const working = { victim, link, struck: undefined };
    all.push(working);
    if (!(await victim.hears('joined'))) throw new Error(`a striker did not join: ${why(victim)}`);
    return working;
  };
  try {
    const working: Working[] = [];
    for (let left = processes; left > 0; left -= 1) working.push(await hire());
    for (let left = blows; left > 0; left -= 1) {
      await sleep(20 + chance() * 120);
      const at = Math.floor(chance() * processes);
      await strikeAt(working[at]!, chance(), kind === 'memory' && chance() < 0.3 ? 3 * lease : chance() * 60);
      // One that is dead, or was declared dead, has a successor.
      if (working[at]!.victim.end !== null || told(working[at]!.victim, 'fenced')) working[at] = await hire();
    }
    await sleep(100);
    for (const { victim } of working) victim.send({ stop: true });
    for (const { victim } of working) await victim.ended();
    return all.flatMap((one) => eventsOf(one));
  } finally {
    await nursery.close();
    await Promise.all(all.map(({ link }) => link.close()));
  }
}

/** Some words of an allocation that nobody else has. */
async function wordsFor(scene: Scene): Promise<number[]> {
  const client = await scene.join('keeper of the words');
  const { offset } = await client.allocate(4096);
  return [offset, offset + 8];
}

async function strikeAt(working: Working, what: number, pause: number): Promise<void> {
  const { victim, link } = working;
  if (what < 0.35) {
    link.cut();
    return;
  }
  working.struck ??= process.hrtime.bigint();
  if (what < 0.65) {
    await victim.kill();
    return;
  }
  victim.signal('SIGSTOP');
  await sleep(pause);
  victim.signal('SIGCONT');
}

/** What a striker told, what it was about when it died, and what becomes of what it held: anybody may free that, at any time. */
function eventsOf({ victim, struck }: Working): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  const open = new Map<string, HistoryCall & Pick<HistoryEvent, 'client' | 'start'>>();
  for (const fact of victim.told) {
    if (fact.note === 'failed') throw new Error(`a striker failed: ${String(fact['what'])}`);
    if (fact.note === 'begun') {
      const call = fact['call'] as HistoryCall & Pick<HistoryEvent, 'client' | 'start'>;
      open.set(call.start, call);
    }
    if (fact.note !== 'event') continue;
    const event = fact['event'] as HistoryEvent;
    open.delete(event.start);
    events.push(event);
  }
  for (const call of open.values()) events.push({ ...call, result: null, end: null, outcome: 'unknown' });
  if (told(victim, 'over')) return events;
  const held = new Map<number, HistoryEvent>();
  for (const event of events) {
    if (event.outcome !== 'ok') continue;
    if (event.op === 'allocate') held.set(event.result as number, event);
    if (event.op === 'free') held.delete(event.offset!);
  }
  // It was alive at the start of what was answered last, and when it was struck first; others may free what it held after that.
  const last = events.findLast(({ outcome }) => outcome === 'ok')?.start ?? '0';
  const start = struck === undefined || struck > BigInt(last) ? last : String(struck);
  for (const [offset, { length }] of held) {
    events.push({ client: 'recovery', op: 'free', offset, length, result: null, start, end: null, outcome: 'unknown' });
  }
  return events;
}

const told = (victim: VictimProcess, note: string): boolean => victim.told.some((fact) => fact.note === note);
const why = (victim: VictimProcess): string => String(victim.told.at(-1)?.['what'] ?? victim.end);
