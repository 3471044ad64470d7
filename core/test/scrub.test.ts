import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import {
  Client,
  decodeRoot,
  encodePrincipal,
  format,
  groupWordOffset,
  highHalf,
  joinWord,
  ownerHalf,
  pageBits,
  principalState,
  principalWordOffset,
  repeatBits,
  runSync,
  scrub,
  userGroups,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('words that belong to nobody alive');

test('are taken from the reserve, too: what the newest snapshot lies in stays, under who found it', async () => {
  const transport = sharedArrayBuffer({ r: createRegion(4 * 1024 * 1024) });
  const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true, reserveGroups: 4 }), { session, surroundings });
  await using client = await Client.open({ transport, url: 'sab:r', surroundings });
  const { geometry, replica, allocator, identity } = client;
  await client.namespace.mkdir('/d');
  await client.snapshot();
  const root = decodeRoot(replica.root.word);
  const groupBytes = geometry.groupPages * geometry.pageSize;
  const rootGroup = (root.page * 4096 - geometry.dataOffset) / groupBytes;
  const offset = (group: number) => groupWordOffset(geometry, group);
  const wordOf = (group: number) => session.load(offset(group)) as bigint;
  const ownerOf = (group: number) => highHalf(wordOf(group));
  assert.is(ownerOf(rootGroup), ownerHalf(identity.principal, identity.incarnation));

  // A principal that was there once and is free since; what it had sent lands only now.
  const dead = identity.principal === 1 ? 2 : 1;
  const free = { state: principalState.free, incarnation: 3, member: 0, memberIncarnation: 0, policy: 0 };
  session.compareExchange(principalWordOffset(geometry, dead), 0n, encodePrincipal(free));
  const low = repeatBits(geometry.groupPages, pageBits.withheld);
  const claim = (group: number, incarnation: number) => {
    const word = wordOf(group);
    assert.is(session.compareExchange(offset(group), word, joinWord(ownerHalf(dead, incarnation), low)), word);
  };
  let orphan = userGroups(geometry);
  while (ownerOf(orphan) !== 0) orphan++;
  claim(orphan, 3);
  claim(rootGroup, 2);
  // Not yet there: nobody may judge that.
  let later = orphan + 1;
  while (later < geometry.groupCount && ownerOf(later) !== 0) later++;
  assert.ok(later < geometry.groupCount, 'the reserve has a third group');
  claim(later, 4);

  assert.is(await client.runOnLog(scrub({ geometry, replica, allocator })), 2);
  assert.is(ownerOf(orphan), 0);
  assert.is(ownerOf(rootGroup), ownerHalf(identity.principal, identity.incarnation));
  assert.is(ownerOf(later), ownerHalf(dead, 4));
  assert.is(await client.runOnLog(scrub({ geometry, replica, allocator })), 0);
  await using late = await Client.open({ transport, url: 'sab:r', surroundings });
  assert.ok((await late.namespace.statPath('/d')).kind === 'directory');
});

test('a snapshot that another client has passed is let go of, although nothing else says that it is past', async () => {
  const transport = sharedArrayBuffer({ r: createRegion(4 * 1024 * 1024) });
  const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  runSync(format(session.size, { zeroed: true }), { session, surroundings });
  await using one = await Client.open({ transport, url: 'sab:r', surroundings });
  await using other = await Client.open({ transport, url: 'sab:r', surroundings });
  const { geometry } = one;
  const held = ({ identity }: Client): number => {
    const own = ownerHalf(identity.principal, identity.incarnation);
    let count = 0;
    for (let group = userGroups(geometry); group < geometry.groupCount; group++) {
      if (highHalf(session.load(groupWordOffset(geometry, group)) as bigint) === own) count++;
    }
    return count;
  };
  await one.namespace.mkdir('/d');
  await one.snapshot();
  await one.tidy();
  assert.is(held(one), 1);
  await other.namespace.mkdir('/e');
  await one.refresh();
  await other.snapshot();
  await one.tidy();
  assert.equal([held(one), held(other)], [0, 1]);
});
test.run();
