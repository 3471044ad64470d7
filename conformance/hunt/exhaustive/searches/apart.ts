import { type AllocationPolicy, atomic, keepForever } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { keepsAll } from './adoption.js';
import { janitor } from './janitor.js';

/** As it is where a batch cannot stop at its first failure: what lies behind that is claimed, too. */
const policy: AllocationPolicy = {
  ...atomic,
  create: (context) => atomic.create({ ...context, stopOnFail: false }),
};

function apart(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 3,
    groupPages: 2,
    members: 3,
    principals: 3,
    policy,
    memberGrain: 4096,
    ...more,
    ...options,
  });
  act(plot);
  janitor(plot);
  return plot;
}

export const apartSearches: readonly Subject[] = [
  {
    name: 'extents-apart',
    what: 'batches cannot stop at a failure; A takes a run of two of three groups and frees it, B takes one; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      apart(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(3).frees();
        b.allocates(4);
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'extents-apart-recover',
    what: 'batches cannot stop at a failure; A takes a run over two groups and frees it, B declares it dead at any time, recovers it and takes a run; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      apart(options, { groupPages: 1, wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'extents-apart-adopt',
    what: 'batches cannot stop at a failure; A takes a run, frees it and takes it again; B declares it dead at any time, recovers it and adopts its application; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      apart(options, {}, (plot) => {
        const [a, b] = [plot.actor('A', { policy: keepForever }), plot.actor('B')];
        a.allocates(3).frees().allocates(3);
        b.recovers(0).adopts(1);
        plot.mortal.add(a.simulated);
        keepsAll(plot);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
];
