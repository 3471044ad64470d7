import type { NetConnectOpts } from 'node:net';
import type { Awaitable, Capabilities, Session, Transport } from '@exomem/core';
import { FaultyLink } from '../faulty-transport/link.js';
import { connectOptions } from './case.js';
import { openSession, SubjectUnfit, setUp, tearDown } from './fitness.js';
import type { Fault, SubjectRegion, TransportSubject, WorkerEntry } from './subject.js';

/** A region that a transport reaches under a URL. */
export interface PlainRegion {
  readonly transport: Transport;
  readonly url: string;
  readonly workerData?: unknown;
  teardown?(): unknown;
}

/**
 * The same where an appliance listens on a socket. Each session connects through a relay of its own on a loopback port,
 * which cuts, swallows and keeps back what the laws want.
 */
export interface LinkedRegion {
  readonly transport: Transport;
  /** Where the appliance listens: `{ host, port }` or `{ path }`. */
  readonly listens: NetConnectOpts;
  /** The URL of the region where somebody listens on that port of 127.0.0.1 in the place of the appliance. */
  url(relay: { readonly host: string; readonly port: number }): string;
  /** What workers need; they connect to this URL. */
  workerData?(url: string): unknown;
  teardown?(): unknown;
}

/** A transport as its author gives it to the kit. What it leaves out is found out. */
export interface TransportModule {
  readonly name?: string;
  /** What every session declares; what the first one declares, unless given. */
  readonly capabilities?: Capabilities;
  readonly workers?: WorkerEntry;
  /** Makes a region of exactly `bytes` zero bytes that no other law shares, and whatever serves it. */
  setup(options: { readonly bytes: number }): Awaitable<PlainRegion | LinkedRegion | SubjectRegion>;
}

const faults: readonly Fault[] = ['cut', 'blackHole', 'hold'];

/**
 * Makes a subject of a few lines:
 *
 * ```ts
 * const subject = await transportSubject({
 *   setup: ({ bytes }) => ({ transport: sharedArrayBuffer({ region: createRegion(bytes) }), url: 'sab:region' }),
 * });
 * ```
 * @param patience milliseconds after which a factory, or a connection, that has not ended hangs
 * @throws `SubjectUnfit` if no region can be made, or a session is none.
 */
export async function transportSubject(
  module: TransportModule,
  name = 'the transport',
  patience = 30_000,
): Promise<TransportSubject> {
  if (typeof module?.setup !== 'function') {
    throw new SubjectUnfit(
      `"${name}" has no setup({ bytes }): the kit has to know how to make a region of so many zero bytes`,
    );
  }
  const subject = {
    name: module.name ?? name,
    ...(module.workers === undefined ? {} : { workers: module.workers }),
    setup: async (options: { readonly bytes: number }) => whole(await module.setup(options), module.name ?? name),
  };
  const region = await setUp(subject as TransportSubject, 4_096, patience);
  try {
    const session = await openSession(subject, region, patience);
    const { capabilities } = session;
    await session.close();
    return {
      ...subject,
      capabilities: module.capabilities ?? capabilities,
      faults: faults.filter((fault) => region[fault] !== undefined),
    };
  } finally {
    await tearDown(subject as TransportSubject, region, patience);
  }
}

async function whole(region: PlainRegion | LinkedRegion | SubjectRegion, name: string): Promise<SubjectRegion> {
  if (typeof region !== 'object' || region === null || 'connect' in region) return region as SubjectRegion;
  const { transport } = region;
  const wrong = (what: string): SubjectUnfit => new SubjectUnfit(`setup() of "${name}" gives ${what}`);
  if (transport === undefined) throw wrong('neither { transport, url } nor { connect(options) }');
  if (typeof transport.connect !== 'function') throw wrong('a transport without connect(url, options)');
  if ('listens' in region && region.listens !== undefined) {
    if (typeof region.url !== 'function') {
      throw wrong(
        'listens, and a url that is no function: write url: ({ host, port }) => `mine://${host}:${port}/region`',
      );
    }
    return linked(region);
  }
  if (typeof region.url !== 'string') throw wrong('a transport, and no url to connect it to');
  const { url } = region as PlainRegion;
  return {
    connect: async (options) => transport.connect(url, connectOptions(options)),
    workerData: region.workerData,
    teardown: () => region.teardown?.(),
  };
}

/** Puts a relay before each session, and one before all workers. */
async function linked(region: LinkedRegion): Promise<SubjectRegion> {
  const { transport, listens } = region;
  const links = new Map<Session | undefined, FaultyLink>();
  const url = (link: FaultyLink): string => region.url({ host: '127.0.0.1', port: link.port });
  const common = await FaultyLink.open(listens);
  links.set(undefined, common);
  return {
    async connect(options) {
      const link = await FaultyLink.open(listens);
      try {
        const session = await transport.connect(url(link), connectOptions(options));
        links.set(session, link);
        return session;
      } catch (error) {
        await link.close();
        throw error;
      }
    },
    cut(session) {
      for (const [owner, link] of links) if (session === undefined || owner === session) link.cut();
    },
    blackHole: (session) => links.get(session)?.blackHole(),
    hold: (session) => links.get(session)!.hold(),
    workerData: region.workerData?.(url(common)),
    async teardown() {
      await Promise.all([...links.values()].map((link) => link.close()));
      await region.teardown?.();
    },
  };
}
