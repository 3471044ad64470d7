import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

function members(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 2, groupPages: 4, reserve: 2, members: 3, principals: 3, ...more, ...options });
  act(plot);
  return plot;
}

export const memberSearches: readonly Subject[] = [
  {
    name: 'join-join',
    what: 'A and B join at once, and there is one slot; a reply is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      members(options, { members: 2, principals: 3 }, (plot) => {
        janitor(plot);
        for (const name of ['A', 'B']) plot.lossy.add(plot.actor(name, { outside: true }).joins().simulated);
      }),
  },
  {
    name: 'join-declared-dead',
    what: 'A joins and allocates, B declares whoever is in its slot dead at any time and recovers it; A dies anywhere',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      members(options, { members: 3, principals: 3 }, (plot) => {
        const b = plot.actor('B');
        janitor(plot);
        const a = plot.actor('A', { outside: true });
        a.joins().allocates(1);
        b.recovers(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'hand-over',
    what: 'A leaves and hands its file to B, which is declared dead and recovered by C at any time; B dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      members(options, { members: 4, principals: 4 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.leaves();
        b.receives();
        c.recovers(1);
        plot.mortal.add(b.simulated);
      }),
  },
  {
    name: 'hand-over-to-leaver',
    what: 'A leaves and hands its file to B, which leaves too; C collects who has left and looks for strays; a reply is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      members(options, { members: 4, principals: 4 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        a.leaves();
        b.leaves();
        c.collects().tidiesPrincipals();
        for (const { simulated } of [a, b]) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'collect-collect',
    what: 'A leaves with nothing, B and C collect it, and D joins; one of them dies anywhere, a reply is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      members(options, { members: 4, principals: 5 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        const d = plot.actor('D', { outside: true });
        a.leaves();
        b.collects();
        c.collects();
        d.joins();
        plot.mortal.add(a.simulated).add(b.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'register',
    what: 'A and B register an application each, and there is one principal left; C declares A dead and recovers it; a reply is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      members(options, { members: 4, principals: 5 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        a.registers();
        b.registers();
        c.recovers(0);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'beats-passed-on',
    what: 'A beats, its thread is no more at the first answer that is lost, and it goes on beating itself; B beats too, and declares A dead at any time',
    bound: { crashes: 1, losses: 2 },
    make: (options) =>
      members(options, { members: 3, principals: 3 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        janitor(plot);
        a.beatsItsLast().resumesBeats().beats().resumesBeats().beats();
        b.beats().recovers(0);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
];
