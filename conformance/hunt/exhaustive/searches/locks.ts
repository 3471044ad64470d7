import type { Actor } from '../actor.js';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** A lock by name, which A has made and B (and C) have seen. */
function lock(options: PlotOptions, more: PlotOptions, act: (plot: Plot, ...actors: Actor[]) => void): Plot {
  const shape = { groups: 1, groupPages: 4, reserve: 2, members: 3, principals: 3 };
  const plot = new Plot({ ...shape, ...more, ...options });
  const actors = ['A', 'B', 'C'].slice(0, (more.members ?? 3) - 1).map((name) => plot.actor(name));
  const [a, ...others] = actors;
  plot.prepare(a!.makesLock('l'));
  for (const one of others) plot.prepare(one.catchesUp());
  act(plot, ...actors);
  janitor(plot);
  return plot;
}

export const lockSearches: readonly Subject[] = [
  {
    name: 'lock',
    what: 'A and B each take a lock by name if it can be had, write under it, give it back and take it again; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lock(options, {}, (plot, ...actors) => {
        for (const one of actors) {
          one.takes('l').works('l').gives('l').takes('l');
          plot.lossy.add(one.simulated);
        }
        plot.mortal.add(actors[0]!.simulated);
      }),
  },
  {
    name: 'lock-of-the-dead',
    what: 'A takes a lock by name, writes under it and gives it back; B declares it dead at any time, takes the lock, which it must get, writes, gives it back, recovers A and takes it again; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lock(options, {}, (plot, ...actors) => {
        const [a, b] = actors as [Actor, Actor];
        a.takes('l').works('l').gives('l');
        b.declaresDead(0).takes('l', true).works('l').gives('l').recovers(0).takes('l', true);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'lock-of-three',
    what: 'A takes a lock by name, writes under it and gives it back; C declares it dead at any time; B and C each take the lock if it can be had, write and give it back; A dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lock(options, { members: 4, principals: 4 }, (plot, ...actors) => {
        const [a, b, c] = actors as [Actor, Actor, Actor];
        a.takes('l').works('l').gives('l');
        b.takes('l').works('l').gives('l');
        c.declaresDead(0).takes('l').works('l').gives('l');
        plot.mortal.add(a.simulated);
        for (const { simulated } of actors) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'wait-lock',
    what: 'nobody can be shut out; A takes a lock by name, writes under it and gives it back; B declares it dead at any time, takes the lock, which it must get, writes and gives it back; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lock(options, { exclusion: 'wait' }, (plot, ...actors) => {
        const [a, b] = actors as [Actor, Actor];
        a.takes('l').works('l').gives('l');
        b.declaresDead(0).takes('l', true).works('l').gives('l');
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
];
