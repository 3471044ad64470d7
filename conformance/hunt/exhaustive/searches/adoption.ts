import { decodePrincipal, keepForever, principalState } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** A acts for an application that is kept when it dies. */
function adoption(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 3,
    groupPages: 2,
    members: 4,
    principals: 4,
    memberGrain: 4096,
    ...more,
    ...options,
  });
  act(plot);
  janitor(plot);
  return plot;
}

/** An application that is kept loses nothing. */
export function keepsAll(plot: Plot): void {
  plot.atEnd = {
    id: 'I5',
    sentence: 'What was given out is there at the end, whoever acts for it.',
    from: 'told',
    check: (moment) => {
      if (decodePrincipal(moment.principalWord(1)).state === principalState.active) return undefined;
      for (const client of moment.clients) {
        if (moment.handlesOf(client).some(({ principal }) => principal === 1))
          return `the application whose pages ${client.name} holds is gone`;
      }
      return undefined;
    },
  };
}

export const adoptionSearches: readonly Subject[] = [
  {
    name: 'adopt-adopt',
    what: 'A allocates, takes a run and frees; B and C each declare it dead at any time, recover it and adopt its application; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      adoption(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        a.allocates(1).allocates(3).frees();
        b.recovers(0).adopts(1);
        c.adopts(1);
        plot.mortal.add(a.simulated);
        keepsAll(plot);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'adopt-extent',
    what: 'A takes a run and frees it; B declares it dead at any time, adopts its application and frees; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      adoption(options, { members: 3, principals: 3, groupPages: 1 }, (plot) => {
        const [a, b] = [plot.actor('A', { policy: keepForever }), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).adopts(1);
        plot.mortal.add(a.simulated);
        keepsAll(plot);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'adopt-condemn',
    what: 'A, which held a page, is dead; B adopts its application, C ends its time to keep and recovers it; a reply of either is lost, one of them dies anywhere',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      adoption(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(1));
        plot.simulation.perform({ kind: 'crash', client: a.simulated });
        b.recovers(0).adopts(1);
        c.condemns(1);
        plot.mortal.add(b.simulated).add(c.simulated);
        plot.lossy.add(b.simulated).add(c.simulated);
      }),
  },
  {
    name: 'migrate',
    what: 'A allocates and migrates to B, which adopts and allocates; C declares B dead at any time and recovers it; B dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      adoption(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        a.allocates(1).migrates(b);
        b.adopts(1).adopts(1);
        c.recovers(1).adopts(1);
        plot.mortal.add(b.simulated);
        keepsAll(plot);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'migrate-fence',
    what: 'A allocates and migrates to B; C declares A dead at any time, recovers it and adopts; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      adoption(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        a.allocates(1).migrates(b);
        b.adopts(1);
        c.recovers(0).adopts(1);
        plot.mortal.add(a.simulated);
        keepsAll(plot);
        plot.lossy.add(a.simulated);
      }),
  },
];
