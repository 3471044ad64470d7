import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** There is the file `f`, and several write to it. */
function files(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 3, groupPages: 1, reserve: 8, members: 4, principals: 4, ...more, ...options });
  act(plot);
  return plot;
}

export const fileSearches: readonly Subject[] = [
  {
    name: 'fill-fill',
    what: 'a file has a hole; A and B each give a page to it, and whoever comes second writes into the page of the first; then both read; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      files(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        plot.prepare(a.names('f', 0));
        plot.prepare(b.catchesUp());
        a.fills('f', 0).reads('f');
        b.fills('f', 0).reads('f');
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'fill-fence',
    what: 'a file has a hole; A and B each give a page to it; C declares A dead at any time, recovers it, judges and sweeps; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      files(options, { groups: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(b.names('f', 0));
        for (const one of [a, c]) plot.prepare(one.catchesUp());
        a.fills('f', 0);
        b.fills('f', 0);
        c.recovers(0).judges();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'fill-truncate',
    what: 'a file has a hole; A gives a page to it, and reads it; B truncates the file and gives a page to it again; a reply of either is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      files(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        plot.prepare(a.names('f', 0));
        plot.prepare(b.catchesUp());
        a.fills('f', 0).reads('f').catchesUp().beats().sweeps();
        b.truncates('f', 0).fills('f', 0).beats();
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'write-and-reuse',
    what: 'A writes to a page of a file of B, follows and beats meanwhile; B truncates the file, sweeps and allocates anew; a reply of A is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      files(options, { groups: 1, members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A', { concurrency: 2 }), plot.actor('B')];
        janitor(plot);
        plot.prepare(b.names('f', 1));
        plot.prepare(a.catchesUp().beats());
        a.writes('f', 0).catchesUp().beats();
        b.truncates('f', 0).sweeps().allocates(1, true);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'held-back',
    what: 'A has a file of two pages; B looks it up and reads both, follows and beats twice meanwhile; A removes it, sweeps and allocates anew; a reply of B is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      files(options, { groups: 1, groupPages: 4, reserve: 2, members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B', { concurrency: 2 })];
        janitor(plot);
        plot.prepare(a.names('f', 2));
        plot.prepare(b.catchesUp().beats());
        a.unlinks('f').sweeps().allocates(4, true);
        b.reads('f').catchesUp().beats().beats();
        plot.lossy.add(b.simulated);
      }),
  },
];
