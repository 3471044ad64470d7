import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

function merging(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 2, groupPages: 4, reserve: 2, members: 4, principals: 4, ...more, ...options });
  act(plot);
  return plot;
}

export const mergingSearches: readonly Subject[] = [
  {
    name: 'receive-unlink',
    what: 'A with a file has left, B receives its principal and sweeps, C removes the name and beats; a reply of B is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      merging(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 2));
        plot.prepare(c.catchesUp().beats());
        plot.prepare(a.leaves());
        b.receives().sweeps();
        c.unlinks('f').beats();
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'receive-recover',
    what: 'A with a file has left, B receives its principal, C declares B dead at any time and recovers it; B dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      merging(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 2));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        plot.prepare(a.leaves());
        b.receives();
        c.recovers(1).tidiesPrincipals();
        plot.mortal.add(b.simulated);
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'give-and-leave',
    what: 'A, with a file in a started group, gives it to B, which leaves; C looks for words of nobody; a reply of A or B is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      merging(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 2));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.givesRoom(2, 1);
        b.discovers().leaves();
        c.scrubs();
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'give-and-use',
    what: 'A gives a started group to B and allocates; B allocates in it, judges and sweeps; C removes the file in it; a reply of A or B is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      merging(options, { groups: 1 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 2));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        a.givesRoom(2, 1).allocates(1);
        b.discovers().allocates(1).judges().sweeps();
        c.unlinks('f').beats();
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
];
