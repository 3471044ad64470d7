import { assert, suite } from '@exomem/testing';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import { type Finding, type Repair, type RepairOptions, repairRegion } from '../src/audit/index.js';
import {
  Client,
  decodeMember,
  decodePrincipal,
  encodeMember,
  encodePrincipal,
  type Inode,
  joinWord,
  memberState,
  ownerHalf,
  type Protocol,
  pageOffset,
  principalState,
  runSync,
  type Session,
  type Step,
  type StepResult,
  Steward,
} from '../src/index.js';
import { diseasesOf } from './fixtures/diseases.js';
import { livedIn, Patient } from './fixtures/lived-in-region.js';
import { surroundings } from './surroundings.js';

const test = suite('repair');
const region = await livedIn();
const { geometry } = region;
const diseases = diseasesOf(region);

const transportTo = (patient: Patient) => sharedArrayBuffer({ r: [patient.bytes.buffer as SharedArrayBuffer] });
function sessionTo(patient: Patient): Session {
  return transportTo(patient).open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
}
function repair(patient: Patient, options: RepairOptions = {}): Repair {
  const session = sessionTo(patient);
  return runSync(repairRegion(session.size, { readings: 1, ...options }), { session, surroundings });
}
const damageIn = (findings: readonly Finding[]): string[] =>
  findings.filter(({ severity }) => severity === 'damage').map(({ oracle, what }) => `${oracle}: ${what}`);

/** Everything that is left of somebody is in words: nobody can be told what was in bytes that have no sum to fit again. */
const incurable = new Set([
  'the header of the snapshot',
  'the body of the snapshot',
  'a record with another byte',
  'a record cut off',
  'a record of impossible length',
  // What the log says in so many words.
  'a page in two files',
  'a page twice in a file',
  'a file of pages beyond the region',
  'a file in the reserve',
  'a tree without a root',
  'a directory lost',
  'a name that leads nowhere',
  'a directory within itself',
  'a directory of another parent',
  'links of a file',
  'links of a directory',
  'an impossible name',
  'an inode of a record to come',
  'one who never was keeps a file',
  'a kept file with a name',
  'a file that ends with one who never was',
  'a file that ends with one who is no more',
  'extents out of order',
  'an extent of no page',
  'unwritten ranges out of order',
]);

/** What is put in order without any loss, when that is accepted. */
const silent = new Set([
  'a directory of another parent',
  'links of a file',
  'links of a directory',
  'an inode of a record to come',
  'one who never was keeps a file',
  'a kept file with a name',
]);

/** Whether it can be told whose memory it is depends on the numbers that principals happen to have. */
const uncertain = new Set(['principals swapped']);

for (const [name, [, inflict]] of Object.entries(diseases)) {
  if (uncertain.has(name)) continue;
  const cured = !incurable.has(name);
  test(`${cured ? 'cures' : 'leaves alone'} ${name}`, () => {
    const patient = new Patient(region);
    inflict(patient, region);
    const sick = patient.bytes.slice();
    const dry = repair(patient, { dryRun: true });
    assert.ok(Buffer.from(sick).equals(patient.bytes), 'a dry run changes nothing');
    const { mends, missed, before, after } = repair(patient);
    assert.equal(
      dry.mends.map(({ what }) => what),
      mends.map(({ what }) => what),
    );
    assert.ok(before.damaged);
    assert.equal(missed, []);
    if (cured) {
      assert.equal(damageIn(after.findings), []);
      assert.ok(mends.length > 0);
    } else {
      assert.equal(damageIn(after.findings), damageIn(before.findings));
      assert.equal(mends, []);
      assert.ok(Buffer.from(sick).equals(patient.bytes));
    }
    // No byte of data is ever touched.
    const [from, to] = [pageOffset(geometry, 0), geometry.copyOffset];
    assert.ok(Buffer.from(sick.subarray(from, to)).equals(patient.bytes.subarray(from, to)));
  });
}

test('with losses accepted, and nobody there, everything is cured, and what is lost is said', () => {
  const wrong: string[] = [];
  for (const [name, [, inflict]] of Object.entries(diseases)) {
    if (uncertain.has(name)) continue;
    const patient = new Patient(region);
    desert(patient);
    inflict(patient, region);
    const sick = patient.bytes.slice();
    const { before, after, losses, mends, refused } = repair(patient, { acceptLoss: true });
    if (!before.damaged) continue;
    const left = damageIn(after.findings);
    if (left.length > 0)
      wrong.push(`${name}: ${refused ?? ''} ${mends.map(({ what }) => what).join('; ')}: ${left.join('; ')}`);
    if (!incurable.has(name) && losses.length > 0) wrong.push(`${name}: ${losses.map(({ what }) => what).join('; ')}`);
    if (incurable.has(name) && losses.length === 0 && !silent.has(name)) wrong.push(`${name}: loses nothing`);
    const [from, to] = [pageOffset(geometry, 0), pageOffset(geometry, before.image.tables!.userPages)];
    assert.ok(Buffer.from(sick.subarray(from, to)).equals(patient.bytes.subarray(from, to)), name);
    assert.equal(repair(patient, { acceptLoss: true }).mends, [], name);
  }
  assert.equal(wrong, []);
});

test('names of what cannot be cured are names of diseases', () => {
  assert.equal(
    [...incurable].filter((name) => diseases[name] === undefined),
    [],
  );
});

test('a region that is clean is left alone', () => {
  const patient = new Patient(region);
  const { mends, before, after } = repair(patient);
  assert.equal([mends, before.damaged, after.damaged], [[], false, false]);
  assert.ok(Buffer.from(region.bytes).equals(patient.bytes));
});

test('most words are as they were: what is told by one bit is told exactly', () => {
  const whole = new Patient(region);
  const { holder, long, file } = region;
  const places: [string, number, (bit: number) => boolean][] = [
    ['w0', whole.member(holder.slot), (bit) => bit >= 60],
    ['root', whole.root, (bit) => bit < 36],
    ['slot in use', whole.slot(whole.end - 2), (bit) => bit < 64],
    ['empty slot', whole.slot(whole.end + 1), (bit) => bit >= 42],
    ['lock', whole.root + 64, () => true],
    ['a group within a run, its owner', whole.group(whole.groupOf(long.page) + 1), (bit) => bit >= 32],
    ['superblock', 80, () => true],
    ['its copy', geometry.copyOffset + 80, () => true],
  ];
  const wrong: string[] = [];
  for (const [name, offset, exact] of places) {
    for (let bit = 0; bit < 64; bit++) {
      const patient = new Patient(region);
      patient.flip(offset, bit);
      const { before, after } = repair(patient);
      // Another owner who is there is as good as the right one, but for the runs that lead through.
      const other = name.startsWith('a group') && !damageIn(before.findings).some((line) => line.startsWith('groups'));
      if (before.damaged && exact(bit) && !other && (after.damaged || patient.load(offset) !== whole.load(offset)))
        wrong.push(
          `${name} bit ${bit} of ${whole.load(offset).toString(16)}: ${damageIn(before.findings).join('; ')} => ${damageIn(after.findings).join('; ')}; now ${patient.load(offset).toString(16)}`,
        );
    }
  }
  assert.equal(wrong, []);
  assert.ok(file.pages > 0);
});

test('memory that cannot be told whose it is becomes free only when nobody is there who may be using it', () => {
  for (const deserted of [false, true]) {
    const patient = new Patient(region);
    if (deserted) desert(patient);
    const application = patient.principal(region.application);
    // One that waits to be adopted is somebody, too.
    if (deserted) patient.store(application, 0n);
    const at = patient.group(patient.groupOf(region.long.page + 16));
    const lost = (patient.load(at) & 0xffff_ffffn) | 0xbeef_0bad_0000_0000n;
    // With neighbours that are lost, too, no run leads through it.
    for (const group of [-1, 0, 1, 2, 3]) patient.store(at + 8 * group, lost);
    const { after } = repair(patient);
    if (!deserted) assert.is(patient.load(at), lost);
    else assert.is(patient.load(at), 0n);
    assert.is(after.damaged, !deserted, damageIn(after.findings).join('\n'));
  }
});

test('words of one who is no more are freed, where they are damage: at rest', () => {
  const patient = new Patient(region);
  const principal = Array.from({ length: geometry.principalSlots }, (_, at) => at + 1).find(
    (number) => decodePrincipal(patient.load(patient.principal(number))).state === principalState.free,
  )!;
  const free = { state: principalState.free, incarnation: 9, member: 0, memberIncarnation: 0, policy: 0 };
  patient.store(patient.principal(principal), encodePrincipal(free));
  const first = region.free / geometry.groupPages;
  const stray = joinWord(ownerHalf(principal, 9), 0x6940_0000);
  const groups = [first, first + 3, first + 4].filter((group) => patient.load(patient.group(group)) >> 32n === 0n);
  for (const group of groups) patient.store(patient.group(group), stray);
  assert.equal(repair(patient).mends, []);
  const { after, mends } = repair(patient, { atRest: true });
  assert.equal(damageIn(after.findings), []);
  assert.is(mends.length, groups.length);
  for (const group of groups) assert.is(patient.load(patient.group(group)), 0n);
});

function* once(step: Step): Protocol<StepResult> {
  return yield step;
}

test('what somebody changes before it can be put right is left to him', () => {
  const patient = new Patient(region);
  const at = patient.group(region.free / geometry.groupPages);
  patient.store(at, 0x8000_0000n);
  const session = sessionTo(patient);
  const protocol = repairRegion(session.size, { readings: 1 });
  const bench = { session, surroundings };
  let state = protocol.next();
  while (!state.done) {
    const step = state.value;
    // Between the look and the change.
    if (step.op === 'compareExchange') patient.store(at, 0x5555_5555n);
    state = protocol.next(runSync(once(step), bench));
  }
  const { mends, missed, after } = state.value;
  assert.equal([mends.length, missed.length, after.damaged], [0, 1, false]);
  assert.is(patient.load(at), 0x5555_5555n);
});

/** Places of words that the damage of a property may fall on. */
const areas: [number, number][] = [
  [0, 4096],
  [geometry.controlOffset, 128],
  [geometry.memberOffset, geometry.memberSlots * 256],
  [geometry.principalOffset, (geometry.principalSlots + 1) * 8],
  [geometry.groupOffset, geometry.groupCount * 8],
  [geometry.groupOffset, geometry.groupCount * 8],
  [geometry.logOffset, geometry.logSlots * 8],
  [geometry.arenaOffset, geometry.memberSlots * geometry.arenaBytes],
  [new Patient(region).snapshotOffset, 8192],
  [geometry.copyOffset, 4096],
];
const harms = fc.array(
  fc.record({
    area: fc.integer({ min: 0, max: areas.length - 1 }),
    at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    how: fc.constantFrom('flip', 'flip', 'zero', 'noise', 'copy'),
    word: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  }),
  { minLength: 1, maxLength: 12 },
);
type Harm = typeof harms extends fc.Arbitrary<infer H> ? H : never;

function inflict(patient: Patient, list: Harm): void {
  for (const { area, at, how, word } of list) {
    const [offset, length] = areas[area]!;
    const place = offset + Math.floor((at * length) / 8) * 8;
    if (how === 'flip') patient.flip(place, Number(word % 64n));
    else if (how === 'zero') patient.store(place, 0n);
    else if (how === 'noise') patient.store(place, word);
    else patient.store(place, patient.load(offset + Number(word % BigInt(length / 8)) * 8));
  }
}

/** Files that can be read, with where their pages lie. */
function filesOf({ before, after }: Pick<Repair, 'before' | 'after'>, when: 'before' | 'after'): Map<number, Inode> {
  const { tables } = (when === 'before' ? before : after).image;
  return tables?.log.complete ? tables.log.state.inodes : new Map();
}

/** Everybody has left, and nobody was there to hand anything to. */
function desert(patient: Patient): void {
  for (let slot = 0; slot < geometry.memberSlots; slot++) {
    const at = patient.member(slot);
    const word = decodeMember(patient.load(at));
    if (word.state === memberState.active) patient.store(at, encodeMember({ ...word, state: memberState.fenced }));
  }
}

test('whatever is damaged, no more is damaged afterwards, no file that could be read is lost, and again changes nothing', () => {
  const outcomes = { cured: 0, better: 0, same: 0 };
  fc.assert(
    fc.property(harms, fc.boolean(), (list, deserted) => {
      const patient = new Patient(region);
      if (deserted) desert(patient);
      inflict(patient, list);
      const data = patient.bytes.slice(pageOffset(geometry, 0), geometry.copyOffset);
      const found = repair(patient);
      const [was, is] = [damageIn(found.before.findings), damageIn(found.after.findings)];
      if (found.mends.length === 0) assert.equal(is, was);
      else assert.ok(is.length < was.length, `${was.join('\n')}\n->\n${is.join('\n')}`);
      for (const [inode, { size, extents, kind }] of filesOf(found, 'before')) {
        const file = filesOf(found, 'after').get(inode);
        if (kind === 'file') assert.equal([file?.size, file?.extents], [size, extents]);
      }
      assert.ok(Buffer.from(data).equals(patient.bytes.subarray(pageOffset(geometry, 0), geometry.copyOffset)));
      const again = repair(patient);
      assert.ok(damageIn(again.after.findings).length <= is.length);
      outcomes[is.length === 0 ? 'cured' : is.length < was.length ? 'better' : 'same']++;
    }),
    { numRuns: 300 },
  );
  assert.ok(outcomes.cured > 20 && outcomes.better > 0, JSON.stringify(outcomes));
});

test('a region that was cured goes on: it is recovered, and files have the bytes that they had', async () => {
  const path = '/dir/file';
  const whole = new Patient(region);
  const bytes = whole.bytes.slice(
    pageOffset(geometry, region.file.page),
    pageOffset(geometry, region.file.page) + 30_000,
  );
  let went = 0;
  await fc.assert(
    fc.asyncProperty(harms, async (list) => {
      const patient = new Patient(region);
      desert(patient);
      inflict(patient, list.slice(0, 3));
      const { after, before, mends } = repair(patient);
      if (after.damaged || mends.length === 0) return;
      const names = filesOf({ before, after }, 'after');
      const client = await Client.open({
        transport: transportTo(patient),
        url: 'sab:r',
        surroundings,
        role: 'steward',
        label: 'steward',
      });
      try {
        const steward = new Steward(client);
        for (let round = 0; round < 4; round++) await steward.round();
        await client.tidy();
        assert.equal(patient.damage(), []);
        if (names.has(region.file.inode)) {
          await using file = await client.namespace.open(path);
          const found = new Uint8Array(file.size);
          await file.read(0, found);
          assert.ok(Buffer.from(bytes).equals(found));
        }
        await client.namespace.mkdir('/afterwards');
        await (await client.allocate(100_000)).free();
        went++;
      } finally {
        await client.close();
      }
      assert.equal(patient.damage(), []);
    }),
    { numRuns: 60 },
  );
  assert.ok(went > 5, `${went} went on`);
});

test.run();
