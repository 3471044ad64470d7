import { assert, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { judge, readImage } from '../src/audit/index.js';
import {
  Client,
  decodePrincipal,
  encodePrincipal,
  fenceSelf,
  format,
  memberState,
  principalWordOffset,
  runSync,
  Steward,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('a principal handed to one who is gone');

test('is recovered: its files stay, and nobody waits for it', async () => {
  // Without a roster: what is played here is a client that has ended, and its thread has not.
  const transport = sharedArrayBuffer({ r: createRegion(4 * 1024 * 1024).segments });
  const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const bench = { session, surroundings };
  runSync(format(session.size, { zeroed: true }), bench);
  const open = (role: 'member' | 'steward') => Client.open({ transport, url: 'sab:r', surroundings, role });
  const keeper = await open('steward');
  const steward = new Steward(keeper);
  const a = await open('member');
  const file = await a.namespace.open('/f', { create: true });
  await file.write(0, new Uint8Array(20_000).fill(1));
  await file.close();
  const b = await open('member');
  const { slot, incarnation } = b.member;
  await b.close();
  await steward.round();
  assert.is((await keeper.members()).members[slot]!.state, memberState.free);

  // What a leaving member does whose heir died, and was recovered, between its look and its swap.
  const { principal, word } = a.identity;
  const theirs = encodePrincipal({ ...decodePrincipal(word), member: slot, memberIncarnation: incarnation });
  assert.is(session.compareExchange(principalWordOffset(a.geometry, principal), word, theirs), word);
  runSync(fenceSelf(a.geometry, a.member), bench);
  const judged = (atRest: boolean) => judge(runSync(readImage(session.size), bench), undefined, { atRest });
  assert.ok(judged(false).some(({ what }) => what.includes('is stranded')));

  for (let round = 0; round < 3; round++) await steward.round();
  await keeper.tidy();
  assert.equal(
    judged(true).filter(({ severity }) => severity === 'damage'),
    [],
  );
  const { principals } = await keeper.members();
  assert.is(principals.filter(({ state }) => state !== 0).length, 1);
  assert.is((await keeper.namespace.open('/f')).size, 20_000);
  await a.close().catch(() => undefined);
  await keeper.close();
});
test.run();
