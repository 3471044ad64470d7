import { type ErrorCode, isExomemError } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { Roster } from '../src/roster.js';

const test = suite('roster of threads');

function refuses(call: () => unknown, code: ErrorCode): void {
  assert.throws(call, (error: unknown) => isExomemError(error, code));
}

test('a member is over when all its lanes are, and then for good', () => {
  const roster = new Roster(Roster.allocate(8));
  assert.is(roster.revoke(3, 1, false), 'unknown');
  const [one, other] = [roster.enter(3, 1, 7), roster.enter(3, 1, 8)];
  assert.is(roster.revoke(3, 1, false), 'bound');
  roster.leave(one);
  assert.is(roster.revoke(3, 1, true), 'bound');
  assert.is(roster.isRevoked(3, 1), false, 'and nothing has changed');
  roster.leave(other);
  assert.is(roster.revoke(3, 1, false), 'over');
  assert.is(roster.isRevoked(3, 1), true);
  assert.is(roster.isRevoked(3, 2), false);
  assert.is(roster.isRevoked(4, 1), false);
});

test('one that never had a lane is kept from having one, if that is asked for', () => {
  const roster = new Roster(Roster.allocate(8));
  assert.is(roster.revoke(3, 1, true), 'over');
  assert.ok(roster.isRevoked(3, 1));
  roster.enter(3, 1, 7);
  assert.ok(roster.isRevoked(3, 1), 'who binds sees it');
});

test('a thread ends with all its lanes and all that it had spawned, and no other', () => {
  const roster = new Roster(Roster.allocate(16));
  roster.spawned(0, 5);
  roster.spawned(5, 6);
  roster.spawned(6, 7);
  roster.spawned(0, 8);
  for (const thread of [5, 6, 7, 8, 0]) roster.enter(thread, 1, thread);
  roster.ended(5);
  assert.equal(
    [5, 6, 7, 8, 0].map((slot) => roster.revoke(slot, 1, false)),
    ['over', 'over', 'over', 'bound', 'bound'],
  );
  roster.ended(5);
  assert.is(roster.revoke(8, 1, false), 'bound');
});

test('places are used again when a slot has its next incarnation, and are not without end', () => {
  const roster = new Roster(Roster.allocate(4));
  for (let incarnation = 1; incarnation < 50; incarnation++) {
    for (const place of [roster.enter(1, incarnation, 1), roster.enter(1, incarnation, 2)]) roster.leave(place);
  }
  roster.enter(2, 1, 1);
  roster.enter(3, 1, 1);
  refuses(() => roster.enter(4, 1, 1), 'Busy');
  refuses(() => roster.spawned(0, 9), 'Busy');
  roster.enter(1, 50, 1);
  roster.enter(4, 1, 1);
});

test('numbers that no thread has are refused, and memory that has no place', () => {
  const roster = new Roster(Roster.allocate(4));
  for (const thread of [-1, 0.5, 2 ** 24]) refuses(() => roster.spawned(0, thread), 'InvalidArgument');
  refuses(() => roster.enter(1, 1, -1), 'InvalidArgument');
  refuses(() => new Roster(new SharedArrayBuffer(8)), 'InvalidArgument');
});
test.run();
