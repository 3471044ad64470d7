// deadline: 300s
import {
  type FormatOptions,
  format,
  pairTransport,
  RegionMemory,
  run,
  shippedPolicies,
  type Transport,
} from '@exomem/core';
import { suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, formatUrl, setAside, tcp } from '@exomem/transport-tcp';
import fc from 'fast-check';
import { formatPair } from '../src/serving/metadata.js';
import { surroundings } from '../src/surroundings.js';
import { Folder } from './fixtures/command.js';
import { type Ground, Strangers } from './fixtures/strangers-bytes.js';

const size = 3 * 2 ** 20;
const runs = 3;
const deeds = fc.array(fc.tuple(fc.nat(19), fc.nat(11), fc.nat(999_983)), { minLength: 70, maxLength: 70 });

/** Does something in a region over that transport. */
type Visit = (act: (ground: Ground) => Promise<void>) => Promise<void>;

function inOnePiece(transport: Transport, url: string, memory: RegionMemory): Ground {
  const make = async (options: FormatOptions): Promise<void> => {
    const session = await transport.connect(url, { clientId: new Uint8Array(16), lane: 0 });
    await run(format(session.size, options), { session, surroundings });
    await session.close();
  };
  return { transport, url, memory: [memory], format: make };
}

function apart(half: Transport, data: string, metadata: string, memory: readonly RegionMemory[]): Ground {
  const url = `${data}?metadata=${metadata}`;
  const halves = { data: half, metadata: half };
  return { transport: pairTransport(halves), url, memory, format: (options) => formatPair(url, halves, options) };
}

const shared: Visit = async (act) => {
  const region = createRegion(size);
  await act(inOnePiece(sharedArrayBuffer({ region }), 'sab:region', new RegionMemory(region.segments)));
};

const sharedApart: Visit = async (act) => {
  const [data, metadata] = [createRegion(size), createRegion(size)];
  const memory = [data, metadata].map(({ segments }) => new RegionMemory(segments));
  await act(apart(sharedArrayBuffer({ data, metadata }), 'sab:data', 'sab:metadata', memory));
};

async function served(file: string | undefined, act: (ground: Ground) => Promise<void>): Promise<void> {
  await using backing = await setAside({ size, file });
  await using appliance = new Appliance();
  appliance.expose('region', backing.memory);
  const address = await appliance.listen('127.0.0.1:0');
  await act(inOnePiece(tcp(), formatUrl(address, 'region'), backing.memory));
}

const servedApart: Visit = async (act) => {
  await using data = await setAside({ size });
  await using metadata = await setAside({ size });
  await using appliance = new Appliance();
  appliance.expose('data', data.memory);
  appliance.expose('metadata', metadata.memory);
  const address = await appliance.listen('127.0.0.1:0');
  const [one, other] = [formatUrl(address, 'data'), formatUrl(address, 'metadata')];
  await act(apart(tcp(), one, other, [data.memory, metadata.memory]));
};

const grounds: Readonly<Record<string, Visit>> = {
  'shared memory': shared,
  tcp: (act) => served(undefined, act),
  'tcp, in a file': async (act) => {
    using folder = new Folder();
    await served(folder.at('region'), act);
  },
  'shared memory, metadata apart': sharedApart,
  'tcp, metadata apart': servedApart,
};

const test = suite('nobody sees a byte that another principal wrote');
for (const [name, visit] of Object.entries(grounds)) {
  for (const policy of shippedPolicies) {
    for (const initialise of ['lazily', 'before'] as const) {
      test(`over ${name}, by ${policy.name}, with pages that become zero ${initialise}`, () =>
        fc.assert(
          fc.asyncProperty(deeds, (all) =>
            visit(async (ground) => {
              const strangers = await Strangers.gather(ground, policy, initialise);
              try {
                for (const deed of all) await strangers.act(deed);
                await strangers.part();
              } finally {
                await strangers.disband();
              }
            }),
          ),
          { numRuns: runs, endOnFailure: true },
        ));
    }
  }
}
test.run();
