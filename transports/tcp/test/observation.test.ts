import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { fetchAdd, load, RegionMemory } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { Appliance, type ApplianceEvent, type FrameTrace, tcp } from '@exomem/transport-tcp';
import { ACTIVE, failsWith, memberWord } from './fixtures/served.js';

const test = suite('what can be observed');
const clientId = new Uint8Array(16);

test('an appliance tells who comes, is bound, is shut out and goes', async () => {
  const events: ApplianceEvent[] = [];
  const appliance = new Appliance({ observe: (event) => events.push(event) });
  const memory = new RegionMemory([new SharedArrayBuffer(4096)]);
  memory.compareExchange(0, 0n, memberWord(ACTIVE, 3));
  appliance.expose('scratch', memory);
  await appliance.listen('127.0.0.1:0');
  const session = await tcp().connect(appliance.url('scratch'), { clientId, lane: 0 });
  await session.bind({ slot: 7, incarnation: 3, offset: 0 });
  await session.revoke({ slot: 8, incarnation: 4, offset: 0 });
  await session.close();
  while (appliance.connections > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  await appliance.close();
  assert.equal(
    events.map(({ type }) => type),
    ['connected', 'bound', 'revoked', 'disconnected'],
  );
  const [connected, bound, revoked, gone] = events as [ApplianceEvent & { peer: string }, ...ApplianceEvent[]];
  assert.match(connected.peer, /^127\.0\.0\.1:\d+$/);
  assert.equal(bound, { type: 'bound', peer: connected.peer, region: 'scratch', slot: 7, incarnation: 3 });
  assert.equal(revoked, { type: 'revoked', region: 'scratch', slot: 8, incarnation: 4 });
  assert.equal(gone, { type: 'disconnected', peer: connected.peer, region: 'scratch', reason: 'the peer left' });
});

test('every frame is on the channel exomem:tcp:frame while somebody listens', async () => {
  await using appliance = new Appliance();
  appliance.expose('default', new RegionMemory([new SharedArrayBuffer(4096)]));
  await appliance.listen('127.0.0.1:0');
  const session = await tcp().connect(appliance.url('default'), { clientId, lane: 0 });
  await session.load(0);
  const frames: FrameTrace[] = [];
  const listen = (frame: unknown): void => {
    frames.push(frame as FrameTrace);
  };
  subscribe('exomem:tcp:frame', listen);
  await session.batch([load(0), fetchAdd(8, 1n)]);
  await session.write(0, new Uint8Array(9));
  unsubscribe('exomem:tcp:frame', listen);
  await session.load(0);
  const way = ({ side, direction, op, id, length, status }: FrameTrace): unknown[] => [
    side,
    direction,
    op,
    id,
    length,
    status,
  ];
  assert.equal(frames.map(way), [
    ['client', 'out', 'batch', 1, 64, 0],
    ['appliance', 'in', 'batch', 1, 64, 0],
    ['appliance', 'out', 'batch', 1, 40, 0],
    ['client', 'in', 'batch', 1, 40, 0],
    ['client', 'out', 'write', 2, 33, 0],
    ['appliance', 'in', 'write', 2, 33, 0],
    ['appliance', 'out', 'write', 2, 16, 0],
    ['client', 'in', 'write', 2, 16, 0],
  ]);
  await session.close();
  await failsWith('Closed', () => session.load(0));
});

test.run();
