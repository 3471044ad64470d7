import { keepForever } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { keepsAll } from './adoption.js';
import { janitor } from './janitor.js';

/** Clients that take several runs at once, and give them back at once. */
function many(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 3,
    groupPages: 2,
    members: 3,
    principals: 3,
    memberGrain: 4096,
    ...more,
    ...options,
  });
  act(plot);
  janitor(plot);
  return plot;
}

export const manySearches: readonly Subject[] = [
  {
    name: 'many',
    what: 'A takes two pages and B two runs of two at once, with three groups for both, and each frees them; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      many(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocatesMany(3, 1).freesMany();
        b.allocatesMany(2, 2).freesMany();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'many-refused',
    what: 'A and B each want two of three groups at once, and free them; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      many(options, { groupPages: 1 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocatesMany(2, 1).freesMany();
        b.allocatesMany(2, 1).freesMany();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'many-again',
    what: 'A, which has a page, takes three more at once, zeroed where it has written, frees all and takes three; B takes a page and frees it; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      many(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.allocates(1));
        a.allocatesMany(3, 1, true).freesMany().allocatesMany(3, 1, true);
        b.allocates(1).frees();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'many-recover',
    what: 'A takes three pages at once and frees them; B declares it dead at any time, recovers it and takes two runs at once; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      many(options, { wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocatesMany(3, 1).freesMany();
        b.recovers(0).allocatesMany(2, 2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'many-adopt',
    what: 'A takes three pages at once, frees them and takes two; B declares it dead at any time, recovers it and adopts its application; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      many(options, {}, (plot) => {
        const [a, b] = [plot.actor('A', { policy: keepForever }), plot.actor('B')];
        a.allocatesMany(3, 1).freesMany().allocatesMany(2, 2);
        b.recovers(0).adopts(1);
        plot.mortal.add(a.simulated);
        keepsAll(plot);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'wait-many',
    what: 'nobody can be shut out; A takes three pages at once and frees them; B declares it dead at any time, recovers it and takes two runs at once; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      many(options, { exclusion: 'wait' }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocatesMany(3, 1).freesMany();
        b.recovers(0).allocatesMany(2, 2);
        plot.mortal.add(a.simulated);
      }),
  },
];
