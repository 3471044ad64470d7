import { constants } from 'node:os';
import { type ErrorCode, ExomemError, errorTable } from '@exomem/core';
import { errnoOf, errnoTable } from '@exomem/mount';
import { assert, suite } from '@exomem/testing';

const test = suite('errno');

test('every error of exomem has a number of the system, and no other has one', () => {
  assert.equal(Object.keys(errnoTable).sort(), Object.keys(errorTable).sort());
  for (const name of Object.values(errnoTable)) assert.type(constants.errno[name], 'number');
});

test('the ones that programs act on are what they expect', () => {
  const expected: Partial<Record<ErrorCode, keyof typeof constants.errno>> = {
    RegionFull: 'ENOSPC',
    Fragmented: 'ENOSPC',
    NamespaceFull: 'ENOSPC',
    StaleHandle: 'ESTALE',
    NotFound: 'ENOENT',
    Exists: 'EEXIST',
    NotEmpty: 'ENOTEMPTY',
    IsDirectory: 'EISDIR',
    NotDirectory: 'ENOTDIR',
    NameTooLong: 'ENAMETOOLONG',
    Disconnected: 'EIO',
    OutcomeUnknown: 'EIO',
    DeadlineExceeded: 'EIO',
    Fenced: 'EIO',
    TooManyLinks: 'EMLINK',
  };
  for (const [code, name] of Object.entries(expected))
    assert.is(errnoOf(new ExomemError(code as ErrorCode, '')), constants.errno[name], code);
});

test('what is no error of exomem is an I/O error', () => {
  assert.is(errnoOf(new TypeError('a fault')), constants.errno.EIO);
  assert.is(errnoOf(undefined), constants.errno.EIO);
});
test.run();
