// deadline: 300s
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assert, documentFiles, suite } from '@exomem/testing';
import { Folder } from './fixtures/command.js';
import { install, manifest, pack, published, type Ran, root, run, surely } from './fixtures/project.js';

// What is published, in a project of its own: packed, unpacked, and used as the documentation says.
const test = suite('packed');

/** The lines that a document says are printed: its `text` block behind that heading. */
function promised(document: URL, heading: string): string[] {
  const text = readFileSync(document, 'utf8');
  const section = text.slice(text.indexOf(`\n## ${heading}\n`));
  return /^```text\n(.*?)^```$/ms.exec(section)![1]!.trim().split('\n');
}

const docs = (name: string): URL => new URL(`../../../../docs/${name}.md`, import.meta.url);
let folder: Folder;
let project: string;
const conform = (...args: string[]): Promise<Ran> =>
  run(process.execPath, [join(project, 'node_modules/exomem/dist/src/bin.js'), 'conform', ...args], project);

test.before(async () => {
  folder = new Folder();
  project = folder.at('project');
  await pack(folder.at('tarballs'));
  await install(folder.at('tarballs'), project);
  for (const name of ['writing-a-transport', 'writing-a-policy']) {
    for (const [file, code] of documentFiles(docs(name))) writeFileSync(join(project, file), code);
  }
});
test.after(() => folder[Symbol.dispose]());

test('what is published needs nothing of the workspace, and has no tests in it', () => {
  for (const path of published) {
    const { name } = manifest(join(root, path));
    const home = join(project, 'node_modules', name);
    assert.not.match(JSON.stringify(manifest(home).dependencies ?? {}), 'workspace:');
    assert.equal(readdirSync(join(home, 'dist')), ['src'], name);
  }
});

test('the code of the documentation has the types of the packages', async () => {
  const options = {
    target: 'es2022',
    lib: ['es2023', 'esnext.disposable'],
    module: 'nodenext',
    types: ['node'],
    strict: true,
    noImplicitAny: false,
    allowJs: true,
    checkJs: true,
    noEmit: true,
    skipLibCheck: false,
  };
  writeFileSync(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: options, include: ['*.js'] }));
  await surely(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', '.'], project);
});

test('the transport of the documentation keeps the laws', async () => {
  const { code, output } = await conform('./conform.js', '--budget', '4s');
  assert.is(code, 0, output);
  assert.match(output, /^line: \d+ laws kept, 0 broken, \d+ skipped/m);
});

test('and breaks the law that it says, where it is broken as it says', async () => {
  const document = docs('writing-a-transport');
  const [, removed, added] = /^```diff\n-(.*?)\n\+(.*?)\n```$/m.exec(readFileSync(document, 'utf8'))!;
  const whole = readFileSync(join(project, 'appliance.js'), 'utf8');
  assert.match(whole, removed!);
  writeFileSync(join(project, 'appliance.js'), whole.replace(removed!, added!));
  const { code, output } = await conform('./conform.js', '--law', 'late-steps-never-land');
  assert.is(code, 10, output);
  for (const line of promised(document, 'Break it')) assert.match(output, line);
});

test('the policy of the documentation keeps the laws, the wrong one breaks them as it says', async () => {
  const laws = ['exclusive', 'shown', 'full', 'explained', 'returned', 'alone'].flatMap((id) => ['--law', id]);
  const kept = await conform('./tallied.js', ...laws, '--budget', '4s');
  assert.is(kept.code, 0, kept.output);
  assert.match(kept.output, /^tallied: 6 laws kept/m);
  const wrong = await conform('./free-list.js', '--law', 'shown', '--seed', '1', '--budget', '4s');
  assert.is(wrong.code, 10, wrong.output);
  for (const line of promised(docs('writing-a-policy'), 'A wrong one')) assert.match(wrong.output, line);
});

test('the placement of the documentation keeps the laws', async () => {
  const laws = ['exclusive', 'placed', 'full', 'explained', 'alone'].flatMap((id) => ['--law', id]);
  const { code, output } = await conform('./worst-fit.js', ...laws, '--budget', '4s');
  assert.is(code, 0, output);
  assert.match(output, /^worst-fit: 5 laws kept/m);
});

test.run();
