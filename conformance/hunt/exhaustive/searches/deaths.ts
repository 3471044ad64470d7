import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** More than one dies. */
function deaths(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 3,
    groupPages: 1,
    members: 4,
    principals: 4,
    memberGrain: 4096,
    ...more,
    ...options,
  });
  act(plot);
  return plot;
}

export const deathSearches: readonly Subject[] = [
  {
    name: 'recoverer-dies',
    what: 'A takes a run; B declares it dead at any time and recovers it; C declares B dead at any time, recovers it, and then A; both A and B die anywhere',
    bound: { crashes: 2, losses: 0 },
    make: (options) =>
      deaths(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        a.allocates(2);
        b.recovers(0);
        c.recovers(1).recovers(0);
        plot.mortal.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'custodian-after-custodian',
    what: 'A has a file; B declares it dead at any time, recovers it and judges; C declares B dead at any time, recovers it, judges, and so with A; both A and B die anywhere',
    bound: { crashes: 2, losses: 0 },
    make: (options) =>
      deaths(options, { groups: 1, groupPages: 2, reserve: 6 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.unlinks('f');
        b.recovers(0).judges();
        c.recovers(1).recovers(0).judges();
        plot.mortal.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'two-principals',
    what: 'A allocates, and takes a run for an application of its own that dies with it; B declares it dead at any time, recovers it and allocates; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      deaths(options, { members: 3, principals: 5 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        plot.prepare(a.registers());
        a.allocates(1).allocatesInApplication(2);
        b.recovers(0).allocates(1);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'two-die',
    what: 'A and B each take a run of two of the three groups and free it; C declares each of them dead at any time and recovers it; both die anywhere',
    bound: { crashes: 2, losses: 0 },
    make: (options) =>
      deaths(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        a.allocates(2).frees();
        b.allocates(2).frees();
        c.recovers(0).recovers(1);
        plot.mortal.add(a.simulated).add(b.simulated);
      }),
  },
];
