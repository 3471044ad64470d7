import type { Actor } from '../actor.js';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** A run of two groups that A has soiled and freed, and clean groups beside it. */
function soiled(options: PlotOptions, more: PlotOptions, act: (plot: Plot, a: Actor) => void): Plot {
  const plot = new Plot({ groups: 3, groupPages: 2, members: 3, principals: 3, ...more, ...options });
  const a = plot.actor('A');
  plot.prepare(a.allocates(3).soils().frees());
  act(plot, a);
  janitor(plot);
  return plot;
}

export const cleaningSearches: readonly Subject[] = [
  {
    name: 'clean',
    what: 'A cleans free groups; B allocates a page, and a run, and looks at them; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      soiled(options, {}, (plot, a) => {
        const b = plot.actor('B');
        a.cleans(4);
        b.allocates(1, true).allocates(3, true).looks();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'clean-own',
    what: 'A cleans and allocates at once; B takes a run and looks at it; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      soiled(options, {}, (plot, a) => {
        const b = plot.actor('B');
        plot.prepare(a.allocates(1).soils().frees());
        a.cleans(4).allocates(1, true).looks();
        b.allocates(3, true).looks();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'clean-recover',
    what: 'A cleans free groups; B declares it dead at any time, recovers it, judges and sweeps, takes a run and looks at it; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      soiled(options, { groups: 2 }, (plot, a) => {
        const b = plot.actor('B');
        a.cleans(4);
        b.recovers(0).judges().sweeps().allocates(3, true).looks();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'two-cleaners',
    what: 'A and B clean free groups; C takes a page and looks at it; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      soiled(options, { groupPages: 1, members: 4, principals: 4 }, (plot, a) => {
        const [b, c] = [plot.actor('B'), plot.actor('C')];
        a.cleans(2);
        b.cleans(2);
        c.allocates(1, true).looks();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wipe',
    what: 'pages are zeroed before they are free: A frees a run that it has soiled; B declares it dead at any time, recovers it, cleans, takes a run and looks at it; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      soiled(options, { groups: 2, wipe: true }, (plot, a) => {
        const b = plot.actor('B');
        plot.prepare(a.allocates(3).soils());
        a.frees();
        b.recovers(0).cleans(4).allocates(3, true).looks();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'wipe-file',
    what: 'pages are zeroed before they are free: A has removed a file of two pages, which B has seen; A sweeps and allocates; B cleans, allocates and looks; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      soiled(options, { groups: 3, groupPages: 2, reserve: 4, wipe: true }, (plot, a) => {
        const b = plot.actor('B');
        plot.prepare(a.names('f', 2).unlinks('f').beats());
        plot.prepare(b.catchesUp().beats());
        a.sweeps().allocates(1, true).looks();
        b.cleans(4).allocates(1, true).looks();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
];
