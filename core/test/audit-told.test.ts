import { readFileSync } from 'node:fs';
import { assert, suite } from '@exomem/testing';
import { fits, judge, oracles, type RegionImage, type Told, type ToldAccess } from '../src/audit/index.js';
import { decodePrincipal, encodeMember, encodeRoot, memberState, pageBits } from '../src/index.js';
import { livedIn, Patient } from './fixtures/lived-in-region.js';

const test = suite('audit of what clients were told');
const region = await livedIn({ zeroed: true });
const { geometry, told, holder, writer, file, long, free, room } = region;
const healthy = new Patient(region);
const image = healthy.image();
const incarnationOf = (principal: number) => decodePrincipal(healthy.load(healthy.principal(principal))).incarnation;
const owner = (who: { principal: number }) => ({ principal: who.principal, incarnation: incarnationOf(who.principal) });

/** The ids of the oracles that find damage. */
function finds(other: Told, seen: RegionImage = image): string[] {
  const damage = judge(seen, other).filter(({ severity }) => severity === 'damage');
  return [...new Set(damage.map(({ oracle }) => oracle))];
}

test('the truth is believed', () => assert.equal(finds(told), []));

test('I1: a page in two handles', () => {
  const [first] = told.handles!;
  assert.equal(
    finds({ handles: [...told.handles!, { ...first!, page: first!.page + 70, pages: 1 }] }).includes('I1'),
    true,
  );
  assert.equal(finds({ handles: [first!, { ...first!, pages: 2 }] }).includes('I1'), true);
});

test('I2: a handle that no word shows, or that shows longer than it is', () => {
  const cases = [
    { page: free, pages: 1, kind: 'anonymous' },
    { page: long.page + 1, pages: 1, kind: 'anonymous' },
    { page: long.page, pages: long.pages - 1, kind: 'anonymous' },
    { page: long.page, pages: long.pages, kind: 'withheld' },
  ] as const;
  for (const handle of cases) assert.equal(finds({ handles: [{ ...handle, ...owner(holder) }] }), ['I2']);
  assert.equal(finds({ handles: [{ page: file.page, pages: file.pages, kind: 'withheld', ...owner(writer) }] }), []);
  // One whose principal was taken over has lost them, and knows.
  const dead = { principal: holder.principal, incarnation: incarnationOf(holder.principal) - 1 };
  assert.equal(finds({ handles: [{ page: free, pages: 1, kind: 'anonymous', ...dead }] }), []);
});

test('I3: a page that nobody has; one that was freed and is held still', () => {
  assert.equal(finds({ ...told, handles: told.handles!.slice(1) }), ['I3']);
  assert.equal(finds({ handles: told.handles!.slice(1) }), []);
  assert.equal(finds({ freed: [{ ...long, ...owner(holder) }] }), ['I3']);
  assert.equal(finds({ ...told, freed: [{ ...long, ...owner(holder) }] }), [], 'it was given out again');
  const patient = new Patient(region);
  patient.mark(room, pageBits.withheld);
  assert.equal(finds(told, patient.image()), [], 'it may be under construction');
  assert.equal(patient.damage(told, { atRest: true }).length, 1);
  const building = [...told.handles!, { page: room, pages: 1, kind: 'withheld', ...owner(writer) } as const];
  assert.equal(patient.damage({ ...told, handles: building }, { atRest: true }), []);
});

test('I4: success after the fence; an acknowledged record that is not there', () => {
  const success = { what: 'claimed a page', member: holder.slot, memberIncarnation: 2 };
  const word = (state: number, incarnation: number) => encodeMember({ state, incarnation, beat: 5 });
  assert.equal(finds({ successes: [{ ...success, memberWord: word(memberState.active, 2) }] }), []);
  assert.equal(finds({ successes: [{ ...success, memberWord: word(memberState.fenced, 2) }] }), ['I4']);
  assert.equal(finds({ successes: [{ ...success, memberWord: word(memberState.active, 3) }] }), ['I4']);
  const appends = image.tables!.log.entries.map(({ author, incarnation, sequence, index }) => ({
    author,
    incarnation,
    sequence,
    index,
  }));
  assert.equal(finds({ appends }), []);
  assert.equal(finds({ appends: [{ ...appends[0]!, index: 1 }] }), [], 'a snapshot has passed it');
  assert.equal(finds({ appends: [{ ...appends[0]!, sequence: appends[0]!.sequence + 1 }] }), ['I4']);
  assert.equal(finds({ appends: [{ ...appends[0]!, sequence: 10_000 }] }), ['I4']);
  assert.equal(finds({ appends: [{ ...appends[0]!, index: image.tables!.log.end }] }), ['I4']);
  const patient = new Patient(region);
  const last = appends.at(-1)!;
  const index = patient.append([{ op: 'setattr', inode: 1, mode: 0, ctime: 0n }], { principal: last.author, ...last });
  assert.equal(finds({ appends: [{ ...last, index }] }, patient.image()), ['I4'], 'it is passed over');
});

test('I5: an adopter sees what was given, and nothing that was not committed', () => {
  const app = owner({ principal: region.application });
  const given = told.handles!.filter(({ principal }) => principal === app.principal);
  assert.ok(given.length > 1);
  assert.equal(finds({ adoptions: [{ ...app, given, seen: given }] }), []);
  assert.equal(finds({ adoptions: [{ ...app, given, seen: given.slice(1) }] }), ['I5']);
  assert.equal(finds({ adoptions: [{ ...app, given, seen: [...given, { page: long.page + 3, pages: 1 }] }] }), ['I5']);
});

test('I9: data of a page is for its owner, that of a file for who looked it up', () => {
  const by = (who: typeof holder) => ({
    ...owner(who),
    member: who.slot,
    memberIncarnation: image.tables!.members[who.slot]!.incarnation,
  });
  const applied = image.tables!.members[holder.slot]!.w1.applied;
  const may: ToldAccess[] = [
    { kind: 'write', page: long.page, ...by(holder) },
    { kind: 'read', page: file.page, ...by(holder), lookedUpAt: applied },
  ];
  const mayNot: ToldAccess[] = [
    { kind: 'write', page: long.page, ...by(writer) },
    { kind: 'zero', page: free, ...by(holder) },
    { kind: 'write', page: long.page, ...by(holder), memberIncarnation: 9 },
    { kind: 'read', page: file.page, ...by(holder), lookedUpAt: applied - 1 },
    { kind: 'read', page: long.page, ...by(holder), lookedUpAt: applied },
  ];
  assert.equal(finds({ accesses: may }), []);
  for (const access of mayNot) assert.equal(finds({ accesses: [access] }), ['I9']);
});

test('I10: a second recovery changes nothing', () => {
  assert.equal(finds({ recovered: image }), []);
  const patient = new Patient(region);
  patient.store(patient.group(patient.groupOf(free)), 0n);
  assert.equal(finds({ recovered: image }, patient.image()), ['I10']);
});

test('I11: nothing goes back', () => {
  assert.equal(finds({ earlier: image }), []);
  const steps: ((patient: Patient) => void)[] = [
    (patient) => patient.store(patient.root, encodeRoot(5000, patient.snapshotOffset / 4096)),
    (patient) =>
      patient.store(
        patient.member(holder.slot),
        encodeMember({
          state: memberState.fenced,
          incarnation: image.tables!.members[holder.slot]!.incarnation,
          beat: 1,
        }),
      ),
    (patient) => patient.store(patient.member(holder.slot) + 64, patient.load(patient.member(holder.slot) + 64) + 1n),
    (patient) =>
      patient.store(
        patient.principal(holder.principal),
        patient.load(patient.principal(holder.principal)) + (1n << 44n),
      ),
    (patient) =>
      patient.store(patient.slot(patient.end - 1), patient.load(patient.slot(patient.end - 1)) + (1n << 42n)),
    (patient) =>
      patient.append([{ op: 'drop', inode: 1, principal: 1, incarnation: 1 }], { ...owner(writer), sequence: 999 }),
  ];
  for (const [number, step] of steps.entries()) {
    const patient = new Patient(region);
    step(patient);
    const later = patient.image();
    assert.is(finds({ earlier: image }, later).includes('I11'), false, `step ${number} forward`);
    // The record that is taken back again leaves an empty slot, as it was before: only one that is replaced shows.
    if (number < 5) assert.is(finds({ earlier: later }).includes('I11'), true, `step ${number} back`);
  }
});

test('I12: bytes of others', () => {
  const sight = { ...owner(holder), page: long.page, through: 'fresh page', allowed: [holder.principal] } as const;
  assert.equal(
    finds({
      sights: [
        { ...sight, writer: 0 },
        { ...sight, writer: holder.principal },
      ],
    }),
    [],
  );
  assert.equal(finds({ sights: [{ ...sight, writer: writer.principal }] }), ['I12']);
});

test('I13: refused although something fitted all the time', () => {
  const tables = image.tables!;
  assert.is(fits(tables, owner(holder), 1), true);
  assert.is(fits(tables, owner(holder), tables.userPages), false);
  const longest = Array.from({ length: tables.userPages }, (_, at) => tables.userPages - at).find((pages) =>
    fits(tables, owner(holder), pages),
  )!;
  assert.ok(longest > geometry.groupPages && longest < tables.userPages, `${longest}`);
  assert.is(fits(tables, owner(holder), longest, 2 ** 40), false);
  const refusal = { ...owner(holder), pages: 1 };
  assert.equal(finds({ refusals: [{ ...refusal, alwaysFitted: false }] }), []);
  assert.equal(finds({ refusals: [{ ...refusal, alwaysFitted: true }] }), ['I13']);
});

test('I14: one who waits for who stands still', () => {
  const wait = { ...owner(holder), what: 'allocate a page', most: 20 };
  assert.equal(finds({ waits: [{ ...wait, steps: 20 }] }), []);
  assert.equal(finds({ waits: [{ ...wait, steps: 21 }] }), ['I14']);
});

test('docs/fsck.md has every oracle, its sentence, and what decides it', () => {
  const text = readFileSync(new URL('../../../docs/fsck.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| (\S+) +\| (.+?) +\| (the bytes|what clients were told) +\|$/gm)].map((row) =>
    row.slice(1),
  );
  assert.equal(
    rows,
    oracles.map(({ id, sentence, decidedByBytes }) => [
      id,
      sentence,
      decidedByBytes ? 'the bytes' : 'what clients were told',
    ]),
  );
});

test('every invariant has a sentence of its own, and says what decides it', () => {
  const ids = oracles.map(({ id }) => id);
  assert.is(new Set(ids).size, ids.length);
  assert.is(new Set(oracles.map(({ sentence }) => sentence)).size, ids.length);
  for (let number = 1; number <= 14; number++) assert.ok(ids.includes(`I${number}`), `I${number}`);
});
test.run();
