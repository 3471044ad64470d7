import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Law, withNodeTest, withUvu, withVitest } from '@exomem/conformance';
import { assert, suite } from '@exomem/testing';

const test = suite('bindings of the kit');

const laws: Law[] = [
  { id: 'kept', sentence: 'it is kept', run: async () => undefined },
  { id: 'skipped', sentence: 'it is skipped', skip: 'for a reason', run: () => Promise.reject(new Error('it ran')) },
  { id: 'broken', sentence: 'it is broken', run: () => Promise.reject(new Error('as expected')) },
];

/** Runs a program as a user would write it; with its output and its exit code. */
function program(runner: string): Promise<{ code: number; output: string }> {
  const source = `
    import { withNodeTest, withUvu } from '@exomem/conformance';
    const laws = [
      { id: 'kept', sentence: 'it is kept', run: async () => undefined },
      { id: 'skipped', sentence: 'it is skipped', skip: 'for a reason', run: () => Promise.reject(new Error('it ran')) },
      { id: 'broken', sentence: 'it is broken', run: () => Promise.reject(new Error('as expected')) },
    ];
    ${runner}
  `;
  return new Promise((done) => {
    const args = ['--input-type=module', '--eval', source];
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const cwd = fileURLToPath(new URL('../../', import.meta.url));
    execFile(process.execPath, args, { cwd, env }, (error, stdout, stderr) => {
      done({ code: typeof error?.code === 'number' ? error.code : 0, output: stdout + stderr });
    });
  });
}

test('uvu', async () => {
  const { code, output } = await program(
    `const { suite } = await import('uvu'); const mine = suite('mine'); withUvu(mine, laws); mine.run();`,
  );
  assert.is(code, 1);
  assert.match(output, /Total: +2\n +Passed: +1\n +Skipped: +1/);
  assert.match(output, 'broken: it is broken');
  assert.match(output, 'as expected');
});

test('node:test', async () => {
  const { code, output } = await program(`const { test } = await import('node:test'); withNodeTest(test, laws);`);
  assert.is(code, 1);
  assert.match(output, /pass 1\n[\s\S]*fail 1\n[\s\S]*skipped 1/);
  assert.match(output, 'for a reason');
});

test('vitest, and what has its shape', async () => {
  const told: unknown[] = [];
  const vitest = Object.assign((name: string, options: { timeout: number }) => told.push([name, options.timeout]), {
    skip: (name: string) => told.push(name),
  });
  withVitest(vitest, laws, 7);
  assert.equal(told, [['kept: it is kept', 7], 'skipped: it is skipped (for a reason)', ['broken: it is broken', 7]]);
});

test('the bindings have the types that uvu and node:test have', () => {
  // Compiled, and that is all.
  const compiled = (uvu: typeof import('uvu')['test'], node: typeof import('node:test')['test']): void => {
    withUvu(uvu, laws);
    withNodeTest(node, laws);
  };
  assert.type(compiled, 'function');
});

test('what is published has no type of fast-check', () => {
  const seen = new Set<string>();
  const look = (path: string): void => {
    if (seen.has(path)) return;
    seen.add(path);
    const text = readFileSync(path, 'utf8');
    assert.not.match(text, /from ['"]fast-check['"]|import\(['"]fast-check['"]\)/, path);
    for (const [, specifier] of text.matchAll(/(?:from|import\() ?['"](\.[^'"]+)\.js['"]/g)) {
      look(resolve(dirname(path), `${specifier}.d.ts`));
    }
  };
  for (const entry of ['index', 'simulator/index']) {
    look(fileURLToPath(new URL(`../src/${entry}.d.ts`, import.meta.url)));
  }
  assert.ok(seen.size > 20);
});

test.run();
