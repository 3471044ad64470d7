import { type AllocationPolicy, alignedTo, atomic, bestFit, firstFit, type Placement } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** The policy `atomic` with another choice. */
function placing(placement: Placement): AllocationPolicy {
  return { ...atomic, create: (context) => atomic.create({ ...context, placement }) };
}

function plot(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const made = new Plot({ groups: 3, groupPages: 2, members: 3, principals: 3, ...more, ...options });
  act(made);
  janitor(made);
  return made;
}

/** Where clients look for room, other than in the nearest place; the steps are the same, and what two of them meet at is not. */
export const placingSearches: readonly Subject[] = [
  {
    name: 'shortest-gap',
    what: 'a gap of two groups lies far from a longer one; A takes a run of two groups and frees it, B takes one; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      plot(options, { groups: 8, groupPages: 1, members: 4, principals: 4 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        // Groups 2 and 3 stay in use: free are 0 and 1, and those from 4 on.
        plot.prepare(c.allocates(4).allocates(2).frees());
        a.allocates(2).frees();
        b.allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  ...[firstFit, bestFit].flatMap((placement): Subject[] => [
    {
      name: `${placement.name}-allocate`,
      what: `${placement.name}: A and B allocate, allocate and free; A dies anywhere, a reply of either is lost`,
      bound: { crashes: 1, losses: 1 },
      make: (options) =>
        plot(options, { policy: placing(placement) }, (plot) => {
          const [a, b] = [plot.actor('A'), plot.actor('B')];
          a.allocates(1).allocates(2).frees();
          b.allocates(1).allocates(2).frees();
          plot.mortal.add(a.simulated);
          plot.lossy.add(a.simulated).add(b.simulated);
        }),
    },
    {
      name: `${placement.name}-extents`,
      what: `${placement.name}: A and B each take a run of two of three groups and free it; A dies anywhere, a reply of either is lost`,
      bound: { crashes: 1, losses: 1 },
      make: (options) =>
        plot(options, { policy: placing(placement) }, (plot) => {
          const [a, b] = [plot.actor('A'), plot.actor('B')];
          a.allocates(3).frees();
          b.allocates(3).frees();
          plot.mortal.add(a.simulated);
          plot.lossy.add(a.simulated).add(b.simulated);
        }),
    },
  ]),
  {
    name: 'aligned-extents',
    what: 'aligned: A takes a run of two of three groups and frees it, B takes a page and then a run; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      plot(options, { groupPages: 1, policy: placing(alignedTo(2 * 4096)) }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.allocates(1).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'no-place',
    what: 'a placement that finds nothing: A and B allocate a page, and A a run; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      plot(options, { policy: placing({ ...firstFit, name: 'none', place: () => -1 }) }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).allocates(3);
        b.allocates(1);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
];
