import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';

const test = suite('README');

test('its example runs, and prints what it says', async () => {
  const page = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, example] = /```js\n([^`]*)```/.exec(page)!;
  const said = [...example!.matchAll(/console\.log\(.*\); \/\/ ([^:\n]*)/g)].map(([, text]) => text);
  const child = spawn(process.execPath, ['--input-type=module', '-e', example!], {
    cwd: fileURLToPath(new URL('../..', import.meta.url)),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.on('data', (text) => (output += text));
  const [code] = await once(child, 'close');
  assert.is(code, 0);
  assert.equal(output.trim().split('\n'), said);
  assert.is(said.length, 2);
});

test.run();
