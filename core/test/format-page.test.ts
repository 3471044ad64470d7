import { readFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import {
  decodeRecord,
  encodeApplied,
  encodeMember,
  encodePrincipal,
  encodeRecord,
  encodeRoot,
  encodeSlot,
  encodeWanted,
  joinWord,
  memberState,
  type Operation,
  ownerHalf,
  pageBits,
  principalState,
  repeatBits,
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
  ].map((word) => Buffer.from(BigUint64Array.of(word).buffer).toString('hex'));
  assert.equal(words, blocks.get('words'));
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
  assert.is(blocks.size, Object.keys(operations).length + 2, 'no block is left out');
});

test.run();
