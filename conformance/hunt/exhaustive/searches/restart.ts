import { keepForever } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** The appliance ends at any time and begins anew, with its memory as it was and nothing else. */
function restarting(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 3, groupPages: 2, members: 3, principals: 3, ...more, ...options });
  act(plot);
  janitor(plot);
  return plot;
}

export const restartSearches: readonly Subject[] = [
  {
    name: 'restart-allocate',
    what: 'A and B allocate a page, and two, and free; the appliance begins anew at any time, A dies anywhere',
    bound: { crashes: 1, losses: 0, restarts: 1 },
    make: (options) =>
      restarting(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).allocates(2).frees();
        b.allocates(1).allocates(2).frees();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'restart-recover',
    what: 'A allocates a page and a run, B declares it dead at any time, recovers it and allocates; the appliance begins anew at any time, A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1, restarts: 1 },
    make: (options) =>
      restarting(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).allocates(3);
        b.recovers(0).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'restart-log',
    what: 'A appends and cuts a snapshot, B appends; the appliance begins anew at any time, A dies anywhere',
    bound: { crashes: 1, losses: 0, restarts: 1 },
    make: (options) =>
      restarting(options, { groups: 1, groupPages: 4, reserve: 4, logSlots: 4 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.appends().snapshots();
        b.appends();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'restart-custody',
    what: 'A makes a file, B declares it dead at any time, recovers it, judges and sweeps; the appliance begins anew at any time, A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1, restarts: 1 },
    make: (options) =>
      restarting(options, { groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.names('f', 2);
        b.recovers(0).judges().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'restart-adopt',
    what: 'A takes a run and frees it; B declares it dead at any time and adopts its application; the appliance begins anew at any time, A dies anywhere',
    bound: { crashes: 1, losses: 0, restarts: 1 },
    make: (options) =>
      restarting(options, { groupPages: 1 }, (plot) => {
        const [a, b] = [plot.actor('A', { policy: keepForever }), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).adopts(1);
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'restart-join',
    what: 'A joins and allocates, B declares whoever is in that slot dead at any time and recovers it; the appliance begins anew at any time, A dies anywhere',
    bound: { crashes: 1, losses: 0, restarts: 1 },
    make: (options) => {
      const plot = new Plot({ groups: 2, groupPages: 4, reserve: 2, members: 3, principals: 3, ...options });
      const b = plot.actor('B');
      janitor(plot);
      const a = plot.actor('A', { outside: true });
      a.joins().allocates(1);
      b.recovers(2);
      plot.mortal.add(a.simulated);
      return plot;
    },
  },
];
