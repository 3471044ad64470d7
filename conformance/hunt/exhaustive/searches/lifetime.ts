import { decodePrincipal, keepForever, principalState } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** A has made the file `f`, which ends with it. */
function lifetime(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 2, groupPages: 4, reserve: 2, members: 4, principals: 4, ...more, ...options });
  act(plot);
  return plot;
}

/** Whoever acts for the application of A, or adopts it, has its file. */
function hasAll(plot: Plot): void {
  plot.atEnd = {
    id: 'R3',
    sentence: 'An application that is there has the files that end with it.',
    from: 'bytes',
    check: (moment) => {
      const { state } = decodePrincipal(moment.principalWord(1));
      const there = state === principalState.active || state === principalState.adopting;
      return there && !moment.seen.names.has('f') ? 'the file of an adopted application is gone' : undefined;
    },
  };
}

export const lifetimeSearches: readonly Subject[] = [
  {
    name: 'owner-makes',
    what: 'A makes a file that ends with it, and removes it; B declares it dead at any time, recovers it, judges and sweeps; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        a.owns('f', 1).unlinks('f');
        b.recovers(0).judges().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'owner-dies-read',
    what: 'A has a file that ends with it, and that B has open; C declares A dead at any time, recovers it, judges and sweeps; B keeps the file, reads it and lets it go; A dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, { groups: 1 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        plot.prepare(b.opens('f'));
        a.sweeps();
        b.keeps().beats().readsOpen();
        c.recovers(0).judges().beats().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'owner-dies-overwritten',
    what: 'A has a file that ends with it; B gives the name to a file of its own, and back; C declares A dead at any time and recovers it; A makes another one; A dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        plot.prepare(b.names('g', 1));
        plot.prepare(c.catchesUp().beats());
        a.owns('h', 0);
        b.renames('f', 'e').renames('g', 'f');
        c.recovers(0).judges();
        plot.mortal.add(a.simulated);
        plot.lossy.add(b.simulated);
        // Whoever has ended, the file of B stays: under one name or the other.
        plot.atEnd = {
          id: 'R3',
          sentence: 'What does not end with its owner stays.',
          from: 'bytes',
          check: ({ seen: { names } }) => {
            const lasting = ['f', 'g'].filter((name) => names.has(name) && names.get(name) === undefined);
            return lasting.length === 1 ? undefined : `of the file of B there are the names ${lasting.join()}`;
          },
        };
      }),
  },
  {
    name: 'owner-leaves',
    what: 'A leaves, and has a file that ends with it and that B has open; B keeps it, reads it, and receives what A hands over; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, { groups: 1, members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        plot.prepare(b.catchesUp().beats().opens('f'));
        a.leaves();
        b.keeps().beats().readsOpen().receives().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'owner-leaves-linked',
    what: 'A leaves, and has a file that ends with it; B renames it and looks for strays, C receives what A hands over and cuts a snapshot; A dies anywhere, a reply of A or B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.leaves();
        b.renames('f', 'g').tidiesPrincipals();
        c.receives().snapshots();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'owner-snapshot',
    what: 'A has a file that ends with it; B declares A dead at any time and recovers it, C cuts a snapshot, follows and judges; A dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.sweeps();
        b.recovers(0);
        c.snapshots().judges();
        plot.mortal.add(a.simulated);
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'owner-adopted',
    what: 'A is an application with a file that ends with it, and was declared dead and recovered; B adopts it, C ends its time, each at any time; B dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        plot.prepare(c.recovers(0));
        b.adopts(1);
        c.condemns(1);
        plot.mortal.add(b.simulated);
        plot.lossy.add(b.simulated);
        hasAll(plot);
      }),
  },
  {
    name: 'wait-owner-makes',
    what: 'nobody can be shut out; A makes a file that ends with it, and removes it; B declares it dead at any time, recovers it, judges and sweeps; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, { members: 3, principals: 3, exclusion: 'wait' }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        a.owns('f', 1).unlinks('f');
        b.recovers(0).judges().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'wait-owner-adopted',
    what: 'nobody can be shut out; A is an application with a file that ends with it, and makes another; it is declared dead, and B and C adopt it, each at any time; B dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, { exclusion: 'wait' }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        plot.prepare(c.recovers(0));
        a.owns('g', 0);
        b.adopts(1);
        c.adopts(1);
        plot.mortal.add(b.simulated);
        plot.lossy.add(b.simulated);
        hasAll(plot);
      }),
  },
  {
    name: 'wait-owner-condemned',
    what: 'nobody can be shut out; A is an application with a file that ends with it, and is declared dead; B adopts it at any time, C ends its time and recovers it; B dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      lifetime(options, { exclusion: 'wait' }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.owns('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        plot.prepare(c.recovers(0));
        b.adopts(1);
        c.condemns(1);
        plot.mortal.add(b.simulated);
        plot.lossy.add(b.simulated).add(c.simulated);
        hasAll(plot);
      }),
  },
];
