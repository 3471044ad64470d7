import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { assert, suite } from '@exomem/testing';

// The page of the simulator: its programs are run, and print what the page says.
const page = new URL('../../../docs/simulator.md', import.meta.url);
const blocks = [...readFileSync(page, 'utf8').matchAll(/^```(js|text)\n(.*?)^```$/gms)].map(([, kind, text]) => ({
  kind: kind!,
  text: text!,
}));

const test = suite('the page of the simulator');
const folder = fileURLToPath(new URL('../', import.meta.url));
mkdirSync(folder, { recursive: true });
const scratch = mkdtempSync(join(folder, 'page-'));
const programs = new Map<string, string | undefined>();
for (const [at, { kind, text }] of blocks.entries()) {
  if (kind !== 'js') continue;
  const name = /^\/\/ ([\w-]+\.js)$/m.exec(text)![1]!;
  writeFileSync(join(scratch, name), text);
  programs.set(name, blocks[at + 1]?.kind === 'text' ? blocks[at + 1]!.text : undefined);
}

for (const [name, promised] of programs) {
  if (promised === undefined) continue;
  test(`${name} prints what it says`, async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [name], { cwd: scratch });
    assert.is(stdout, promised);
  });
}
test('there are several', () => assert.ok([...programs.values()].filter((text) => text !== undefined).length >= 4));
test.after(() => rmSync(scratch, { recursive: true }));
test.run();
