import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

function lanes(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 2, groupPages: 2, reserve: 4, members: 3, principals: 3, ...more, ...options });
  act(plot);
  return plot;
}

/** A client whose heartbeat has a lane of its own, which shares with the other what it knows and nothing else. */
export const laneSearches: readonly Subject[] = [
  {
    name: 'two-lanes',
    what: 'A allocates and frees by one lane and beats by another; B declares it dead at any time, recovers it and allocates; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lanes(options, {}, (plot) => {
        const [a, b] = [plot.actor('A', { concurrency: 2 }), plot.actor('B')];
        janitor(plot);
        a.allocates(1).beats(1).frees();
        b.recovers(0).allocates(1);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'two-lanes-append',
    what: 'A appends by one lane and beats by another, and once more after that; B removes a file; a reply of A is lost on either lane',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      lanes(options, {}, (plot) => {
        const [a, b] = [plot.actor('A', { concurrency: 2 }), plot.actor('B')];
        janitor(plot);
        plot.prepare(b.names('f', 0));
        a.appends().beats(1).beats(1, true);
        b.unlinks('f');
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'join-by-two-lanes',
    what: 'A joins, binds its second lane, beats by it while it reads the log by the first, becomes active and registers; B declares whoever is in that slot dead at any time and recovers it; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lanes(options, {}, (plot) => {
        const b = plot.actor('B');
        janitor(plot);
        const a = plot.actor('A', { outside: true, concurrency: 2 });
        plot.prepare(b.names('f', 0));
        a.joinsByTwoLanes();
        b.recovers(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
];
