import { keepForever, message } from '@exomem/core';
import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** Clients whose groups are granted over mailboxes. */
function letters(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const sizes = { groups: 2, groupPages: 2, members: 4, principals: 4, memberGrain: 4096 };
  const plot = new Plot({ ...sizes, policy: message, ...more, ...options });
  act(plot);
  janitor(plot);
  return plot;
}

export const messageSearches: readonly Subject[] = [
  {
    name: 'message-grant',
    what: 'A allocates and frees, K has the seat and answers twice; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, {}, (plot) => {
        const [a, k] = [plot.actor('A'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1).frees();
        k.attends(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(k.simulated);
      }),
  },
  {
    name: 'message-two',
    what: 'A and B allocate where there is one group, K has the seat and answers twice; A dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, { groups: 1 }, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1);
        b.allocates(2);
        k.attends(2);
        plot.mortal.add(a.simulated);
        for (const { simulated } of [a, b, k]) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'message-held',
    what: 'A allocates two pages, one after the other, B one, where there is one group; K has the seat and answers twice; a reply of K is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      letters(options, { groups: 1 }, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1).allocates(1);
        b.allocates(1);
        k.attends(2);
        plot.lossy.add(k.simulated);
      }),
  },
  {
    name: 'message-successor',
    what: 'A allocates, K has the seat and answers; B declares K dead at any time, recovers it and allocates; K dies anywhere, a reply of K is lost',
    bound: { crashes: 1, losses: 1, expiries: 1 },
    make: (options) =>
      letters(options, {}, (plot) => {
        const [k, a, b] = [plot.actor('K'), plot.actor('A'), plot.actor('B')];
        plot.seat(k);
        a.allocates(1);
        k.attends();
        b.recovers(0).allocates(1);
        plot.mortal.add(k.simulated);
        plot.lossy.add(k.simulated);
      }),
  },
  {
    name: 'message-two-successors',
    what: 'A asks for a group; K has the seat and answers; B and C each declare K dead at any time and take the seat; K dies anywhere',
    bound: { crashes: 1, losses: 0, expiries: 1 },
    make: (options) =>
      letters(options, { groups: 1, members: 5, principals: 5 }, (plot) => {
        const [k, a, b, c] = [plot.actor('K'), plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.seat(k);
        a.allocates(1);
        k.attends();
        for (const one of [b, c]) one.declaresDead(0).attends();
        plot.mortal.add(k.simulated);
      }),
  },
  {
    name: 'message-recover',
    what: 'A allocates; K has the seat and answers twice; B declares A dead at any time and recovers it; A dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1, expiries: 1 },
    make: (options) =>
      letters(options, {}, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1);
        b.recovers(0);
        k.attends(2);
        plot.mortal.add(a.simulated);
        for (const { simulated } of [a, b, k]) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'message-given-up',
    what: 'A asks for the only group, twice, K has the seat, takes it for itself and answers twice; an operation of either is given up anywhere, a reply of K is lost',
    bound: { crashes: 0, losses: 1, aborts: 1 },
    make: (options) =>
      letters(options, { groups: 1 }, (plot) => {
        const [a, k] = [plot.actor('A'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1).allocates(1);
        k.allocates(2).attends(2);
        plot.lossy.add(k.simulated);
      }),
  },
  {
    name: 'message-run',
    what: 'A takes a run of two groups and frees it; K has the seat and answers three times; A dies anywhere, a reply of either is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, { groupPages: 1 }, (plot) => {
        const [a, k] = [plot.actor('A'), plot.actor('K')];
        plot.seat(k);
        a.allocates(2).frees();
        k.attends(3);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated).add(k.simulated);
      }),
  },
  {
    name: 'message-late',
    what: 'A and C ask for the only group; K has the seat and answers; B declares K dead at any time and takes the seat, K dies anywhere',
    bound: { crashes: 1, losses: 0, expiries: 1 },
    make: (options) =>
      letters(options, { groups: 1, members: 5, principals: 5 }, (plot) => {
        const [k, a, b, c] = [plot.actor('K'), plot.actor('A'), plot.actor('B'), plot.actor('C')];
        plot.seat(k);
        a.allocates(1);
        c.allocates(2);
        k.attends();
        b.declaresDead(0).attends(2);
        plot.mortal.add(k.simulated);
      }),
  },
  {
    name: 'message-next',
    what: 'A asks for a group; B declares it dead at any time and recovers it, C joins in its slot and asks; K has the seat and answers twice; bodies are read and written in pieces',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      letters(options, { members: 4, recordGrain: 24 }, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        const c = plot.actor('C', { outside: true });
        plot.seat(k);
        a.allocates(1);
        b.recovers(0);
        c.joins().does('asks', () => c.allocator?.allocate({ pages: 2, initialise: 'none' }));
        k.attends(2);
      }),
  },
  {
    name: 'message-torn',
    what: 'A asks for a group, gives up and asks again; K has the seat and answers twice; bodies are read and written in pieces, a reply of A is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      letters(options, { recordGrain: 16 }, (plot) => {
        const [a, k] = [plot.actor('A'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1).allocates(2);
        k.attends(2);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'message-taken',
    what: 'A asks for a group, K has the seat and answers; B ends the principal of A at any time, and only then shuts it out, and recovers it; a reply of A is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      letters(options, {}, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1);
        b.endsPrincipal(a).recovers(0);
        k.attends(2);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'message-gift',
    what: 'A has a started group with withheld pages and gives it to B, which asks K, who has the seat, for a group; A dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, {}, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        plot.lend(a, 0, 0xc000_0000);
        a.discovers().givesRoom(b.identity.principal, 1);
        b.discovers().allocates(1);
        k.attends(2);
        plot.mortal.add(a.simulated);
        for (const { simulated } of [a, b, k]) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'message-gift-alike',
    what: 'A makes a file in the only group and gives it to B, which asks for that group, to make a file in it too; K has the seat and answers twice; a reply of any is lost',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      letters(options, { groups: 1, groupPages: 4, reserve: 2 }, (plot) => {
        const [a, b, k] = [plot.actor('A'), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        a.names('f', 1).givesRoom(b.identity.principal, 1).reads('f');
        b.names('g', 1).discovers();
        k.attends(2);
        for (const { simulated } of [a, b, k]) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'message-adopt',
    what: 'A asks for a group for an application that is kept, and dies; B declares it dead at any time and adopts the application; K has the seat and answers twice; a reply of A is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, {}, (plot) => {
        const [a, b, k] = [plot.actor('A', { policy: keepForever }), plot.actor('B'), plot.actor('K')];
        plot.seat(k);
        a.allocates(1);
        b.declaresDead(0).adopts(1);
        k.attends(2);
        plot.mortal.add(a.simulated);
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'message-configured',
    what: 'nothing but own words changes: A and B allocate, A frees, K is member 0 and answers three times; A dies anywhere, a reply of any is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, { configured: true }, (plot) => {
        const [k, a, b] = [plot.actor('K'), plot.actor('A'), plot.actor('B')];
        plot.seat(k);
        a.allocates(1).frees();
        b.allocates(2);
        k.attends(3);
        plot.mortal.add(a.simulated);
        for (const { simulated } of [a, b, k]) plot.lossy.add(simulated);
      }),
  },
  {
    name: 'message-again',
    what: 'nothing but own words changes: A, member 1, has a group and allocates in it; C joins as that number at any time, and allocates; K is member 0 and answers three times; A dies anywhere, a reply of C or K is lost',
    bound: { crashes: 1, losses: 1 },
    make: (options) =>
      letters(options, { configured: true, groups: 1 }, (plot) => {
        const [k, a] = [plot.actor('K'), plot.actor('A')];
        const c = plot.actor('C', { outside: true });
        plot.seat(k);
        plot.lend(a, 0, 0x4000_0000);
        plot.prepare(a.discovers());
        a.allocates(1);
        c.joinsAs(1).does('allocates', () => c.allocator?.allocate({ pages: 2, initialise: 'none' }));
        k.attends(3);
        plot.mortal.add(a.simulated);
        plot.lossy.add(c.simulated).add(k.simulated);
      }),
  },
];
