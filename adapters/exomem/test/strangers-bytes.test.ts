// deadline: 300s
import { RegionMemory, shippedPolicies } from '@exomem/core';
import { suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, formatUrl, setAside, tcp } from '@exomem/transport-tcp';
import fc from 'fast-check';
import { Folder } from './fixtures/command.js';
import { type Ground, Strangers } from './fixtures/strangers-bytes.js';

const size = 3 * 2 ** 20;
const runs = 3;
const deeds = fc.array(fc.tuple(fc.nat(15), fc.nat(11), fc.nat(999_983)), { minLength: 60, maxLength: 60 });

/** Does something in a region over that transport. */
type Visit = (act: (ground: Ground) => Promise<void>) => Promise<void>;

const shared: Visit = async (act) => {
  const region = createRegion(size);
  const transport = sharedArrayBuffer({ region });
  await act({ transport, url: 'sab:region', memory: new RegionMemory(region.segments) });
};

async function served(file: string | undefined, act: (ground: Ground) => Promise<void>): Promise<void> {
  await using backing = await setAside({ size, file });
  await using appliance = new Appliance();
  appliance.expose('region', backing.memory);
  const address = await appliance.listen('127.0.0.1:0');
  await act({ transport: tcp(), url: formatUrl(address, 'region'), memory: backing.memory });
}

const grounds: Readonly<Record<string, Visit>> = {
  'shared memory': shared,
  tcp: (act) => served(undefined, act),
  'tcp, in a file': async (act) => {
    using folder = new Folder();
    await served(folder.at('region'), act);
  },
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
