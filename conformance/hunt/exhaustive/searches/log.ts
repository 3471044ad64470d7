import { groupWordOffset, ownerHalf, pageBits, repeatBits, userGroups } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** A log of four slots, so that a lap ends after the third record; groups of four pages hold a snapshot each. */
function log(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 1,
    groupPages: 4,
    reserve: 4,
    members: 3,
    principals: 3,
    logSlots: 4,
    ...more,
    ...options,
  });
  act(plot);
  janitor(plot);
  return plot;
}

/** A log whose snapshots take several groups, of a page each; every other group of the reserve is taken, for a while. */
function inPieces(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 1,
    groupPages: 1,
    reserve: 14,
    logSlots: 8,
    arenaBytes: 16_384,
    ...more,
    ...options,
  });
  const { geometry, memory } = plot;
  act(plot);
  const { principal, incarnation } = janitor(plot).identity;
  const word = (BigInt(ownerHalf(principal, incarnation)) << 32n) | BigInt(repeatBits(1, pageBits.withheld));
  for (const at of [1, 3]) memory.store(groupWordOffset(geometry, userGroups(geometry) + at), word);
  return plot;
}

export const logSearches: readonly Subject[] = [
  {
    name: 'append',
    what: 'A and B append two records each; replies of both are lost twice',
    bound: { crashes: 0, losses: 2 },
    make: (options) =>
      log(options, { logSlots: 8 }, (plot) => {
        for (const name of ['A', 'B']) plot.lossy.add(plot.actor(name).appends().appends().simulated);
      }),
  },
  {
    name: 'lap',
    what: 'A and B append two records each over the end of a lap, which takes a snapshot and a truncation; a reply is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      log(options, {}, (plot) => {
        for (const name of ['A', 'B']) plot.lossy.add(plot.actor(name).appends().appends().simulated);
      }),
  },
  {
    name: 'lap-by-two',
    what: 'three records are there, and the lap is full; A and B append, each of which makes room',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      log(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.appends());
        plot.prepare(b.appends());
        plot.prepare(a.appends());
        a.appends();
        b.appends();
      }),
  },
  {
    name: 'snapshots',
    what: 'two records are there; A and B each append one and cut a snapshot, C loads, follows, and loads again',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      log(options, { members: 4, principals: 4, logSlots: 8 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.appends());
        plot.prepare(b.appends());
        a.appends().snapshots();
        b.snapshots();
        c.loads().catchesUp();
      }),
  },
  {
    name: 'snapshot-and-lap',
    what: 'A cuts a snapshot and appends twice over the end of a lap, B appends once; A dies anywhere, a reply is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      log(options, {}, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.appends());
        plot.prepare(b.catchesUp());
        a.snapshots().appends().appends();
        b.appends();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'passed-snapshot',
    what: 'A cuts a snapshot, and looks whether another has passed it; B appends and cuts one',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      log(options, { logSlots: 8 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.appends());
        plot.prepare(b.catchesUp());
        a.snapshots().tidiesReserve();
        b.appends().snapshots();
      }),
  },
  {
    name: 'snapshot-of-runs',
    what: 'the tree takes several groups of a reserve that is in pieces; A cuts a snapshot, B appends and C loads and follows; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      inPieces(options, { members: 4, principals: 4 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.namesMany(14));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.snapshots();
        b.appends();
        c.loads().catchesUp();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'snapshots-of-runs',
    what: 'the tree takes several groups of a reserve that is in pieces; A appends and cuts a snapshot, and B cuts one',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      inPieces(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.namesMany(14));
        plot.prepare(b.catchesUp());
        a.appends().snapshots();
        b.snapshots();
      }),
  },
  {
    name: 'fenced-snapshot-of-runs',
    what: 'the tree takes several groups of a reserve that is in pieces; A cuts a snapshot; B declares it dead at any time, recovers it, and cuts one itself; A dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      inPieces(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.namesMany(14));
        plot.prepare(b.catchesUp());
        a.snapshots();
        b.recovers(0).snapshots();
        plot.mortal.add(a.simulated);
      }),
  },
  {
    name: 'fenced-author',
    what: 'A appends twice; B declares it dead at any time, recovers it and appends; A dies anywhere, what it sent lands late or never',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      log(options, { logSlots: 8 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.appends().appends();
        b.recovers(0).appends();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'fenced-snapshot',
    what: 'A cuts a snapshot; B declares it dead at any time, recovers it, and cuts one itself; A dies anywhere, what it sent lands late or never',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      log(options, { logSlots: 8 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.appends());
        a.snapshots();
        b.recovers(0).snapshots();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'fence-then-snapshot',
    what: 'B declares A dead, recovers it and cuts a snapshot; A appends meanwhile, and a newcomer C loads',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      log(options, { members: 4, principals: 4, logSlots: 8 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.appends());
        a.appends();
        b.recovers(0).snapshots();
        c.loads();
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'arena-reuse',
    what: 'the arena of A has room for two records: two are there, it appends a third, which takes a snapshot; B follows late, with records read in pieces; a reply of A is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      log(options, { logSlots: 8, arena: 128, recordGrain: 64 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.appends());
        plot.prepare(a.appends());
        a.appends();
        b.catchesUp().catchesUp();
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'torn-records',
    what: 'A appends twice and B follows, with records that are written and read in pieces, over the end of a lap',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      log(options, { recordGrain: 64 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        plot.prepare(a.appends());
        plot.prepare(a.appends());
        a.appends().appends();
        b.catchesUp().catchesUp();
        plot.lossy.add(a.simulated);
      }),
  },
];
