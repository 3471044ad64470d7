// deadline: 120s
import { assert, suite } from '@exomem/testing';
import { type Harm, harm, type Kind, kinds, type Outcome, patientsOf } from '../hunt/damage/index.js';

const test = suite('damage of metadata');
const runs = 20;

/** What was once wrong, and the least that showed it. */
const known: readonly (readonly [what: string, kinds: readonly Kind[], harms: readonly Harm[]])[] = [
  [
    'a root that points at nothing, beside a log that was truncated: slots were emptied until they fitted',
    kinds,
    [{ area: 'root', at: 0, how: 'zero', word: 0n }],
  ],
  [
    'the last token of a lock: the next one was one too many',
    ['locked'],
    [{ area: 'lock', at: 0, how: 'stretch', word: 18446744073709355014n }],
  ],
  [
    'words of files that are doubted: the namespace was rebuilt, which helps nobody',
    kinds,
    [{ area: 'groups', at: 0, how: 'stretch', word: 877212854282236702n }],
  ],
  [
    'a namespace that can be read again shows more damage of words: the salvage was given up',
    kinds,
    [
      { area: 'groups', at: 0, how: 'noise', word: 281474976710657n },
      { area: 'snapshot body', at: 0, how: 'flip', word: 0n },
    ],
  ],
  [
    'the last slot of the log: what members had applied was forgotten, and pages went to a file that had lost them',
    kinds,
    [{ area: 'slots', at: 0.984375, how: 'zero', word: 0n }],
  ],
  [
    'a root that could be told: it was not taken, since names that can be read show what words have lost',
    kinds,
    [
      { area: 'groups', at: 0, how: 'stretch', word: 4904791746772411n },
      { area: 'root', at: 0, how: 'flip', word: 822663206179993920n },
    ],
  ],
  [
    'records that were overtaken: with a root of nothing they were put where others had been',
    kinds,
    [
      { area: 'slots', at: 0, how: 'stretch', word: 1n },
      { area: 'root', at: 0, how: 'zero', word: 0n },
      { area: 'superblock', at: 0, how: 'flip', word: 0n },
    ],
  ],
];

for (const kind of kinds) {
  const patients = patientsOf([kind]);
  test(`${kind}: whatever byte is harmed, that is named, repaired or left, and never made worse`, async () => {
    const all = new Map<Outcome, number>();
    for (const patient of await patients) {
      for (const [outcome, count] of harm(patient, 1, runs)) all.set(outcome, (all.get(outcome) ?? 0) + count);
    }
    // Of everything that can become of damage there was some.
    for (const outcome of ['repaired', 'refused', 'rebuilt'] as const)
      assert.ok((all.get(outcome) ?? 0) > 0, `${outcome} of ${JSON.stringify([...all])}`);
  });

  for (const [what, where, harms] of known) {
    if (!where.includes(kind)) continue;
    test(`${kind}: ${what}`, async () => {
      for (const patient of await patients) assert.ok(patient.suffer(harms) !== undefined);
    });
  }
}

test.run();
