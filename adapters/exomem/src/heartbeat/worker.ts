// The thread that beats for the clients of a process. Each comes by a message of its own.
import { parentPort } from 'node:worker_threads';
import {
  ExomemError,
  InlineHeartbeat,
  interrupted,
  isExomemError,
  type Pulse,
  pairTransport,
  type Session,
  splitPairUrl,
  type Transport,
  type Wanted,
} from '@exomem/core';
import { surroundings } from '../surroundings.js';
import { type News, type Request, type Terms, toldOf } from './messages.js';
import { Shared } from './shared.js';

/** Wishes that are kept for a client that is blocked; who wishes asks again. */
const mostWishes = 64;

async function transportOf(url: string, plugin: string | undefined): Promise<Transport> {
  const pair = splitPairUrl(url);
  if (pair !== undefined) {
    return pairTransport({
      data: await transportOf(pair.data, plugin),
      metadata: await transportOf(pair.metadata, plugin),
    });
  }
  const scheme = url.slice(0, url.indexOf(':')).toLowerCase();
  if (plugin === undefined || scheme === 'tcp' || scheme === 'unix') {
    return (await import('@exomem/transport-tcp/client')).tcp();
  }
  const { loadPlugin } = await import('../composition/plugin.js');
  const transport = (await loadPlugin(plugin)).transports?.find(({ schemes }) => schemes.includes(scheme));
  if (transport !== undefined) return transport;
  throw new ExomemError('InvalidArgument', `it brings no transport for ${scheme}: in another thread`, {
    where: plugin,
  });
}

/** Beats for one client until it says that this is to end. */
async function beatFor(terms: Terms): Promise<void> {
  const { port, lane, member, geometry, lease, interval } = terms;
  const shared = new Shared(terms.shared);
  const heart = { member, geometry, lease, interval, standing: () => shared.standing };
  const stop = new AbortController();
  const tell = (news: News): void => port.postMessage(news);
  const asked: number[] = [];
  let heartbeat: InlineHeartbeat | undefined;
  let wishes: Wanted[] = [];

  const fail = (error: unknown, ask?: number): void => {
    if (isExomemError(error, 'Fenced')) {
      shared.leaseEnd = 0;
      stop.abort();
    }
    if (ask !== undefined || shared.tell()) tell({ ask, error: toldOf(error) });
  };
  const beat = async (work: Promise<Pulse | undefined>, ask?: number): Promise<void> => {
    try {
      const pulse = await work;
      if (pulse === undefined) return;
      shared.leaseEnd = heartbeat!.leaseEnd;
      wishes = [...wishes, ...pulse.wanted].slice(-mostWishes);
      // A client that is blocked is told no more than once.
      if (ask === undefined && !shared.tell()) return;
      tell({ ask, pulse: { behind: pulse.behind, wanted: wishes } });
      wishes = [];
    } catch (error) {
      fail(error, ask);
    }
  };

  port.on('message', (request: Request) => {
    if (request === 'end') {
      stop.abort();
      void heartbeat?.end();
    } else if (heartbeat === undefined) asked.push(request.ask);
    else void beat(heartbeat.beat(), request.ask);
  });

  const transport = await transportOf(lane.url, terms.plugin);
  // Until here it may be told not to begin at all.
  if (!shared.begin()) return port.close();
  let session: Session | undefined;
  let known = true;
  while (!stop.signal.aborted && heartbeat === undefined) {
    try {
      session ??= await transport.connect(lane.url, { ...lane });
      heartbeat = await new InlineHeartbeat(heart, session, surroundings).resume();
    } catch (error) {
      if (!interrupted(error) && !isExomemError(error, 'Fenced')) throw error;
      fail(error);
      for (const ask of asked.splice(0)) fail(error, ask);
      await surroundings.sleep(interval, stop.signal);
    }
  }
  if (heartbeat !== undefined) {
    const { signal } = stop;
    // The first one at once: who made us may have come to us late.
    await beat(heartbeat.beat(), asked.shift());
    for (const ask of asked.splice(0)) void beat(heartbeat.beat(), ask);
    while (!signal.aborted) await beat(heartbeat.next());
    known = await heartbeat.end();
  }
  await session?.close();
  tell({ ended: true, word: known ? member.word : undefined });
  port.close();
}

parentPort!.on('message', (terms: Terms) => {
  // What keeps one client from being beaten for here does not keep the others.
  beatFor(terms).catch((error) => {
    terms.port.postMessage({ ended: true, word: undefined, why: String(error) } satisfies News);
    terms.port.close();
  });
});
