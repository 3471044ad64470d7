import { assert, suite } from '@exomem/testing';
import { createRegion, type SharedArrayBufferSession, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { auditRegion, repairRegion } from '../src/audit/index.js';
import {
  type Allocation,
  Client,
  controlFields,
  decodeLock,
  type Exchange,
  encodeLock,
  encodeRedo,
  format,
  type Geometry,
  groupWordOffset,
  joinWord,
  locked,
  lockState,
  ownerHalf,
  redoPlace,
  runSync,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('audit and repair of a region that a lock rules');
const mender = 0xffff;

/** A region with something in it, and what can be done to its lock. */
class Locked {
  private constructor(
    readonly session: SharedArrayBufferSession,
    readonly geometry: Geometry,
    readonly client: Client,
    readonly memory: Allocation,
  ) {}

  static async open(): Promise<Locked> {
    const transport = sharedArrayBuffer({ r: createRegion(8 * 1024 * 1024) });
    const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
    const block = runSync(format(session.size, { zeroed: true, lease: 1000, policy: locked }), {
      session,
      surroundings,
    });
    const client = await Client.open({ transport, url: 'sab:r', surroundings });
    return new Locked(session, block.geometry, client, await client.allocate(9000));
  }

  get at(): number {
    return this.geometry.controlOffset + controlFields.lock;
  }
  get lock(): bigint {
    return this.session.load(this.at) as bigint;
  }
  set lock(word: bigint) {
    this.session.compareExchange(this.at, this.lock, word);
  }
  word(group: number): bigint {
    return this.session.load(groupWordOffset(this.geometry, group)) as bigint;
  }
  get slot(): number {
    return this.client.member.slot;
  }
  /** As if this member had. */
  commit(exchanges: readonly Exchange[], incarnation = this.client.member.incarnation): void {
    const { slot } = this;
    const token = decodeLock(this.lock).token + 1;
    this.session.write(redoPlace(this.geometry, slot, token).offset, encodeRedo({ token, incarnation, exchanges }));
    this.lock = encodeLock({ token, state: lockState.commit, holder: slot });
  }
  async leave(): Promise<void> {
    await this.client.close();
  }

  findings(): string[] {
    const { session } = this;
    const { findings } = runSync(auditRegion(session.size, { readings: 1 }), { session, surroundings });
    return findings.filter(({ oracle }) => oracle === 'I15').map(({ severity, what }) => `${severity}: ${what}`);
  }
  repair(): readonly string[] {
    const { session } = this;
    const { mends, after } = runSync(repairRegion(session.size, { readings: 1 }), { session, surroundings });
    assert.not(after.damaged);
    return mends.map(({ what }) => what);
  }
}

test('a lock that is free, held or in the middle of a commit is no damage', async () => {
  const region = await Locked.open();
  assert.equal(region.findings(), []);
  const { token } = decodeLock(region.lock);
  region.lock = encodeLock({ token: token + 1, state: lockState.held, holder: region.slot });
  assert.match(region.findings().join(), /^note: the lock is held by member \d+, which/);
  region.lock = encodeLock({ token: token + 1, state: lockState.held, holder: mender });
  assert.match(region.findings().join(), /^note: .* mends/);
  const [before, after] = [region.word(3), region.word(3) + 1n];
  region.commit([{ group: 3, before, after }]);
  assert.match(region.findings().join(), /^note: member \d+ has committed 1 changes/);
  // It is its own, and would be done: here nothing was meant by it.
  region.lock = 0n;
  await region.leave();
});

for (const [name, inflict, what] of [
  ['a state that there is not', (r) => (r.lock = 3n << 16n), /damage: .* state 3, which is none/],
  ['a holder although it is free', (r) => (r.lock = (7n << 18n) | 5n), /damage: .* names a holder/],
  ['a holder without a slot', (r) => (r.lock = (7n << 18n) | (1n << 16n) | 9999n), /damage: .* no such slot/],
  ['a commit of which nothing is written', (r) => (r.lock = (70n << 18n) | (2n << 16n)), /damage: .* no whole record/],
] satisfies readonly (readonly [string, (region: Locked) => unknown, RegExp])[]) {
  test(`finds ${name}, and frees the lock`, async () => {
    const region = await Locked.open();
    inflict(region);
    const { token } = decodeLock(region.lock);
    assert.match(region.findings().join(), what);
    assert.equal(region.repair(), ['the lock of the table is free']);
    assert.equal(decodeLock(region.lock), { token: token + 1, state: lockState.free, holder: 0 });
    // Everybody goes on.
    await region.memory.free();
    await region.leave();
  });
}

test('finds a redo record of which a byte was changed, and words that do not fit it', async () => {
  const region = await Locked.open();
  const before = region.word(3);
  region.commit([{ group: 3, before: before + 2n, after: before + 3n }]);
  assert.match(region.findings().join(), /damage: group 3 shows .* another word/);
  const { token } = decodeLock(region.lock);
  const { offset } = redoPlace(region.geometry, region.slot, token);
  region.session.view(offset + 30, 1)[0]! ^= 4;
  assert.match(region.findings().join(), /damage: member \d+ has committed .* no whole record/);
  region.commit([], 99);
  assert.match(region.findings().join(), /damage: member \d+ has committed in incarnation 99/);
  region.lock = 0n;
  await region.leave();
});

test('what somebody had committed who is no more is done before the table is mended', async () => {
  const region = await Locked.open();
  await region.leave();
  // A claim of one who died in the middle, beside a word that is damaged.
  const free = region.word(2);
  const { principal, incarnation } = region.client.identity;
  region.commit([{ group: 2, before: free, after: joinWord(ownerHalf(principal, incarnation), 0x4000_0000) }]);
  const offset = groupWordOffset(region.geometry, 5);
  region.session.compareExchange(offset, region.word(5), 77n << 32n);
  assert.match(region.repair().join(), /group 5/);
  assert.is(decodeLock(region.lock).state, lockState.free);
  assert.is(Number(region.word(2) >> 48n), principal);
});

test.run();
