import { createHash } from 'node:crypto';
import {
  bitsOf,
  crc32c,
  decodeApplied,
  decodeMember,
  decodePrincipal,
  decodeRoot,
  decodeSlot,
  decodeSuperblock,
  decodeWanted,
  encodeApplied,
  encodeMember,
  encodePrincipal,
  encodeRoot,
  encodeSlot,
  encodeSuperblock,
  encodeWanted,
  type Geometry,
  highHalf,
  incompatible,
  isExomemError,
  joinWord,
  lowHalf,
  ownerHalf,
  ownerOf,
  planGeometry,
  type Superblock,
  stateOffset,
  superblockBytes,
  userGroups,
  withBits,
} from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { refusal } from './fixtures/shared-region.js';

const KiB = 1024;
const GiB = 1024 ** 3;
const TiB = 1024 ** 4;

const words = suite('region words');

const bits = (count: number) => fc.integer({ min: 0, max: 2 ** count - 1 });

words('every field comes back, whatever the others are', () => {
  fc.assert(
    fc.property(bits(4), bits(20), bits(40), bits(16), bits(8), bits(44), bits(32), (a, b, c, d, e, f, g) => {
      const member = { state: a, incarnation: b, beat: c };
      assert.equal(decodeMember(encodeMember(member)), member);
      assert.equal(decodeApplied(encodeApplied(b, f)), { incarnation: b, applied: f });
      const principal = { state: a, incarnation: d, member: d ^ 0x5a5a, memberIncarnation: b, policy: e };
      assert.equal(decodePrincipal(encodePrincipal(principal)), principal);
      assert.equal(decodeSlot(encodeSlot(b, c)), { lap: b, address: c });
      assert.equal(decodeRoot(encodeRoot(b, c % 2 ** 36)), { version: b, page: c % 2 ** 36 });
      const wanted = { principal: d, incarnation: d ^ 0xff, kind: g & 0xf, pages: g >>> 4 };
      assert.equal(decodeWanted(encodeWanted(wanted)), wanted);
      assert.equal(ownerOf(ownerHalf(d, d ^ 0xffff)), { principal: d, incarnation: d ^ 0xffff });
    }),
  );
});

words('fields stand where the format says', () => {
  assert.is(encodeMember({ state: 0xf, incarnation: 0, beat: 0 }), 0xf000_0000_0000_0000n);
  assert.is(encodeMember({ state: 0, incarnation: 0xfffff, beat: 0 }), 0x0fff_ff00_0000_0000n);
  assert.is(encodeMember({ state: 0, incarnation: 0, beat: 2 ** 40 - 1 }), 0xff_ffff_ffffn);
  assert.is(encodeMember({ state: 0, incarnation: 0, beat: 2 ** 40 }), 0n);
  assert.is(encodeApplied(0xfffff, 0), 0xffff_f000_0000_0000n);
  const principal = { state: 2, incarnation: 0xabcd, member: 0x1234, memberIncarnation: 0x56789, policy: 0xef };
  assert.is(encodePrincipal(principal), 0x2abc_d123_4567_89efn);
  assert.is(encodeSlot(1, 1), (1n << 42n) | 1n);
  assert.is(encodeRoot(1, 1), (1n << 36n) | 1n);
  const wanted = { principal: 0x1234, incarnation: 0x5678, kind: 0x9, pages: 0xabcdef0 };
  assert.is(encodeWanted(wanted), 0x1234_5678_9abc_def0n);
  assert.is(encodeWanted({ ...wanted, pages: 2 ** 40 }), 0x1234_5678_9fff_ffffn);
  assert.is(joinWord(ownerHalf(0x1234, 0x5678), 0x9abcdef0), 0x1234_5678_9abc_def0n);
});

words('a word is its two halves', () => {
  fc.assert(
    fc.property(bits(32), bits(32), (high, low) => {
      const word = joinWord(high, low);
      assert.is(word, BigInt(high) * 2n ** 32n + BigInt(low));
      assert.equal([highHalf(word), lowHalf(word)], [high, low]);
    }),
  );
});

words('the bits of a page are its own', () => {
  fc.assert(
    fc.property(bits(32), fc.nat(15), fc.nat(3), (low, index, value) => {
      const changed = withBits(low, index, value);
      for (let at = 0; at < 16; at++) assert.is(bitsOf(changed, at), at === index ? value : bitsOf(low, at));
    }),
  );
  assert.is(withBits(0, 0, 3), 0xc000_0000);
  assert.is(withBits(0, 15, 1), 1);
});

words.run();

const checksum = suite('crc32c');

checksum('agrees with the vectors of RFC 3720', () => {
  const up = Uint8Array.from({ length: 32 }, (_, at) => at);
  assert.is(crc32c(new TextEncoder().encode('123456789')), 0xe306_9283);
  assert.is(crc32c(new Uint8Array(32)), 0x8a91_36aa);
  assert.is(crc32c(new Uint8Array(32).fill(0xff)), 0x62a8_ab43);
  assert.is(crc32c(up), 0x46dd_794e);
  assert.is(crc32c(up.slice().reverse()), 0x113f_db5c);
  assert.is(crc32c(new Uint8Array()), 0);
});

checksum('of parts is that of the whole', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 70 }), fc.nat(70), (bytes, at) => {
      assert.is(crc32c(bytes.subarray(at), crc32c(bytes.subarray(0, at))), crc32c(bytes));
    }),
  );
});

checksum.run();

const geometry = suite('geometry');

/** Where each part lies: its name, its first byte, and the one behind it. */
function parts(g: Geometry): [string, number, number][] {
  return [
    ['superblock', 0, superblockBytes],
    ['control page', g.controlOffset, g.controlOffset + 4096],
    ['members', g.memberOffset, g.memberOffset + g.memberSlots * 256],
    ['principals', g.principalOffset, g.principalOffset + (g.principalSlots + 1) * 8],
    ['groups', g.groupOffset, g.groupOffset + g.groupCount * 8],
    ['log', g.logOffset, g.logOffset + g.logSlots * 8],
    ['arenas', g.arenaOffset, g.arenaOffset + g.memberSlots * g.arenaBytes],
    ['data', g.dataOffset, g.dataOffset + g.groupCount * g.groupPages * g.pageSize],
    ['copy', g.copyOffset, g.copyOffset + superblockBytes],
  ];
}

function checkLayout(g: Geometry, size: number): void {
  let end = 0;
  for (const [name, from, to] of parts(g)) {
    assert.ok(from >= end, `${name} begins at ${from}, before ${end}`);
    assert.is(from % 8, 0, name);
    end = to;
  }
  assert.is(end, g.regionBytes);
  assert.ok(g.regionBytes <= size);
  assert.is(g.arenaOffset % 64, 0);
  assert.is(g.dataOffset % g.pageSize, 0);
  assert.ok(userGroups(g) >= 1);
  assert.ok(g.dataOffset + (g.groupCount + 1) * g.groupPages * g.pageSize > g.copyOffset, 'a whole group is wasted');
}

geometry('parts follow each other and never overlap, for any size', () => {
  const size = fc.oneof(
    fc.integer({ min: 1, max: 2 ** 22 }),
    fc.integer({ min: 1, max: 2 ** 36 }),
    fc.integer({ min: 1, max: 2 ** 48 }),
  );
  const option = {
    pageSize: fc.constantFrom(4 * KiB, 16 * KiB, 64 * KiB, 2048 * KiB),
    groupPages: fc.integer({ min: 1, max: 16 }),
    reserveGroups: fc.nat(100),
    memberSlots: fc.integer({ min: 2, max: 65_535 }),
    principalSlots: fc.integer({ min: 2, max: 65_535 }),
    logSlots: fc.integer({ min: 4, max: 2 ** 19 }),
    arenaBytes: fc.integer({ min: 64, max: 2 ** 20 }).map((units) => units * 128),
  };
  let planned = 0;
  fc.assert(
    fc.property(size, fc.record(option, { requiredKeys: [] }), (bytes, options) => {
      let plan: Geometry;
      try {
        plan = planGeometry(bytes, options);
      } catch (error) {
        assert.ok(isExomemError(error, 'OutOfRange'), String(error));
        return;
      }
      planned++;
      checkLayout(plan, bytes);
      for (const [name, value] of Object.entries(options)) assert.is(plan[name as keyof Geometry], value);
    }),
    { numRuns: 2000 },
  );
  assert.ok(planned > 500, `only ${planned} sizes were possible`);
});

geometry('every size from 4 MiB on has a layout', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 22, max: 48, noNaN: true }).map((exponent) => Math.floor(2 ** exponent)),
      (bytes) => {
        const plan = planGeometry(bytes);
        checkLayout(plan, bytes);
        assert.is(plan.pageSize, bytes <= 16 * GiB ? 4 * KiB : 64 * KiB);
        if (bytes > 16 * GiB) assert.ok(plan.groupCount * 8 <= (bytes / TiB) * 8 * KiB * KiB);
      },
    ),
  );
});

geometry('what is no sensible number is refused', () => {
  for (const size of [0, -1, 0.5, 1, 4096, 100_000, Number.NaN, Infinity, 2 ** 48 + 1, 2 ** 53, '5' as never]) {
    assert.is(
      refusal(() => planGeometry(size)),
      'OutOfRange',
      String(size),
    );
  }
  const options = [
    { pageSize: 0 },
    { pageSize: 2048 },
    { pageSize: 4097 },
    { pageSize: 12_288 },
    { pageSize: 2 ** 22 },
    { groupPages: 0 },
    { groupPages: 17 },
    { groupPages: 1.5 },
    { memberSlots: 1 },
    { memberSlots: 65_536 },
    { principalSlots: 65_536 },
    { logSlots: 3 },
    { logSlots: 2 ** 19 + 1 },
    { arenaBytes: 100 },
    { arenaBytes: 8200 },
    { reserveGroups: -1 },
    { reserveGroups: 1e9 },
    { memberSlots: Number.NaN },
  ];
  for (const option of options) {
    assert.is(
      refusal(() => planGeometry(64 * KiB * KiB, option)),
      'OutOfRange',
      JSON.stringify(option),
    );
  }
});

geometry.run();

const superblock = suite('superblock');

const size = 16 * KiB * KiB;
const example: Superblock = {
  version: 0,
  compat: 0n,
  incompat: 1n,
  roCompat: 0n,
  uuid: Uint8Array.from({ length: 16 }, (_, at) => 0xf0 + at),
  geometry: planGeometry(size, { reserveGroups: 7 }),
  lease: 10_000,
  delay: 2_000,
  drift: 10_000,
  wait: 13_000,
  created: 1_700_000_000_123_456_789n,
};

/** As it lies in a region that is ready. */
function ready(block: Superblock): Uint8Array {
  const bytes = encodeSuperblock(block);
  bytes[stateOffset] = 2;
  return bytes;
}

/** The code that a reader answers with; `fine` if it opens the region. */
function opening(bytes: Uint8Array): string {
  const code = refusal(() => decodeSuperblock(bytes, size));
  return code === 'nothing was refused' ? 'fine' : code;
}

superblock('comes back as it was', () => {
  assert.equal(decodeSuperblock(ready(example), size), { block: example, readOnly: false });
  const offset = new Uint8Array(superblockBytes + 3);
  offset.set(ready(example), 3);
  assert.equal(decodeSuperblock(offset.subarray(3), size).block, example);
});

superblock('has the bytes that the format gives it', () => {
  const bytes = ready(example);
  const hex = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString('hex');
  assert.is(
    hex(0, 64),
    [
      '65786f6d656d0000000000000010000002000000000000000000000000000000',
      '01000000000000000000000000000000f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff',
    ].join(''),
  );
  assert.is(
    hex(64, 224),
    [
      '000000010000000000100000000000001000000000000000f600000000000000',
      '0700000000000000100000000000000040000000000000000001000000000000',
      '0080000000000000001000000000000000200000000000000030000000000000',
      '4032000000000000403a00000000000000500000000000000000090000000000',
      '00f0ff000000000010270000d007000010270000c832000015cd853dfe9c9717',
    ].join(''),
  );
  assert.ok(bytes.subarray(224, 4092).every((byte) => byte === 0));
  assert.is(hex(4092, 4096), '1f1ca38c');
  assert.is(
    createHash('sha256').update(bytes).digest('hex'),
    '7f3f37191a7260dd97524009eba12d054cfe5a670d2941a75035e943cf9ed983',
  );
});

superblock('zeros and noise are no region', () => {
  assert.is(opening(new Uint8Array(superblockBytes)), 'NotFormatted');
  assert.is(opening(new Uint8Array(0)), 'NotFormatted');
  assert.is(opening(ready(example).subarray(0, 4095)), 'NotFormatted');
  fc.assert(
    fc.property(fc.uint8Array({ minLength: superblockBytes, maxLength: superblockBytes }), (noise) => {
      assert.is(opening(noise), 'NotFormatted');
      noise.set(ready(example).subarray(0, 24));
      assert.is(opening(noise), 'Damaged');
    }),
    { numRuns: 20 },
  );
});

superblock('one flipped bit, any of all, is refused', () => {
  const bytes = ready(example);
  for (let bit = 0; bit < superblockBytes * 8; bit++) {
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
    const code = opening(bytes);
    const at = bit >>> 3;
    if (at < 8) assert.is(code, 'NotFormatted', `bit ${bit}`);
    else if (at < 12) assert.is(code, 'Incompatible', `bit ${bit}`);
    else if (at >= 16 && at < 24) assert.ok(code === 'NotFormatted' || code === 'Damaged', `bit ${bit}: ${code}`);
    else assert.is(code, 'Damaged', `bit ${bit}`);
    bytes[bit >>> 3]! ^= 1 << (bit & 7);
  }
  assert.is(opening(bytes), 'fine');
});

superblock('a format that was begun and not ended is no region', () => {
  for (const state of [0, 1, 0x11]) {
    const bytes = ready(example);
    bytes[stateOffset] = state;
    assert.is(opening(bytes), 'NotFormatted');
  }
});

superblock('versions and features decide as the format says', () => {
  assert.is(opening(ready({ ...example, version: 1 })), 'Incompatible');
  for (let bit = 0n; bit < 64n; bit++) {
    const feature = 1n << bit;
    assert.is(opening(ready({ ...example, compat: feature })), 'fine');
    assert.ok(decodeSuperblock(ready({ ...example, roCompat: feature }), size).readOnly);
    // Separate metadata that names no data region.
    const wanted = feature === incompatible.separateMetadata ? 'Damaged' : 'Incompatible';
    if (feature !== 1n) assert.is(opening(ready({ ...example, incompat: 1n | feature })), wanted);
  }
  assert.is(opening(ready({ ...example, incompat: 0n })), 'Incompatible');
  assert.not(decodeSuperblock(ready({ ...example, compat: 2n ** 64n - 1n }), size).readOnly);
});

superblock('a geometry that cannot be is damage, with a checksum that fits', () => {
  const impossible: Partial<Geometry>[] = [
    { regionBytes: size + 8 },
    { pageSize: 2048 },
    { pageSize: 5000 },
    { groupPages: 0 },
    { groupPages: 17 },
    { groupCount: 2 ** 50 },
    { groupCount: 0 },
    { memberSlots: 0 },
    { memberSlots: 70_000 },
    { principalSlots: 70_000 },
    { logSlots: 0 },
    { reserveGroups: 2 ** 40 },
    { controlOffset: 0 },
    { memberOffset: 4 },
    { groupOffset: example.geometry.groupOffset + 4 },
    { logOffset: example.geometry.groupOffset },
    { dataOffset: 2 ** 52 },
    { copyOffset: example.geometry.copyOffset + 8 },
  ];
  for (const change of impossible) {
    const bytes = ready({ ...example, geometry: { ...example.geometry, ...change } });
    assert.is(opening(bytes), 'Damaged', JSON.stringify(change));
  }
  assert.is(
    refusal(() => decodeSuperblock(ready(example), size - 4096)),
    'Damaged',
  );
});

superblock.run();
