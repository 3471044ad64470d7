import { Plot, type PlotOptions } from '../plot.js';
import type { Subject } from '../subject.js';
import { janitor } from './janitor.js';

/** A has made the file `f`, B has it open, C removes it. */
function grace(options: PlotOptions, more: PlotOptions, act: (plot: Plot) => void): Plot {
  const plot = new Plot({ groups: 1, groupPages: 4, reserve: 3, members: 4, principals: 4, ...more, ...options });
  act(plot);
  return plot;
}

export const graceSearches: readonly Subject[] = [
  {
    name: 'reader',
    what: 'A has a file; B looks it up, reads it, and beats; C removes it and beats; A follows, sweeps and allocates anew',
    bound: { crashes: 0, losses: 1 },
    make: (options) =>
      grace(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B', { concurrency: 2 }), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        a.catchesUp().sweeps().allocates(4, true);
        b.reads('f').catchesUp().beats();
        c.unlinks('f').beats();
        plot.lossy.add(a.simulated);
      }),
  },
  {
    name: 'reader-apart',
    what: 'A has a file; B looks it up and reads it, while a thread of its own beats with what it was told; C removes it and beats; A follows, sweeps and allocates anew',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      grace(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B', { concurrency: 2 }), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().tellsItsThread().beats());
        a.catchesUp().sweeps().allocates(4, true);
        b.reads('f').catchesUp().tellsItsThread().beatsApart(1);
        c.unlinks('f').beats();
      }),
  },
  {
    name: 'newcomer',
    what: 'A has a file; C removes it and beats; A follows, sweeps and allocates anew; N joins meanwhile, and reads the file if it saw it',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      grace(options, { members: 4, principals: 4 }, (plot) => {
        const [a, c] = [plot.actor('A'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        plot.prepare(c.catchesUp().beats());
        const n = plot.actor('N', { outside: true });
        a.catchesUp().sweeps().allocates(4, true);
        c.unlinks('f').beats();
        n.joins().reads('f');
      }),
  },
  {
    name: 'keep',
    what: 'A has a file that B has open; C has removed it; B beats, keeps it, beats, reads it and lets it go; A follows, sweeps and allocates anew',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      grace(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        plot.prepare(b.opens('f'));
        plot.prepare(c.unlinks('f').beats());
        a.catchesUp().sweeps().allocates(4, true);
        b.catchesUp().beats().keeps().beats().readsOpen().drops().beats();
      }),
  },
  {
    name: 'keep-and-death',
    what: 'A has a file that B has open and keeps; C removes it, declares B dead at any time and recovers it; A sweeps; B dies anywhere',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      grace(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        plot.prepare(b.opens('f'));
        plot.prepare(c.unlinks('f').beats());
        a.catchesUp().sweeps();
        b.keeps().beats().readsOpen();
        c.recovers(1).beats();
        plot.mortal.add(b.simulated);
      }),
  },
  {
    name: 'keep-and-snapshot',
    what: 'A has a file that B has open; C removes it and cuts a snapshot; B keeps it, reads it; A follows over the snapshot, judges and sweeps',
    bound: { crashes: 0, losses: 0 },
    make: (options) =>
      grace(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        plot.prepare(b.opens('f'));
        plot.prepare(c.unlinks('f').beats());
        a.judges().sweeps();
        b.keeps().beats().readsOpen();
        c.snapshots();
      }),
  },
  {
    name: 'custodian-dies',
    what: 'A has a file that B has open; C removes it, declares A dead at any time, recovers it, judges and sweeps; B keeps the file and reads it',
    bound: { crashes: 1, losses: 0 },
    make: (options) =>
      grace(options, {}, (plot) => {
        const [a, b, c] = [plot.actor('A'), plot.actor('B'), plot.actor('C')];
        janitor(plot);
        plot.prepare(a.names('f', 1));
        for (const one of [b, c]) plot.prepare(one.catchesUp().beats());
        plot.prepare(b.opens('f'));
        plot.prepare(c.unlinks('f'));
        a.sweeps();
        b.keeps().beats().readsOpen();
        c.recovers(0).judges().beats().sweeps();
        plot.mortal.add(a.simulated);
      }),
  },
];
