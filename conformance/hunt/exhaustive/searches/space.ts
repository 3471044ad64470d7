import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** Clients that take and give back pages, with others that declare the first one dead, rightly or not. */
function space(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 3, groupPages: 2, members: 3, principals: 3, ...more, ...options });
  act(plot);
  janitor(plot);
  return plot;
}

export const spaceSearches: readonly Subject[] = [
  {
    name: 'allocate',
    what: 'A and B allocate, allocate and free; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).allocates(2).frees();
        b.allocates(1).allocates(2).frees();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'allocate-recover',
    what: 'A allocates, allocates and frees, B declares it dead at any time, recovers it and allocates; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).allocates(1).frees();
        b.recovers(0).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'extent-recover',
    what: 'A takes a run over two groups and frees it, B declares it dead at any time, recovers it and takes a run; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { groups: 3, groupPages: 1, wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'two-recoverers',
    what: 'A allocates a page and a run; B and C each declare it dead at any time and recover it, and B allocates; one of the three dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 3, groupPages: 1, memberGrain: 4096 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(1).allocates(2);
        b.recovers(0).allocates(1);
        c.recovers(0);
        for (const { simulated } of [a, b, c]) plot.mortal.add(simulated);
      }),
  },
  {
    name: 'three-clients',
    what: 'A allocates a run of two groups, B a page and C two pages, with three groups for all; A dies anywhere, a reply is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 3, groupPages: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(3);
        b.allocates(1);
        c.allocates(2);
        for (const { simulated } of [a, b, c]) plot.lossy.add(simulated);
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'lost-twice',
    what: 'A allocates twice, B allocates and frees, C allocates, each with a group of its own to find: who loses two races looks about itself; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 4, groupPages: 1 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(1).allocates(1);
        b.allocates(1).frees();
        c.allocates(1);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'scrub',
    what: 'A allocates twice, B declares it dead and recovers it, C looks for words of the dead and allocates; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 3, groupPages: 1, memberGrain: 4096 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(1).allocates(1);
        b.recovers(0);
        c.scrubs().allocates(1);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'extents',
    what: 'A and B each take a run of two of three groups, free it, and take it again; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      space(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(3).frees().allocates(3);
        b.allocates(3).frees().allocates(3);
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'extents-lost',
    what: 'A and B each take a run of two of three groups and free it; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(3).frees();
        b.allocates(3).frees();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'recover-of-three',
    what: 'A allocates, frees and takes a run; B declares it dead at any time, recovers it, allocates and frees; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).frees().allocates(3);
        b.recovers(0).allocates(1).frees();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'extent-of-three',
    what: 'A takes a run, frees it and takes it again; B declares it dead at any time, recovers it, takes a run and frees it; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { groupPages: 1 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees().allocates(2);
        b.recovers(0).allocates(2).frees();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'scrub-of-three',
    what: 'A allocates, frees and takes a run; B declares it dead at any time, recovers it, looks for words of the dead and takes a run; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { groupPages: 1 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).frees().allocates(2);
        b.recovers(0).scrubs().allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'three-free',
    what: 'A frees a run of two groups, B and C a page each of their groups; one of them dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 4, groupPages: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(3));
        for (const one of [b, c]) plot.prepare(one.allocates(1));
        for (const one of [a, b, c]) {
          one.frees();
          plot.lossy.add(one.simulated);
          plot.mortal.add(one.simulated);
        }
      }),
  },
  {
    name: 'three-recover',
    what: 'A takes a run; B and C each declare it dead at any time and recover it; one of the three dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 3, groupPages: 1, memberGrain: 4096 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(2);
        b.recovers(0);
        c.recovers(0);
        for (const { simulated } of [a, b, c]) plot.mortal.add(simulated);
      }),
  },
  {
    name: 'three-recover-lost',
    what: 'A, which holds a run, is dead; B and C each declare it dead and recover it; a reply of B is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 3, groupPages: 1, memberGrain: 4096 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(2));
        plot.simulation.perform({ kind: 'crash', client: a.simulated });
        b.recovers(0);
        c.recovers(0);
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'three-scrub',
    what: 'A takes a run; B declares it dead at any time and recovers it; C looks for words of the dead; one of the three dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { members: 4, principals: 4, groups: 3, groupPages: 1, memberGrain: 4096 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(2);
        b.recovers(0);
        c.scrubs();
        for (const { simulated } of [a, b, c]) {
          plot.mortal.add(simulated);
          plot.lossy.add(simulated);
        }
      }),
  },
  {
    name: 'custody',
    what: 'A makes a file of two pages and allocates, B declares it dead at any time, recovers it, judges and sweeps; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      space(options, { groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.names('f', 2).allocates(1);
        b.recovers(0).judges().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
];
