// Runs the tests: `npm test -- [PATTERN ...]` takes the files whose path contains one of the patterns.
//
// A file is a process of its own. Its source may say how it is to be run:
//   // deadline: 300s    it may take that long (otherwise 120 s)
//   // alone             no other file runs at the same time
// `--folder F` looks for tests in F alone, and leaves the checks of the sources out.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { checks } from './checks.mjs';
import { killAll, runTestFile } from './test-file.mjs';
import { files, isFile, packages, root } from './workspace.mjs';

const defaultDeadline = 120_000;

const { values, positionals: patterns } = parseArgs({
  options: { folder: { type: 'string' } },
  allowPositionals: true,
});
const wanted = (path) => patterns.length === 0 || patterns.some((pattern) => path.includes(pattern));

function testFiles() {
  const found = [];
  for (const directory of packages()) {
    const tests = join(root, directory, 'test');
    const folder = values.folder === undefined ? tests : resolve(values.folder);
    if (relative(tests, folder).startsWith('..')) continue;
    // Below `fixtures` are files that only a test runs.
    for (const source of files(folder, ['node_modules', 'dist', 'fixtures'])) {
      const path = relative(root, source);
      if (!source.endsWith('.test.ts') || !wanted(path)) continue;
      const text = readFileSync(source, 'utf8');
      const compiled = join(root, directory, 'dist/test', relative(tests, source).replace(/\.ts$/, '.js'));
      const seconds = /^\/\/ deadline: (\d+)s$/m.exec(text)?.[1];
      const deadline = seconds === undefined ? defaultDeadline : Number(seconds) * 1000;
      found.push({ path, compiled, deadline, alone: /^\/\/ alone$/m.test(text) });
    }
  }
  // Who asks for more time is likely to take it: such files begin first.
  return found.sort((a, b) => b.deadline - a.deadline);
}

const total = { passed: 0, failed: 0, skipped: [] };

function report(path, { passed, failed, skipped, output, milliseconds }) {
  total.passed += passed.length;
  total.failed += failed.length;
  total.skipped.push(...skipped.map(({ name, reason }) => `${path}: ${name}: ${reason}`));
  const counts = [`${passed.length} passed`];
  if (failed.length > 0) counts.push(`${failed.length} failed`);
  if (skipped.length > 0) counts.push(`${skipped.length} skipped`);
  console.log(`${failed.length > 0 ? 'FAIL' : 'ok  '} ${path}  ${counts.join(', ')}  ${seconds(milliseconds)}`);
  if (failed.length === 0) return;
  console.log(output.replace(/^/gm, '     | '));
  for (const { name, reason } of failed) console.log(`     ${name}: ${reason}`);
}

const seconds = (milliseconds) => `${(milliseconds / 1000).toFixed(1)} s`;

let stopping = false;

async function runFile(file, scratch) {
  if (stopping) return;
  if (isFile(file.compiled)) return report(file.path, await runTestFile(file, scratch));
  const failed = [{ name: 'the file', reason: 'is not compiled' }];
  report(file.path, { passed: [], failed, skipped: [], output: '', milliseconds: 0 });
}

async function runAll(all, scratch) {
  const together = all.filter((file) => !file.alone);
  const worker = async () => {
    for (let file = together.shift(); file !== undefined; file = together.shift()) await runFile(file, scratch);
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
  for (const file of all.filter((one) => one.alone)) await runFile(file, scratch);
}

const began = performance.now();
const scratch = mkdtempSync(join(tmpdir(), 'exomem-test-'));
process.on('exit', () => {
  killAll();
  rmSync(scratch, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.once(signal, () => {
    stopping = true;
    killAll('SIGTERM');
    setTimeout(() => process.exit(1), 300);
  });
}

if (values.folder === undefined) {
  for (const [name, check] of Object.entries(checks)) {
    if (!wanted(name)) continue;
    const start = performance.now();
    const output = await check();
    const failed = output === undefined ? [] : [{ name, reason: 'see above' }];
    const passed = failed.length === 0 ? [name] : [];
    report(name, { passed, failed, skipped: [], output: output ?? '', milliseconds: performance.now() - start });
  }
}
await runAll(testFiles(), scratch);
if (total.skipped.length > 0) console.log(`\nSkipped:\n${total.skipped.map((line) => `  ${line}`).join('\n')}`);
console.log(`\n${seconds(performance.now() - began)} in all`);
const skipped = total.skipped.length > 0 ? `, ${total.skipped.length} skipped` : '';
console.log(`${total.passed} passed, ${total.failed} failed${skipped}`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;
