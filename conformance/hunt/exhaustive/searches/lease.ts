import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/**
 * A lease is three ticks of a thousand milliseconds, by the clock of who has it. Who watches has one that runs half as fast again,
 * and waits for as much longer. Each step may take as long as it likes.
 */
function leased(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 1,
    members: 4,
    principals: 4,
    memberGrain: 4096,
    lease: 3000,
    wait: 4500,
    time: (client, clock) => clock * (client === 0 ? 1000 : 1500),
    ...more,
    ...options,
  });
  act(plot);
  return plot;
}

export const leaseSearches: readonly Subject[] = [
  {
    name: 'lease',
    what: 'A beats twice, B looks twice who stands still, and declares it dead; the clock goes six ticks far, that of B faster; a reply of A is lost',
    bound: { crashes: 0, losses: 1, ticks: 6 },
    make: (options) =>
      leased(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        a.beats().beats();
        b.watches().watches();
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'lease-joining',
    what: 'A joins and beats meanwhile, B looks twice who stands still; the clock goes three ticks far, that of B faster; a reply of A is lost',
    bound: { crashes: 0, losses: 1, ticks: 3 },
    make: (options) => {
      return leased(
        options,
        { members: 3, principals: 3, time: (client, clock) => clock * (client === 2 ? 1000 : 1500) },
        (plot) => {
          const b = plot.actor('B');
          janitor(plot);
          const a = plot.actor('A', { outside: true, concurrency: 2 });
          a.joinsByTwoLanes();
          b.watches().watches();
          plot.lossy.add(a.simulated);
        },
      );
    },
  },
];
