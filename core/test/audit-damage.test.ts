import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { oracles } from '../src/audit/index.js';
import {
  decodeMember,
  decodePrincipal,
  decodeSuperblock,
  encodeMember,
  encodePrincipal,
  encodeRoot,
  encodeSlot,
  encodeSuperblock,
  joinWord,
  memberState,
  type NamespaceState,
  principalState,
  recordLimit,
} from '../src/index.js';
import { type LivedIn, livedIn, Patient } from './fixtures/lived-in-region.js';

const test = suite('audit of damage');
const region = await livedIn();
const { geometry, told } = region;
const author = (principal: number, sequence = 1000) => ({
  principal,
  incarnation: decodePrincipal(new Patient(region).load(new Patient(region).principal(principal))).incarnation,
  sequence,
});

test('what clients left is clean, at rest too, and agrees with what they were told', () => {
  const patient = new Patient(region);
  assert.equal(patient.damage(told, { atRest: true }), []);
  const { tables } = patient.image();
  const { log, counts } = tables!;
  assert.ok(log.snapshot !== undefined, 'there is a snapshot');
  assert.ok(log.entries.length > 3, `there are ${log.entries.length} records behind it`);
  assert.ok(log.end > geometry.logSlots, 'the log is in its second lap');
  assert.is(log.state.kept.size, 1);
  assert.ok(counts.named > 8 && counts.held > 80 && counts.reserve.snapshot > 0);
  assert.is(counts.withheld, counts.named);
});

/** Each does one thing to a region, and names who must find it. */
const diseases: Record<string, [oracle: string, inflict: (patient: Patient, region: LivedIn) => void]> = {
  'the magic': ['superblock', (patient) => patient.flip(0, 3)],
  'the version': ['superblock', (patient) => patient.flip(8, 0)],
  'the state of the superblock': ['superblock', (patient) => patient.store(16, 3n)],
  'a field of the superblock': ['superblock', (patient) => patient.flip(96, 1)],
  'the checksum of the superblock': ['superblock', (patient) => patient.flip(4092, 7)],
  'the copy of the superblock': ['superblock', (patient) => patient.flip(geometry.copyOffset + 200, 2)],
  'a copy with a state': ['superblock', (patient) => patient.store(geometry.copyOffset + 16, 2n)],
  'a copy of another superblock': [
    'superblock',
    (patient) => {
      const { block } = decodeSuperblock(patient.bytes.slice(0, 4096), patient.bytes.length);
      patient.bytes.set(encodeSuperblock({ ...block, lease: block.lease + 1 }), geometry.copyOffset);
    },
  ],

  'a member of no state': ['members', (patient, { holder }) => patient.flip(patient.member(holder.slot), 62)],
  'a member that was never there': [
    'members',
    (patient) => patient.store(freeSlot(patient), encodeMember({ state: memberState.active, incarnation: 0, beat: 1 })),
  ],
  'nobody who beats': ['members', (patient) => patient.flip(freeSlot(patient), 5)],
  'an introduction': ['members', (patient, { holder }) => patient.flip(patient.member(holder.slot) + 128, 40 * 8)],
  'an introduction of somebody else': [
    'members',
    (patient, { holder }) => {
      const from = freeSlot(patient) + 128;
      patient.bytes.copyWithin(patient.member(holder.slot) + 128, from, from + 64);
    },
  ],
  'w1 of the incarnation before': [
    'members',
    (patient, { holder }) => patient.store(patient.member(holder.slot) + 64, 5n),
  ],
  'w1 of the incarnation to come': [
    'members',
    (patient, { holder }) => patient.flip(patient.member(holder.slot) + 64, 50),
  ],
  'w1 beyond the log': ['members', (patient, { holder }) => patient.flip(patient.member(holder.slot) + 64, 30)],

  'a principal of no state': [
    'principals',
    (patient, { holder }) => patient.flip(patient.principal(holder.principal), 62),
  ],
  'a principal 0': ['principals', (patient) => patient.store(patient.principal(0), 1n)],
  'a principal whose member cannot be': [
    'principals',
    (patient, { holder }) => alter(patient, holder.principal, { member: 60_000 }),
  ],
  'a principal whose member is to come': [
    'principals',
    (patient, { holder }) => alter(patient, holder.principal, { memberIncarnation: 77 }),
  ],
  'a principal whose member is joining': [
    'principals',
    (patient, { holder }) => {
      const at = patient.member(holder.slot);
      patient.store(at, encodeMember({ ...decodeMember(patient.load(at)), state: memberState.joining }));
    },
  ],
  'a free principal with a member': [
    'principals',
    (patient, { holder }) => alter(patient, holder.principal, { state: principalState.free }),
  ],
  'a principal of no policy': [
    'principals',
    (patient, { holder }) => alter(patient, holder.principal, { policy: 100 }),
  ],
  'a principal of no incarnation': [
    'principals',
    (patient, { holder }) => alter(patient, holder.principal, { incarnation: 0 }),
  ],
  'a fence of one who lives': [
    'principals',
    (patient, { holder, writer }) => {
      const { incarnation } = author(holder.principal);
      patient.append(
        [{ op: 'fence', principal: holder.principal, incarnation, adopt: false }],
        author(writer.principal),
      );
    },
  ],
  'a fence of one to come': [
    'principals',
    (patient, { holder, writer }) =>
      patient.append(
        [{ op: 'fence', principal: holder.principal, incarnation: 500, adopt: false }],
        author(writer.principal),
      ),
  ],

  'a group of one who was never there': [
    'groups',
    (patient, { long }) => patient.flip(patient.group(patient.groupOf(long.page)), 63),
  ],
  'a group of an incarnation to come': [
    'groups',
    (patient, { long }) => patient.flip(patient.group(patient.groupOf(long.page)), 45),
  ],
  'a group of nobody, in an incarnation': [
    'groups',
    (patient) => patient.store(patient.group(freeGroup(patient)), joinWord(7, 0)),
  ],
  'a group of nobody, in use': [
    'groups',
    (patient) => patient.store(patient.group(freeGroup(patient)), joinWord(0, 0x8000_0000)),
  ],
  'principals swapped': [
    'groups',
    (patient, { holder }) => {
      const other = Array.from({ length: geometry.principalSlots }, (_, at) => at + 1).find(
        (at) => decodePrincipal(patient.load(patient.principal(at))).incarnation === 0,
      )!;
      const [one, two] = [patient.principal(holder.principal), patient.principal(other)];
      const words = [patient.load(one), patient.load(two)];
      patient.store(one, words[1]!);
      patient.store(two, words[0]!);
    },
  ],

  'the first group of a run freed': [
    'runs',
    (patient, { long }) => patient.store(patient.group(patient.groupOf(long.page)), 0n),
  ],
  'a group within a run freed': [
    'runs',
    (patient, { long }) => patient.store(patient.group(patient.groupOf(long.page) + 2), 0n),
  ],
  'a hole in a run': ['runs', (patient, { long }) => patient.mark(long.page + 20, 0)],
  'the head of a run freed': ['runs', (patient, { long }) => patient.mark(long.page, 0)],
  'a head within a run': ['runs', (patient, { long }) => patient.mark(long.page + 5, 1)],
  'a run behind a page of a file': ['runs', (patient, { room }) => patient.mark(room, 2)],

  'the snapshot freed': [
    'reserve',
    (patient) =>
      patient.store(
        patient.group((patient.snapshotOffset - geometry.dataOffset) / (geometry.groupPages * geometry.pageSize)),
        0n,
      ),
  ],
  'the snapshot given out': [
    'reserve',
    (patient) => patient.mark((patient.snapshotOffset - geometry.dataOffset) / geometry.pageSize + 3, 1),
  ],

  'a root into nowhere': ['root', (patient) => patient.flip(patient.root, 35)],
  'a root into user pages': [
    'root',
    (patient) => patient.store(patient.root, encodeRoot(9, geometry.dataOffset / 4096)),
  ],
  'a root into the middle of a group': ['root', (patient) => patient.flip(patient.root, 0)],
  'a root that was never swung': [
    'root',
    (patient) => patient.store(patient.root, encodeRoot(0, patient.snapshotOffset / 4096)),
  ],
  'the header of the snapshot': ['root', (patient) => patient.flip(patient.snapshotOffset + 9, 0)],
  'the body of the snapshot': ['root', (patient) => patient.flip(patient.snapshotOffset + 4096 + 50, 0)],
  'the lock word': ['root', (patient) => patient.store(patient.root + 64, 1n)],

  'a lap too high': ['log', (patient) => patient.flip(patient.slot(patient.end - 2), 45)],
  'a lap too low': ['log', (patient) => patient.flip(patient.slot(patient.end - 2), 42)],
  'a lap of an empty slot': ['log', (patient) => patient.flip(patient.slot(patient.end + 3), 50)],
  'a record behind the end': [
    'log',
    (patient) => patient.store(patient.slot(patient.end + 2), patient.load(patient.slot(patient.end - 1))),
  ],
  'a slot that points at data': [
    'log',
    (patient) => {
      const index = patient.end - 1;
      patient.store(patient.slot(index), encodeSlot(Math.floor(index / geometry.logSlots), geometry.dataOffset / 64));
    },
  ],
  'a record of an unknown author': [
    'log',
    (patient) =>
      patient.append([{ op: 'setattr', inode: 1, mode: 0o777, ctime: 0n }], {
        principal: 16,
        incarnation: 60,
        sequence: 1,
      }),
  ],

  'a record with another byte': ['I7', (patient) => patient.flip(patient.record(patient.end - 2) + 40, 3)],
  'a record cut off': ['I7', (patient) => patient.view.setUint32(patient.record(patient.end - 2), 20, true)],
  'a record of impossible length': [
    'I7',
    (patient) => patient.view.setUint32(patient.record(patient.end - 2), recordLimit + 1, true),
  ],
  'a record of another index': [
    'I7',
    (patient) => {
      const index = patient.end - 1;
      patient.store(
        patient.slot(index),
        encodeSlot(Math.floor(index / geometry.logSlots), patient.record(index - 1) / 64),
      );
    },
  ],

  'a named page freed': ['I6', (patient, { file }) => patient.mark(file.page + 2, 0)],
  'a named page given out': ['I6', (patient, { file }) => patient.mark(file.page + 2, 1)],
  'the group of a file freed': [
    'I6',
    (patient, { file }) => patient.store(patient.group(patient.groupOf(file.page)), 0n),
  ],
  'a page in two files': [
    'I6',
    (patient, { file, writer }) =>
      patient.append([creation('twin', [{ at: 0, page: file.page + 1, pages: 1 }])], author(writer.principal)),
  ],
  'a page twice in a file': [
    'I6',
    (patient, { file, writer }) =>
      patient.append(
        [
          {
            op: 'extend',
            inode: file.inode,
            size: 500_000,
            time: 0n,
            extents: [{ at: 100, page: file.page, pages: 1 }],
            written: [],
          },
        ],
        author(writer.principal),
      ),
  ],
  'a file of pages beyond the region': [
    'I6',
    (patient, { writer }) =>
      patient.append([creation('far', [{ at: 0, page: 2 ** 40, pages: 2 ** 50 }])], author(writer.principal)),
  ],
  'a file in the reserve': [
    'I6',
    (patient, { writer }) => {
      const page = (geometry.groupCount - 1) * geometry.groupPages;
      patient.append([creation('inside', [{ at: 0, page, pages: 1 }])], author(writer.principal));
    },
  ],
  'a file of pages that are held': [
    'I6',
    (patient, { long, writer }) =>
      patient.append([creation('thief', [{ at: 0, page: long.page, pages: 3 }])], author(writer.principal)),
  ],

  'a tree without a root': ['root', (patient) => patient.resnapshot((state) => void state.inodes.delete(1))],
  'a directory lost': [
    'tree',
    (patient) => patient.resnapshot((state) => void state.inodes.get(1)!.entries!.delete('dir')),
  ],
  'a name that leads nowhere': [
    'tree',
    (patient) => patient.resnapshot((state) => void state.inodes.get(1)!.entries!.set('x', 9999)),
  ],
  'a directory within itself': [
    'tree',
    (patient) =>
      patient.resnapshot((state) => {
        const dir = directory(state);
        dir.parent = dir.inode;
        state.inodes.get(1)!.entries!.delete('dir');
        dir.entries!.set('self', dir.inode);
      }),
  ],
  'a directory of another parent': [
    'tree',
    (patient) => patient.resnapshot((state) => void (directory(state).parent = 4096)),
  ],
  'links of a file': [
    'tree',
    (patient, { file }) => patient.resnapshot((state) => void state.inodes.get(file.inode)!.links++),
  ],
  'links of a directory': ['tree', (patient) => patient.resnapshot((state) => void state.inodes.get(1)!.links++)],
  'an impossible name': [
    'tree',
    (patient, { file }) =>
      patient.resnapshot((state) => {
        directory(state).entries!.set('a/b', file.inode);
        state.inodes.get(file.inode)!.links++;
      }),
  ],
  'an inode of a record to come': [
    'tree',
    (patient) =>
      patient.resnapshot((state) => {
        const inode = 2 ** 40;
        state.inodes.set(inode, { ...state.inodes.get(region.file.inode)!, inode, links: 1, extents: [] });
        state.inodes.get(1)!.entries!.set('future', inode);
      }),
  ],
  'one who never was keeps a file': [
    'tree',
    (patient) => patient.resnapshot((state) => state.addKept(5000, { extents: [], holders: new Map([[16, 99]]) })),
  ],
  'a kept file with a name': [
    'tree',
    (patient, { file, writer }) =>
      patient.resnapshot((state) =>
        state.addKept(file.inode, { extents: [], holders: new Map([[writer.principal, 1]]) }),
      ),
  ],

  'a file that ends with one who never was': ['owners', (patient, { file }) => owned(patient, file.inode, 15, 99)],
  'a file that ends with one who is no more': [
    'owners',
    (patient, { file, writer }) => owned(patient, file.inode, writer.principal, 0),
  ],

  'extents out of order': [
    'files',
    (patient, { file }) =>
      patient.resnapshot((state) => void state.inodes.get(file.inode)!.extents.push({ at: 0, page: 0, pages: 1 })),
  ],
  'an extent of no page': [
    'files',
    (patient, { file }) =>
      patient.resnapshot((state) => void state.inodes.get(file.inode)!.extents.push({ at: 90, page: 0, pages: 0 })),
  ],
  'unwritten ranges out of order': [
    'files',
    (patient, { file }) =>
      patient.resnapshot((state) => void state.inodes.get(file.inode)!.unwritten.push({ from: 9, to: 3 })),
  ],
};

const decided = new Set<string>();
for (const [name, [oracle, inflict]] of Object.entries(diseases)) {
  decided.add(oracle);
  test(`finds ${name}`, () => {
    const patient = new Patient(region);
    inflict(patient, region);
    const damage = patient.damage();
    assert.ok(
      damage.some((line) => line.startsWith(`${oracle}: `)),
      `${oracle} should have found it; found was:\n${damage.join('\n') || 'nothing'}`,
    );
  });
}

test('what the state machine counts wrong is found in an image of it', () => {
  const image = new Patient(region).image();
  const state = image.tables!.log.state;
  const check = (id: string) => oracles.find((oracle) => oracle.id === id)!.check(image);
  assert.equal([...check('counts'), ...check('I8')], []);
  state.pages++;
  assert.is(check('counts').length, 1);
  state.sequences.set(region.writer.principal, { incarnation: 1, sequence: 3 });
  assert.is(check('I8').length, 1);
  state.fences.set(region.writer.principal, 1);
  assert.is(check('I8').length, 2);
  assert.equal(check('owners'), []);
  state.inodes.get(region.file.inode)!.owner = { principal: region.writer.principal, incarnation: 1 };
  assert.is(check('owners').length, 1);
});

test('whatever bytes alone decide has a disease here', () => {
  const ids = oracles.filter(({ decidedByBytes }) => decidedByBytes).map(({ id }) => id);
  assert.equal(
    ids.filter((id) => !decided.has(id)),
    ['counts', 'I8'],
  );
});

test('at rest every flipped bit of an owned group word is found, by the bytes or by what clients were told', () => {
  const missed: string[] = [];
  const original = new Patient(region);
  for (let group = 0; group < geometry.groupCount; group++) {
    const word = original.load(original.group(group));
    if (word >> 32n === 0n) continue;
    for (let bit = 0; bit < 64; bit++) {
      const patient = new Patient(region);
      patient.flip(patient.group(group), bit);
      if (patient.damage(told, { atRest: true }).length > 0) continue;
      // Another who lives may have become the custodian of pages of files: no byte says who it should be.
      const owner = Number(patient.load(patient.group(group)) >> 48n);
      const lives =
        owner !== 0 && decodePrincipal(patient.load(patient.principal(owner))).state === principalState.active;
      if (bit < 48 || !lives) missed.push(`bit ${bit} of group ${group}`);
    }
  }
  assert.equal(missed, []);
});

test('every flipped bit of the words of members, principals, root and log is found, but for beats and hints', () => {
  const original = new Patient(region);
  const { end } = original;
  const { holder } = region;
  const words: [string, number, (bit: number) => boolean][] = [
    ['w0', original.member(holder.slot), (bit) => bit >= 40],
    // The lowest six bits make a principal one that is kept for a while: that is as good a policy as any. And it may
    // have been handed to another member, if there is one.
    ['principal', original.principal(holder.principal), (bit) => bit >= 6 && !handed(original, holder.principal, bit)],
    ['root', original.root, (bit) => bit < 36],
    ['slot in use', original.slot(end - 2), () => true],
    ['empty slot', original.slot(end + 1), (bit) => bit >= 42],
    ['lock', original.root + 64, () => true],
  ];
  const missed: string[] = [];
  for (const [name, offset, matters] of words) {
    for (let bit = 0; bit < 64; bit++) {
      const patient = new Patient(region);
      patient.flip(offset, bit);
      if (matters(bit) && patient.damage(told, { atRest: true }).length === 0) missed.push(`${name} bit ${bit}`);
    }
  }
  assert.equal(missed, []);
});

test('noise in any table ends the audit neither in an error nor in a loop', () => {
  const areas: [number, number][] = [
    [0, 4096],
    [geometry.controlOffset, 4096],
    [geometry.memberOffset, geometry.memberSlots * 256],
    [geometry.principalOffset, (geometry.principalSlots + 1) * 8],
    [geometry.groupOffset, geometry.groupCount * 8],
    [geometry.logOffset, geometry.logSlots * 8],
    [geometry.arenaOffset, geometry.memberSlots * geometry.arenaBytes],
    [new Patient(region).snapshotOffset, 8192],
    [geometry.copyOffset, 4096],
    [0, region.bytes.length],
  ];
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: areas.length - 1 }),
      fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })), {
        minLength: 1,
        maxLength: 200,
      }),
      (area, noise) => {
        const [offset, length] = areas[area]!;
        const patient = new Patient(region);
        for (const [where, word] of noise) patient.store(offset + Math.floor((where * (length - 8)) / 8) * 8, word);
        const findings = patient.judge(told, { atRest: true });
        assert.ok(findings.length <= oracles.length * 202, `${findings.length} findings`);
        for (const { oracle } of findings) assert.ok(oracles.some(({ id }) => id === oracle));
      },
    ),
    { numRuns: 300 },
  );
});

test('a region of nothing, of zeros, of noise, and one whose format was begun: not formatted', () => {
  for (const bytes of [
    new Uint8Array(8),
    new Uint8Array(65_536),
    new Uint8Array(65_536).map((_, at) => (at * 2_654_435_761) >>> 24),
  ]) {
    const patient = new Patient({ bytes, geometry });
    assert.is(patient.image().tables, undefined);
    assert.is(patient.damage().length > 0, true);
  }
  const begun = new Patient(region);
  begun.store(16, 0x1231n);
  assert.is(begun.image().tables, undefined);
});

function alter(patient: Patient, principal: number, changes: Partial<ReturnType<typeof decodePrincipal>>): void {
  const at = patient.principal(principal);
  patient.store(at, encodePrincipal({ ...decodePrincipal(patient.load(at)), ...changes }));
}
/** Whether a principal with that bit flipped acts for another member that is there. */
function handed(patient: Patient, principal: number, bit: number): boolean {
  const { member, memberIncarnation } = decodePrincipal(
    patient.load(patient.principal(principal)) ^ (1n << BigInt(bit)),
  );
  if (bit < 28 || bit >= 44 || member >= geometry.memberSlots) return false;
  const { state, incarnation } = decodeMember(patient.load(patient.member(member)));
  return state === memberState.active && incarnation === memberIncarnation;
}
/** The line of a slot that nobody has had. */
function freeSlot(patient: Patient): number {
  const slots = Array.from({ length: geometry.memberSlots }, (_, slot) => patient.member(slot));
  return slots.find((at) => patient.load(at) === 0n)!;
}
function freeGroup(patient: Patient): number {
  for (let group = 0; ; group++) if (patient.load(patient.group(group)) >> 48n === 0n) return group;
}
function owned(patient: Patient, inode: number, principal: number, incarnation: number): void {
  patient.resnapshot((state) => {
    const owner = { principal, incarnation };
    const file = state.inodes.get(inode)!;
    state.inodes.set(inode, { ...file, owner });
  });
}
function directory(state: NamespaceState) {
  return state.inodes.get(state.inodes.get(1)!.entries!.get('dir')!)!;
}
function creation(name: string, extents: readonly { at: number; page: number; pages: number }[]) {
  const size = extents.reduce((sum, { pages }) => sum + Math.min(pages, 100) * 4096, 0);
  return {
    op: 'create',
    parent: 1,
    name,
    kind: 'file',
    mode: 0o644,
    uid: 0,
    gid: 0,
    time: 0n,
    target: '',
    size,
    extents,
  } as const;
}
test.run();
