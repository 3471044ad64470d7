import { readFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import {
  answerBodyOffset,
  answerWordOffset,
  crc32c,
  decodeMemberLine,
  decodeRecord,
  decodeRedo,
  decodeRequest,
  decodeSnapshotHeader,
  decodeState,
  decodeSuperblock,
  encodeApplied,
  encodeDataHeader,
  encodeHold,
  encodeIntroduction,
  encodeLetter,
  encodeLock,
  encodeMember,
  encodePrincipal,
  encodeRecord,
  encodeRedo,
  encodeRequest,
  encodeRoot,
  encodeSeat,
  encodeSlot,
  encodeSnapshotHeader,
  encodeState,
  encodeSuperblock,
  encodeWanted,
  formatVersion,
  incompatible,
  joinWord,
  lockState,
  memberFields,
  memberState,
  NamespaceState,
  type Operation,
  ownerHalf,
  pageBits,
  planDataRegion,
  planGeometry,
  principalState,
  recordLimit,
  recordUnit,
  refusalOfData,
  refusedCount,
  repeatBits,
  requestBodyOffset,
  requestWordOffset,
  seatOffset,
  superblockState,
  wantedKind,
} from '../src/index.js';

const test = suite('the worked bytes of docs/FORMAT.md');

/** Bytes are in pairs of digits, from the start of a line up to what is no such pair. */
const page = readFileSync(new URL('../../../docs/FORMAT.md', import.meta.url), 'utf8');
const blocks = new Map(
  [...page.matchAll(/```hex (\w+)\n([^`]*)```/g)].map(([, name, block]) => [
    name!,
    block!
      .trimEnd()
      .split('\n')
      .map((line) => /^(?:[0-9a-f]{2} ?)+(?= |$)/.exec(line)![0].replaceAll(' ', '')),
  ]),
);

const time = 1_700_000_000_000_000_001n;
const drop = { op: 'drop', inode: 4096, principal: 9, incarnation: 258 } as const;
/** One of each kind: the compiler wants all of them. */
const operations: { readonly [Kind in Operation['op']]: Operation & { readonly op: Kind } } = {
  create: {
    op: 'create',
    parent: 1,
    name: 'ä',
    kind: 'file',
    mode: 0o640,
    uid: 1000,
    gid: 100,
    time,
    target: '',
    size: 9000,
    extents: [
      { at: 0, page: 300, pages: 2 },
      { at: 2, page: 17, pages: 1 },
    ],
    owner: { principal: 7, incarnation: 3 },
  },
  link: { op: 'link', parent: 1, name: 'b', inode: 4096, time },
  unlink: { op: 'unlink', parent: 1, name: 'b', inode: 4096, directory: false, time },
  rename: { op: 'rename', parent: 1, name: 'ä', inode: 4096, newParent: 8193, newName: 'c', replaced: 0, time },
  extend: {
    op: 'extend',
    inode: 4096,
    size: 12_289,
    time,
    extents: [{ at: 3, page: 302, pages: 1 }],
    written: [{ from: 9000, to: 12_289 }],
  },
  truncate: { op: 'truncate', inode: 4096, size: 100, time },
  setattr: { op: 'setattr', inode: 4096, mode: 0o600, mtime: -1n, ctime: time },
  fence: { op: 'fence', principal: 7, incarnation: 3, adopt: true },
  keep: { op: 'keep', inode: 4096, principal: 9, incarnation: 258, extents: [{ at: 0, page: 300, pages: 1 }] },
  drop,
  disown: { op: 'disown', principal: 7, incarnation: 4 },
};
/** Bytes of a record before its operations. */
const header = 34;

function record(operation: Operation) {
  return { index: 70_000, lap: 1, author: 9, incarnation: 258, sequence: 5, operations: [operation] };
}

test('the words', () => {
  const run = 0b01_10_10_00_11 * 2 ** 22;
  const words = [
    encodeMember({ state: memberState.active, incarnation: 3, beat: 5 }),
    encodeApplied(3, 70_000),
    encodeWanted({ principal: 7, incarnation: 258, pages: 40 }),
    encodePrincipal({ state: principalState.active, incarnation: 258, member: 3, memberIncarnation: 5, policy: 254 }),
    joinWord(0, repeatBits(16, pageBits.clean)),
    joinWord(ownerHalf(7, 258), run),
    encodeSlot(1, 0x12345),
    encodeRoot(2, 0x345),
    encodeLock({ token: 300, state: lockState.commit, holder: 5 }),
  ].map((word) => Buffer.from(BigUint64Array.of(word).buffer).toString('hex'));
  assert.equal(words, blocks.get('words'));
});

test('the mailboxes', () => {
  const letter = { incarnation: 258, sequence: 70_000, count: 2 };
  const words = [
    encodeSeat({ term: 7, slot: 3, incarnation: 258 }),
    encodeLetter(letter),
    encodeLetter({ ...letter, count: refusedCount }),
  ].map((word) => Buffer.from(BigUint64Array.of(word).buffer).toString('hex'));
  assert.equal(words, blocks.get('mailboxes'));
  const high = ownerHalf(9, 4);
  const changes = [
    { group: 300, expected: joinWord(0, repeatBits(16, pageBits.clean)), desired: joinWord(high, 0x6000_0000) },
    { group: 301, expected: 0n, desired: joinWord(high, 0xa000_0000) },
  ];
  const word = encodeLetter(letter);
  const bytes = encodeRequest(word, { changes, stop: true });
  assert.is(Buffer.from(bytes).toString('hex'), blocks.get('request')!.join(''));
  assert.equal(decodeRequest(bytes, word, 302), { changes, stop: true });
  // Where everything lies, by the page's formula.
  const geometry = { ...planGeometry(16 * 1024 * 1024, { memberSlots: 17, mailboxes: true }) };
  const at = geometry.mailboxOffset;
  const rounded = 192;
  assert.is(seatOffset(geometry), at);
  assert.is(requestWordOffset(geometry, 5), at + 64 + 40);
  assert.is(answerWordOffset(geometry, 5), at + 64 + rounded + 40);
  assert.is(requestBodyOffset(geometry, 5), at + 64 + 2 * rounded + 5 * 2112);
  assert.is(answerBodyOffset(geometry, 5), at + 64 + 2 * rounded + 5 * 2112 + 1600);
  assert.is(geometry.mailboxBytes, 64 + 2 * rounded + 17 * 2112);
});

test('a redo record', () => {
  const owner = ownerHalf(7, 258);
  const exchanges = [
    { group: 7, before: joinWord(0, 0x5555_5555), after: joinWord(owner, 0x68c0_0000) },
    { group: 8, before: 0n, after: joinWord(owner, 0xaa00_0000) },
  ];
  const redo = { token: 300, incarnation: 3, exchanges };
  const bytes = encodeRedo(redo);
  assert.is(Buffer.from(bytes).toString('hex'), blocks.get('redo')!.join(''));
  assert.equal(decodeRedo(bytes, 300, 9), redo);
  assert.is(decodeRedo(bytes, 301, 9), undefined);
  assert.is(decodeRedo(bytes, 300, 8), undefined);
});

test('the record', () => {
  assert.is(Buffer.from(encodeRecord(record(drop))).toString('hex'), blocks.get('record')!.join(''));
});

test('an operation of each kind, both ways', () => {
  for (const [kind, operation] of Object.entries(operations)) {
    const bytes = encodeRecord(record(operation));
    assert.is(Buffer.from(bytes.subarray(header)).toString('hex'), blocks.get(kind)?.join(''), kind);
    const decoded = decodeRecord(bytes, 70_000, 1)!.operations[0] as unknown as Record<string, unknown>;
    for (const [field, value] of Object.entries(operation)) assert.equal(decoded[field], value, `${kind}.${field}`);
  }
});

/** A block whose last line lies at `at`, behind zeros. */
function sparse(name: string, at: number): Buffer {
  const lines = blocks.get(name)!;
  const head = Buffer.from(lines.slice(0, -1).join(''), 'hex');
  const tail = Buffer.from(lines.at(-1)!, 'hex');
  return Buffer.concat([head, Buffer.alloc(at - head.length), tail]);
}

test('the superblock', () => {
  const block = {
    version: formatVersion,
    compat: 0n,
    incompat: incompatible.atomic,
    roCompat: 0n,
    uuid: Uint8Array.from({ length: 16 }, (_, index) => index),
    geometry: planGeometry(16 * 1024 * 1024),
    lease: 10_000,
    delay: 2000,
    drift: 1000,
    wait: 13_000,
    created: time,
  };
  const bytes = Buffer.from(encodeSuperblock(block));
  // The state is in no checksum: it is written last.
  bytes.writeBigUInt64LE(BigInt(superblockState.ready), 16);
  assert.is(bytes.toString('hex'), sparse('superblock', 4092).toString('hex'));
  assert.equal(decodeSuperblock(new Uint8Array(bytes), 16 * 1024 * 1024).block, block);
});

test('the header of a data region, and what the superblock says of it', () => {
  const geometry = planGeometry(4 * 1024 * 1024, { dataBytes: 16 * 1024 * 1024 });
  const block = {
    version: formatVersion,
    compat: 0n,
    incompat: incompatible.atomic | incompatible.separateMetadata,
    roCompat: 0n,
    uuid: Uint8Array.from({ length: 16 }, (_, index) => index),
    geometry,
    lease: 10_000,
    delay: 2000,
    drift: 1000,
    wait: 13_000,
    created: time,
    data: planDataRegion(geometry, new Uint8Array(16).fill(0xda)),
  };
  const header = Buffer.from(encodeDataHeader(block));
  header.writeBigUInt64LE(BigInt(superblockState.ready), 16);
  assert.is(header.toString('hex'), sparse('data', 4092).toString('hex'));
  assert.is(refusalOfData(header, block), undefined);
  const bytes = Buffer.from(encodeSuperblock(block));
  assert.is(bytes.subarray(256, 288).toString('hex'), blocks.get('apart')!.join(''));
  bytes.writeBigUInt64LE(BigInt(superblockState.ready), 16);
  assert.equal(decodeSuperblock(new Uint8Array(bytes), geometry.regionBytes).block, block);
});

test('a member line', () => {
  const line = Buffer.alloc(256);
  const introduction = { clientId: Buffer.alloc(16, 0xc1), steward: true, pid: 4711, label: 'grüße' };
  line.writeBigUInt64LE(
    encodeMember({ state: memberState.joining, incarnation: 3, beat: 2 ** 40 - 1 }),
    memberFields.w0,
  );
  line.writeBigUInt64LE(encodeApplied(3, 12), memberFields.w1);
  line.set(encodeIntroduction(introduction, 3), memberFields.identity);
  line.writeBigUInt64LE(
    encodeWanted({ principal: 7, incarnation: 258, kind: wantedKind.migrate, pages: 5 }),
    memberFields.wanted,
  );
  assert.is(
    line.toString('hex'),
    Buffer.concat([Buffer.from(blocks.get('member')!.join(''), 'hex')], 256).toString('hex'),
  );
  const { clientId, steward, pid, label, introduced, applied } = decodeMemberLine(line, 0);
  assert.equal({ clientId: Buffer.from(clientId), steward, pid, label }, introduction);
  assert.equal([introduced, applied], [true, 12]);
});

test('a snapshot, both ways', () => {
  const state = new NamespaceState(4096);
  const create = { ...operations.create, name: 'f', extents: [{ at: 0, page: 300, pages: 2 }], size: 5000 };
  const directory = { ...create, name: 'd', kind: 'directory', size: 0, extents: [], owner: undefined } as const;
  const symlink = { ...directory, name: 's', kind: 'symlink', target: 'f' } as const;
  const truncate = { ...operations.truncate, inode: 4096, size: 4196 };
  const all: Operation[] = [create, directory, symlink, truncate, { ...operations.fence, principal: 8, adopt: false }];
  state.apply({ ...record(drop), index: 1, lap: 0, operations: all });
  state.apply({
    ...record(operations.keep),
    index: 2,
    lap: 0,
    sequence: 6,
    operations: [{ ...operations.keep, inode: 77 }],
  });
  const body = encodeState(state);
  assert.is(Buffer.from(body).toString('hex'), blocks.get('body')!.join(''));
  assert.is(Buffer.from(encodeState(decodeState(body, 4096, 3))).toString('hex'), blocks.get('body')!.join(''));
  const header = { index: 3, length: body.length, checksum: crc32c(body), runs: [{ group: 234, groups: 2 }] };
  const bytes = Buffer.from(encodeSnapshotHeader(header));
  assert.is(
    bytes.toString('hex'),
    Buffer.concat([Buffer.from(blocks.get('snapshot')!.join(''), 'hex')], 4096).toString('hex'),
  );
  assert.equal(decodeSnapshotHeader(bytes), header);
});

test('no block is left out', () => {
  const others = [
    'words',
    'record',
    'superblock',
    'apart',
    'data',
    'member',
    'snapshot',
    'body',
    'mailboxes',
    'request',
    'redo',
  ];
  assert.equal([...blocks.keys()].sort(), [...Object.keys(operations), ...others].sort());
});

/** The rows of the table behind a text, cell by cell. */
function table(after: string): string[][] {
  const text = page.slice(page.indexOf(after));
  const [rows] = /(?:^\|.*\|\n)+/m.exec(text)!;
  const cells = (row: string) => row.split(/(?<!\\)\|/).map((cell) => cell.trim());
  return rows
    .trimEnd()
    .split('\n')
    .slice(2)
    .map((row) => cells(row).slice(1, -1));
}

test('the tables have the numbers of the code', () => {
  for (const [number, name] of table('**Operations**'))
    assert.is(Number.parseInt(blocks.get(name!)![0]!.slice(0, 2), 16), Number(number), name);
  assert.equal(
    table('A member slot has 256 bytes').map(([at]) => Number(at)),
    Object.values(memberFields),
  );
  // States, as in "FREE 0, JOINING 1".
  for (const [name, number] of [
    ...Object.entries(memberState),
    ...Object.entries(principalState),
    ...Object.entries(lockState),
  ])
    assert.match(page, new RegExp(`${name.toUpperCase()} ${number}\\b`));
  const order = [...page.matchAll(/^\| (\d+) +\| 8 each +\| (.*)/gm)].flatMap(([, start, names]) =>
    [...names!.split(';')[0]!.matchAll(/`(\w+)`/g)].map(([, name], at) => [Number(start) + 8 * at, name!] as const),
  );
  const geometry = planGeometry(16 * 1024 * 1024);
  const block = sparse('superblock', 4092);
  for (const [at, name] of order)
    assert.is(Number(block.readBigUInt64LE(at)), geometry[name as keyof typeof geometry], name);
  assert.is(order.length, Object.keys(geometry).length);
  assert.match(
    page,
    `at\nmultiples of ${recordUnit} and are at most ${recordLimit.toLocaleString('en-US')} bytes long`,
  );
});

test('the fields of the words are where the page says', () => {
  const words = new Map(
    [...page.matchAll(/\{([a-z ]+:\d+(?: \\?\| [a-z ]+:\d+)+)\}/g)].map(([, text]) => {
      const fields = text!.split(/ \\?\| /).map((field) => field.split(':') as [string, string]);
      return [fields.map(([name]) => name).join(' '), fields.map(([, width]) => Number(width))];
    }),
  );
  const pack = (name: string, ...values: number[]) => {
    const widths = words.get(name);
    assert.ok(widths !== undefined, `the page has no word {${name}}`);
    assert.is(
      widths.reduce((sum, width) => sum + width, 0),
      64,
      name,
    );
    return widths.reduce((word, width, at) => (word << BigInt(width)) | BigInt(values[at]!), 0n);
  };
  const [state, incarnation, beat] = [2, 0xabcde, 0x12_3456_789a];
  assert.is(pack('state incarnation beat', state, incarnation, beat), encodeMember({ state, incarnation, beat }));
  assert.is(pack('incarnation applied', incarnation, beat), encodeApplied(incarnation, beat));
  const wanted = { principal: 0xfedc, incarnation: 0xba98, kind: 1, pages: 0x765_4321 };
  assert.is(pack('principal incarnation kind pages', ...Object.values(wanted)), encodeWanted(wanted));
  const principal = { state, incarnation: 0xba98, member: 0xfedc, memberIncarnation: incarnation, policy: 254 };
  assert.is(
    pack('state incarnation member member incarnation policy', ...Object.values(principal)),
    encodePrincipal(principal),
  );
  assert.is(pack('lap address', 0x3f_edcb, 0x3ff_1234_5678), encodeSlot(0x3f_edcb, 0x3ff_1234_5678));
  assert.is(pack('version page', 0xfed_cba9, 0xf_8765_4321), encodeRoot(0xfed_cba9, 0xf_8765_4321));
  assert.is(pack('nonce state', 0, superblockState.ready), BigInt(superblockState.ready));
  const hold = { turn: 0xfed_cba9, incarnation, slot: 0xfedc };
  assert.is(pack('turn incarnation slot', ...Object.values(hold)), encodeHold(hold));
  assert.is(
    pack('term slot incarnation', 0xabc_def1, 0xfedc, 0x98765),
    encodeSeat({ term: 0xabc_def1, slot: 0xfedc, incarnation: 0x98765 }),
  );
  const letter = { incarnation: 0x98765, sequence: 0xa_1234_5678, count: 0xfe };
  assert.is(pack('incarnation sequence count', ...Object.values(letter)), encodeLetter(letter));
  assert.is(
    pack('token state holder', 0x3fff_1234_5678, 2, 0xfedc),
    encodeLock({ token: 0x3fff_1234_5678, state: 2, holder: 0xfedc }),
  );
  assert.is(words.size, 11, 'no word is left out but the group word, whose bits have no width each');
});

test.run();
