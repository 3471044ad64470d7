import { assert, suite } from '@exomem/testing';
import fc from 'fast-check';
import { oracles } from '../src/audit/index.js';
import { decodeMember, decodePrincipal, memberState, principalState } from '../src/index.js';
import { diseasesOf } from './fixtures/diseases.js';
import { livedIn, Patient } from './fixtures/lived-in-region.js';

const test = suite('audit of damage');
const region = await livedIn();
const { geometry, told } = region;
const diseases = diseasesOf(region);

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
  // Its principal may be one that somebody had before.
  const { incarnation } = image.tables!.standings.principal(region.writer.principal)!;
  const check = (id: string) => oracles.find((oracle) => oracle.id === id)!.check(image);
  assert.equal([...check('counts'), ...check('I8')], []);
  state.pages++;
  assert.is(check('counts').length, 1);
  state.sequences.set(region.writer.principal, { incarnation, sequence: 3 });
  assert.is(check('I8').length, 1);
  state.fences.set(region.writer.principal, incarnation);
  assert.is(check('I8').length, 2);
  assert.equal(check('owners'), []);
  state.inodes.get(region.file.inode)!.owner = { principal: region.writer.principal, incarnation };
  assert.is(check('owners').length, 1);
});

test('whatever bytes alone decide has a disease here', () => {
  const ids = oracles.filter(({ decidedByBytes }) => decidedByBytes).map(({ id }) => id);
  assert.equal(
    ids.filter((id) => !decided.has(id)),
    // Gates are only where data lies apart: `pair.test.ts` has theirs. The lock has `locked-audit.test.ts`, mailboxes `message-audit.test.ts`.
    ['gates', 'counts', 'mail', 'I8', 'I15'],
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

/** Whether a principal with that bit flipped acts for another member that is there. */
function handed(patient: Patient, principal: number, bit: number): boolean {
  const { member, memberIncarnation } = decodePrincipal(
    patient.load(patient.principal(principal)) ^ (1n << BigInt(bit)),
  );
  if (bit < 28 || bit >= 44 || member >= geometry.memberSlots) return false;
  const { state, incarnation } = decodeMember(patient.load(patient.member(member)));
  return state === memberState.active && incarnation === memberIncarnation;
}

test.run();
