import { encodeMember, type MemberLine, memberState, Vigil } from '@exomem/core';
import { assert, suite } from '@exomem/testing';

const test = suite('who stands still');

const wait = 13_000;
const line = (slot: number, beat: number): MemberLine => {
  const word = encodeMember({ state: memberState.active, incarnation: 1, beat });
  const introduction = { clientId: new Uint8Array(16), steward: false, pid: 0, label: '' };
  const rest = { applied: 1, wanted: undefined, introduced: true, ...introduction };
  return { slot, word, state: memberState.active, incarnation: 1, ...rest };
};
const at = (time: number) => ({ before: time, after: time });

test('a word that does not move for the wait is silent, and not a moment earlier', () => {
  const vigil = new Vigil();
  assert.equal(vigil.observe([line(1, 7)], 0, at(1000), wait), []);
  assert.equal(vigil.observe([line(1, 7)], 0, at(1000 + wait - 1), wait), []);
  const silent = vigil.observe([line(1, 7)], 0, at(1000 + wait), wait);
  assert.equal(
    silent.map(({ slot }) => slot),
    [1],
  );
});

test('nobody is silent for one who was stopped in the middle of a look', () => {
  const vigil = new Vigil();
  vigil.observe([line(1, 7)], 0, at(0), wait);
  // Its clock is read, then it stands still for long, and only then sees a word that has moved all the while.
  vigil.observe([line(1, 20)], 0, { before: 1000, after: 60_000 }, wait);
  // Right behind that it looks once more: the member has had no time to move.
  assert.equal(vigil.observe([line(1, 20)], 0, at(60_010), wait), []);
  assert.equal(vigil.observe([line(1, 20)], 0, { before: 60_020, after: 200_000 }, wait), []);
  assert.is(vigil.observe([line(1, 20)], 0, at(60_000 + wait), wait).length, 1);
});

test.run();
