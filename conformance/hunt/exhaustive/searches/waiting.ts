import { decodePrincipal, keepForever, principalState } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** Nobody can be shut out: whoever is declared dead goes on, and what the dead had sent lands at any time, or never. */
function waiting(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({
    groups: 3,
    groupPages: 2,
    members: 3,
    principals: 3,
    memberGrain: 4096,
    exclusion: 'wait',
    ...more,
    ...options,
  });
  act(plot);
  janitor(plot);
  return plot;
}

/** An application that is kept loses nothing, whoever dies while adopting it. */
function keepsAll(plot: Plot): void {
  plot.atEnd = {
    id: 'I5',
    sentence: 'What was given out is there at the end, whoever acts for it.',
    from: 'told',
    check: (moment) => {
      const { state } = decodePrincipal(moment.principalWord(1));
      if (state === principalState.active || state === principalState.adopting) return undefined;
      for (const client of moment.clients) {
        if (moment.handlesOf(client).some(({ principal }) => principal === 1))
          return `the application whose pages ${client.name} holds is gone`;
      }
      return undefined;
    },
  };
}

export const waitingSearches: readonly Subject[] = [
  {
    name: 'wait-allocate-recover',
    what: 'nobody can be shut out; A allocates, allocates and frees, B declares it dead at any time, recovers it, allocates and looks for words of the dead; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(1).allocates(1).frees();
        b.recovers(0).allocates(2).scrubs();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-extent-recover',
    what: 'nobody can be shut out; A takes a run over two groups and frees it, B declares it dead at any time, recovers it and takes a run; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { groupPages: 1, wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.allocates(2).frees();
        b.recovers(0).allocates(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-scrub',
    what: 'nobody can be shut out; A allocates twice, B declares it dead at any time and recovers it, C looks for words of the dead and allocates; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groupPages: 1 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        a.allocates(1).allocates(1);
        b.recovers(0);
        c.scrubs().allocates(1);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-recoverer',
    what: 'nobody can be shut out; A, which held a page and a file, is dead; B recovers it, C declares B dead at any time, recovers it, and A; B dies anywhere, a reply of B is lost',
    bound: { crashes: 1, losses: 1 },
    limit: 4_000_000,
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.names('f', 1).allocates(1));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        plot.simulation.perform({ kind: 'crash', client: a.simulated });
        b.recovers(0);
        c.recovers(1).recovers(0);
        plot.mortal.add(b.simulated);
        plot.lossy.add(b.simulated);
      }),
  },
  {
    name: 'wait-hand-over',
    what: 'nobody can be shut out; A with a file leaves and hands it to B, which receives it; C declares A dead at any time and recovers it; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.names('f', 1));
        plot.prepare(b.catchesUp());
        a.leaves();
        b.receives();
        c.recovers(0).tidiesPrincipals();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-give',
    what: 'nobody can be shut out; A gives a group with its file in it to B, which looks at its words and allocates; C declares A dead at any time, recovers it and looks for words of the dead; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.names('f', 2));
        for (const one of [b, c]) plot.prepare(one.catchesUp());
        a.givesRoom(2, 1);
        b.discovers().allocates(1);
        c.recovers(0).scrubs();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-register',
    what: 'nobody can be shut out; A registers an application; B declares it dead at any time, recovers it, looks for strays, and registers one itself; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { principals: 4 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.registers();
        b.recovers(0).tidiesPrincipals().registers();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-custody',
    what: 'nobody can be shut out; A makes a file of two pages and allocates, B declares it dead at any time, recovers it, judges and sweeps; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.names('f', 2).allocates(1);
        b.recovers(0).judges().sweeps();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-author',
    what: 'nobody can be shut out; A appends twice; B declares it dead at any time, recovers it and appends; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.appends().appends();
        b.recovers(0).appends();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-snapshot',
    what: 'nobody can be shut out; A cuts a snapshot; B declares it dead at any time, recovers it, appends and looks for words of the dead, the reserve too; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { groupPages: 4, reserve: 2, groups: 2 }, (plot) => {
        const [a, b] = [plot.actor('A'), plot.actor('B')];
        a.snapshots();
        b.recovers(0).appends().scrubs();
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-adopt',
    what: 'nobody can be shut out; A allocates, takes a run and frees; B declares it dead at any time and adopts its application; A dies anywhere, a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { groupPages: 1, wordByWord: true }, (plot) => {
        const [a, b] = [plot.actor('A', { policy: keepForever }), plot.actor('B')];
        a.allocates(1).allocates(2).frees();
        b.recovers(0).adopts(1);
        keepsAll(plot);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'wait-adopt-chain',
    what: 'nobody can be shut out; A, which holds a run, frees it; B declares it dead and adopts its application, C declares B dead at any time and adopts it again; one of the three dies anywhere',
    bound: { crashes: 1, losses: 0 },
    limit: 12_000_000,
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groups: 2, groupPages: 1 }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(2));
        a.frees();
        b.recovers(0).adopts(1);
        c.recovers(1).adopts(1);
        keepsAll(plot);
        for (const { simulated } of [a, b, c]) plot.mortal.add(simulated);
      }),
  },
  {
    name: 'wait-adopt-twice',
    what: 'nobody can be shut out; A, which held a run, is dead; B adopts its application, C declares B dead at any time and adopts it again; B dies anywhere, a reply of B or C is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groupPages: 1, wordByWord: true }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(2));
        plot.simulation.perform({ kind: 'crash', client: a.simulated });
        plot.prepare(b.recovers(0));
        b.adopts(1);
        c.recovers(1).adopts(1);
        keepsAll(plot);
        plot.mortal.add(b.simulated);
        plot.lossy.add(b.simulated).add(c.simulated);
      }),
  },
  {
    name: 'wait-adopt-scrub',
    what: 'nobody can be shut out; A allocates twice; B declares it dead at any time and adopts its application, C looks for words of the dead; A or B dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { members: 4, principals: 4, groupPages: 1 }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        a.allocates(1).allocates(1);
        b.recovers(0).adopts(1);
        c.scrubs();
        keepsAll(plot);
        plot.mortal.add(a.simulated).add(b.simulated);
        plot.lossy.add(a.simulated).add(b.simulated);
      }),
  },
  {
    name: 'wait-adopt-condemn',
    what: 'nobody can be shut out; A, which held a page, is dead; B adopts its application, C declares B dead at any time, recovers it, ends the time to keep and recovers that; a reply of B or C is lost, one of them dies anywhere',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      waiting(options, { members: 4, principals: 4 }, (plot) => {
        const [a, b, c] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('C')];
        plot.prepare(a.allocates(1));
        plot.simulation.perform({ kind: 'crash', client: a.simulated });
        b.recovers(0).adopts(1);
        c.recovers(1).condemns(1);
        plot.mortal.add(b.simulated).add(c.simulated);
        plot.lossy.add(b.simulated).add(c.simulated);
      }),
  },
];
