import { encodeMember, type MemberLine, memberState, standstillWaits, Vigil } from '@exomem/core';
import { assert, suite } from '@exomem/testing';

const test = suite('who stands still');

const wait = 13_000;
const line = (slot: number, beat: number, applied = 1, incarnation = 1): MemberLine => {
  const word = encodeMember({ state: memberState.active, incarnation, beat });
  const introduction = { clientId: new Uint8Array(16), steward: false, pid: 0, label: '' };
  const rest = { applied, wanted: undefined, introduced: true, ...introduction };
  return { slot, word, state: memberState.active, incarnation, ...rest };
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

/** Looks every second at what `shown` gives; answers the second at which that one is suspected, or -1. */
function suspectedAt(shown: (second: number) => MemberLine, end: (second: number) => number): number {
  const vigil = new Vigil();
  for (let second = 0; second <= 1000; second++) {
    if (vigil.observe([shown(second)], 0, at(second * 1000), wait, end(second)).length > 0) return second;
  }
  return -1;
}

test('who beats and does not follow a log that goes on is suspected after many waits', () => {
  const most = (standstillWaits * wait) / 1000;
  assert.ok(most > 60, 'who computes for a minute is only busy');
  // The log goes on once, in second 40.
  const once = (second: number) => (second < 40 ? 9 : 10);
  assert.is(
    suspectedAt((second) => line(1, second, 9), once),
    40 + most,
  );
  // It follows, if late; or it is behind all the while, and moves; or there is nothing to follow.
  const late = (second: number) => line(1, second, second < 39 + most ? 9 : 10);
  assert.is(suspectedAt(late, once), -1);
  const slow = (second: number) => line(1, second, Math.floor(second / 100));
  assert.is(
    suspectedAt(slow, (second) => second + 5),
    -1,
  );
  assert.is(
    suspectedAt(
      (second) => line(1, second, 9),
      () => 9,
    ),
    -1,
  );
  // Whose heart stands still is not waited for that long.
  assert.is(
    suspectedAt(
      () => line(1, 1, 9),
      () => 99,
    ),
    13,
  );
});

test('another member in the slot begins anew', () => {
  const vigil = new Vigil();
  const look = (second: number, shown: MemberLine) => vigil.observe([shown], 0, at(second * 1000), wait, 20).length;
  assert.equal([look(0, line(1, 0, 9)), look(125, line(1, 1, 9)), look(131, line(1, 0, 9, 2))], [0, 0, 0]);
  assert.is(look(140, line(1, 1, 9, 2)), 0);
  assert.is(look(131 + 130, line(1, 2, 9, 2)), 1);
});

test.run();
