import { keepForever } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/**
 * Clients that change the table under its lock. Who waits for it may take the holder for one that has stopped at any of its
 * steps, so often as the bound says; the holder goes on at any time, or never.
 */
function locking(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 2,
    groupPages: 1,
    members: 3,
    principals: 3,
    memberGrain: 4096,
    locked: true,
    ...more,
    ...options,
  });
  act(plot);
  janitor(plot);
  return plot;
}
const four = { members: 4, principals: 4 };

export const lockedSearches: readonly Subject[] = [
  {
    name: 'lock-two',
    what: 'under the lock, A and B allocate and free; who waits passes the other over as if it had stopped, once; A dies anywhere',
    bound: { crashes: 1, losses: 0, expiries: 1 },
    make: (options) =>
      locking(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).frees();
        b.allocates(1).frees();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'lock-stopped',
    what: 'under the lock, A takes a run and frees it, B takes one; each may be passed over as if it had stopped, twice in all',
    bound: { crashes: 0, losses: 0, expiries: 2 },
    make: (options) =>
      locking(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.allocates(2);
      }),
  },
  {
    name: 'lock-lost',
    what: 'under the lock, A allocates and frees, B allocates; a reply of either is lost, late or never',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      locking(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).frees();
        b.allocates(1);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'lock-recover',
    what: 'under the lock, A takes a run and frees it, B declares it dead at any time, recovers it and takes a run; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      locking(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'lock-redo',
    what: 'under the lock, A takes a run; B wants a page, C looks, and each does what another had committed who stands still; A and B die anywhere',
    bound: { crashes: 2, losses: 0 },
    make: (options) =>
      locking(options, { ...four, groups: 3 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(2);
        b.allocates(1);
        c.discovers();
        for (const { simulated } of [a, b]) plot.mortal.add(simulated);
      }),
  },
  {
    name: 'lock-redo-lost',
    what: 'under the lock, A frees a page and dies anywhere; B and C look, and do what A had committed; a reply of B is lost, late or never; who waits passes a holder over as if it had stopped, once',
    bound: { crashes: 1, losses: 1, expiries: 1 },
    make: (options) =>
      locking(options, four, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(1));
        a.frees();
        b.discovers();
        c.discovers();
        plot.mortal.add(a.simulated);
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'lock-adopt',
    what: 'under the lock, A, an application, frees a page; B declares it dead at any time and adopts it; C looks; who waits passes a holder over as if it had stopped, once; A dies anywhere',
    bound: { crashes: 1, losses: 0, expiries: 1 },
    make: (options) =>
      locking(options, { ...four, groupPages: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(1));
        plot.prepare(a.allocates(1));
        a.frees();
        b.recovers(0).adopts(1);
        c.discovers();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'lock-late',
    what: 'under the lock, A frees a page and takes one in the same group, twice; two replies of A are lost, late or never',
    bound: { crashes: 0, losses: 2 },
    make: (options) =>
      locking(options, { groups: 1, groupPages: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.allocates(1));
        plot.prepare(a.allocates(1));
        a.frees().allocates(1).frees();
        b.discovers();
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'lock-living',
    what: 'under the lock, A frees a page and takes one, B and C each want one, in the same group for all; who waits passes a holder over as if it had stopped, twice in all',
    bound: { crashes: 0, losses: 0, expiries: 2 },
    make: (options) =>
      locking(options, { ...four, groups: 1, groupPages: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(1));
        plot.prepare(a.allocates(1));
        a.frees().allocates(1);
        b.discovers();
        c.discovers();
      }),
  },
  {
    name: 'lock-slot',
    what: 'under the lock, A, an application, takes a run; B recovers it; C joins in its slot and allocates; A dies anywhere, and B',
    bound: { crashes: 2, losses: 0, expiries: 1 },
    make: (options) =>
      locking(options, { members: 3, principals: 4, groups: 3 }, (plot) => {
        const [a, b] = [plot.actor('A', { policy: keepForever }), plot.actor('B')];
        const c = plot.actor('C', { outside: true });
        a.allocates(2);
        b.recovers(0);
        c.joins().allocates(1);
        plot.mortal.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'lock-torn',
    what: 'under the lock, A takes a run and frees it, B takes one; redo records are written and read a part at a time; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      locking(options, { recordGrain: 48, redoBytes: 256 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.allocates(2);
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'lock-custody',
    what: 'under the lock, A makes a file of two pages, B declares it dead at any time, recovers it, judges and sweeps; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      locking(options, { groupPages: 4, reserve: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.names('f', 2);
        b.recovers(0).judges().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'lock-give',
    what: 'under the lock, A gives a group with its file in it to B, which looks at its words; A is declared dead by C at any time and recovered; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      locking(options, { ...four, groupPages: 4, reserve: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.names('f', 2));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.givesRoom(2, 1);
        b.discovers();
        c.recovers(0).scrubs();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'lock-hand-over',
    what: 'under the lock, A with a file leaves and hands it to B, which receives it; C declares A dead at any time and recovers it; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      locking(options, { ...four, groupPages: 4, reserve: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.names('f', 1));
        plot.prepare(b.catchesUp());
        a.leaves();
        b.receives();
        c.recovers(0).tidiesPrincipals();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'lock-snapshot',
    what: 'under the lock, A cuts a snapshot; B declares it dead at any time, recovers it and cuts one; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      locking(options, { groupPages: 4, reserve: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.snapshots();
        b.recovers(0).snapshots();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'lock-wait',
    what: 'nobody can be shut out; under the lock, A takes a run and frees it, B declares it dead at any time, recovers it, takes a run and looks for words of the dead; who waits passes the other over as if it had stopped, once; A dies anywhere',
    bound: { crashes: 1, losses: 0, expiries: 1 },
    make: (options) =>
      locking(options, { exclusion: 'wait' }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).allocates(2).scrubs();
        plot.mortal.add(a.simulated);
      }),
  },
];
