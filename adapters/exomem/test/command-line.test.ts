import { readFileSync } from 'node:fs';
import { ExomemError, errorTable } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { exitCodeOf, exitCodes, outcomes } from '../src/command/exit-code.js';
import { parseLocation, parseRegion } from '../src/command/location.js';
import { formatSize, parseDuration, parseSize, typeSize } from '../src/command/quantity.js';
import { isLocal } from '../src/commands/serve.js';

const test = suite('the command line');

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as ExomemError).code;
  }
  return 'none';
}

test('every error of exomem has its exit code, and every exit code but two a name of its own', () => {
  assert.equal(Object.keys(outcomes).sort(), Object.keys(errorTable).sort());
  const codes = Object.values(exitCodes).map(([number]) => number);
  assert.is(new Set(codes).size, codes.length);
  assert.is(exitCodeOf(new ExomemError('NotFound', 'x')), 3);
  assert.is(exitCodeOf(new ExomemError('Disconnected', 'x')), 6);
  assert.is(exitCodeOf(new Error('x')), 1);
  assert.is(exitCodeOf('x'), 1);
});

test('the README has the table of exit codes', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const rows = [...readme.matchAll(/^\| (\d+) +\| (.+?) +\|$/gm)].map(([, code, meaning]) => [Number(code), meaning]);
  assert.equal(rows, Object.values(exitCodes));
});

test('sizes', () => {
  const sizes: Record<string, number> = {
    '4096': 4096,
    '512M': 512 * 1024 ** 2,
    '64GiB': 64 * 1024 ** 3,
    '64 GiB': 64 * 1024 ** 3,
    '64gb': 64 * 1024 ** 3,
    '1.5G': 1.5 * 1024 ** 3,
    '0.5k': 512,
    '1T': 1024 ** 4,
    '9007199254740991': Number.MAX_SAFE_INTEGER,
    '7.9921875P': 7.9921875 * 1024 ** 5,
  };
  for (const [text, bytes] of Object.entries(sizes)) assert.is(parseSize(text), bytes, text);
  const bad = [
    '0',
    '0G',
    '-1',
    '-512M',
    '12x',
    '',
    'G',
    '1.1',
    '0.3K',
    '1e9',
    '0x10',
    '9007199254740992',
    '8P',
    '1..5G',
  ];
  for (const text of [...bad, 'NaN', 'Infinity', '1,5G', '١M'])
    assert.is(
      code(() => parseSize(text)),
      'OutOfRange',
      text,
    );
  for (const bytes of [1, 512, 4096, 64 * 1024 ** 3, 1.5 * 1024 ** 3, 12_345]) {
    assert.is(parseSize(typeSize(bytes)), bytes, typeSize(bytes));
  }
  assert.is(formatSize(1536 * 1024 ** 2), '1.50 GiB');
  assert.is(formatSize(12), '12 B');
});

test('durations', () => {
  assert.equal(
    ['10s', '500ms', '2m', '1h', '1.5s'].map((text) => parseDuration(text)),
    [10_000, 500, 120_000, 3_600_000, 1500],
  );
  for (const text of ['0s', '10', '-1s', 's', '1d', '0.5ms', '9999h']) {
    assert.is(
      code(() => parseDuration(text)),
      'OutOfRange',
      text,
    );
  }
});

test('locations', () => {
  const base = 'tcp://h:1/base';
  const at = (text?: string, from: string | undefined = base): string => {
    const { url, path } = parseLocation(text, from);
    return `${url} ${path}`;
  };
  assert.is(at(), 'tcp://h:1/base /');
  assert.is(at('/a b%'), 'tcp://h:1/base /a b%');
  assert.is(at('tcp://h'), 'tcp://h /');
  assert.is(at('tcp://h:1/'), 'tcp://h:1/ /');
  assert.is(at('tcp://h:1/r'), 'tcp://h:1/r /');
  assert.is(at('tcp://h:1/r/'), 'tcp://h:1/r /');
  assert.is(at('tcp://[::1]:1/r/a/b/'), 'tcp://[::1]:1/r /a/b/');
  assert.is(at('tcp://h:1/r/a%20b?#c'), 'tcp://h:1/r /a b?#c');
  assert.is(at('tcp://h:1/r#/a'), 'tcp://h:1/r /a');
  assert.is(at('unix:/run/s.sock'), 'unix:/run/s.sock /');
  assert.is(at('unix:/run/s.sock#/a/b'), 'unix:/run/s.sock /a/b');
  assert.is(at('unix:/run/s.sock?region=r#/a'), 'unix:/run/s.sock?region=r /a');
  assert.is(at('unix:///run/s.sock#/a'), 'unix:///run/s.sock /a');
  assert.is(at('mine://x/y/z'), 'mine://x/y /z');
  assert.is(at('mine:x#/z'), 'mine:x /z');
  for (const text of ['a', 'a/b', '', './a', 'tcp:', 'tcp://h/r/%zz']) {
    assert.is(
      code(() => parseLocation(text, base)),
      'InvalidArgument',
      text,
    );
  }
  assert.is(
    code(() => parseLocation('/a', undefined)),
    'InvalidArgument',
  );
  assert.is(
    code(() => parseLocation(undefined, '')),
    'InvalidArgument',
  );
  assert.is(
    code(() => parseLocation('/a', 'tcp://h/r/b')),
    'InvalidArgument',
  );
  assert.is(parseRegion('unix:/s'), 'unix:/s');
  assert.is(
    code(() => parseRegion('tcp://h/r/b')),
    'InvalidArgument',
  );
});

test('who can reach an address', () => {
  for (const url of ['unix:/x', 'tcp://127.0.0.1:1/r', 'tcp://127.9.9.9:1/r', 'tcp://[::1]:1/r', 'tcp://localhost:1/r'])
    assert.ok(isLocal(url), url);
  for (const url of ['tcp://0.0.0.0:1/r', 'tcp://[::]:1/r', 'tcp://10.0.0.1:1/r', 'tcp://127.0.0.1.example.org:1/r'])
    assert.not(isLocal(url), url);
});

test.run();
