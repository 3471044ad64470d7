import { setTimeout as sleep } from 'node:timers/promises';
import { decodeSeat, isAlive, loadWord, memberFields, memberLineOffset, type Seat, seatOffset } from '@exomem/core';
import { Crew, wasFenced } from './crew.js';
import { Ground } from './ground.js';
import { Scene } from './scene.js';
import type { VictimProcess } from './victims.js';
import { Nursery } from './victims.js';

export interface SeatOptions {
  /** How often whoever coordinates is ended or stopped. */
  readonly count: number;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
  readonly seed?: number;
  /** Milliseconds. */
  readonly lease?: number;
}

const MiB = 1024 * 1024;
/** Milliseconds after which what has not happened never will. */
const patience = 120_000;

/**
 * Ends, or stops, whoever grants groups in a region of the policy `message`, again and again: another takes its place, and goes on
 * from what the bytes say; nobody loses what it was told, and who was stopped says `Fenced`. How often somebody else took the seat.
 */
export async function emptySeats({ count, signal, seed = 1, lease = 2000 }: SeatOptions): Promise<number> {
  await using ground = await Ground.open({ lease, policy: 'message' });
  await using nursery = new Nursery('./worker.js', 1);
  await using scene = await Scene.open(ground, { bytes: 32 * MiB, steward: false });
  const crew = new Crew(scene, nursery, { seed, hold: MiB });
  await crew.hire(3);
  for (let round = 0; round < count; ) {
    const seat = await held(scene);
    const { members } = await scene.observer.members();
    const worker = crew.members.find(({ pid }) => pid === members[seat.slot]!.pid);
    // It has left, or was taken for dead, since we looked.
    if (worker === undefined) {
      await replaceEnded(crew);
      continue;
    }
    round++;
    worker.signal(signal);
    if (signal === 'SIGKILL') await worker.ended();
    await until(async () => (await held(scene)).term !== seat.term, 'nobody takes the seat');
    await othersGoOn(crew, worker);
    if (signal === 'SIGSTOP') {
      worker.signal('SIGCONT');
      await worker.ended();
      if (!wasFenced(worker)) throw new Error(`whoever was stopped in the seat went on to ${worker.end}`);
    }
    await crew.check([worker]);
    await replaceEnded(crew);
  }
  await crew.dismiss();
  const { term } = decodeSeat(await scene.observer.run(loadWord(seatOffset(scene.observer.geometry))));
  await scene.clear();
  return term - 1;
}

/** Who has the seat and is alive, as soon as somebody is. */
async function held(scene: Scene): Promise<Seat> {
  const { observer } = scene;
  let seat!: Seat;
  await until(async () => {
    seat = decodeSeat(await observer.run(loadWord(seatOffset(observer.geometry))));
    const w0 = memberLineOffset(observer.geometry, seat.slot) + memberFields.w0;
    return seat.incarnation !== 0 && isAlive(await observer.run(loadWord(w0)), seat.incarnation);
  }, 'nobody has the seat');
  return seat;
}

/** Those who are left do something more. */
async function othersGoOn(crew: Crew, but: VictimProcess): Promise<void> {
  const others = crew.members.filter((one) => one !== but);
  const before = others.map(({ told }) => told.length);
  const went = (): boolean => others.some(({ told }, at) => told.length > before[at]!);
  await until(async () => went() || others.every(({ end }) => end !== null), 'nobody goes on');
}

/** For whoever has ended: on a machine that is busy others are taken for dead, too. */
async function replaceEnded(crew: Crew): Promise<void> {
  const ended = crew.members.filter(({ end }) => end !== null);
  for (const one of ended) {
    wasFenced(one);
    crew.members.splice(crew.members.indexOf(one), 1);
  }
  if (ended.length > 0) await crew.hire(ended.length);
}

async function until(so: () => Promise<boolean>, otherwise: string): Promise<void> {
  for (const end = performance.now() + patience; !(await so()); await sleep(25)) {
    if (performance.now() > end) throw new Error(`${otherwise}, after ${patience} ms`);
  }
}
