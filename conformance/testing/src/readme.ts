import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What the first example of a README printed, and what the README says that it prints. */
export interface ExampleRun {
  readonly printed: string;
  readonly promised: string;
}

/**
 * Runs the first `js` block of a README as a program inside the package that it belongs to, so that it imports what a user
 * would. The first `text` block behind it is what it is said to print.
 * @param folder the folder of the README, ending in a slash
 * @throws if there are no such blocks, or the program fails.
 */
export async function runReadmeExample(folder: URL): Promise<ExampleRun> {
  const readme = readFileSync(new URL('README.md', folder), 'utf8');
  const blocks = /^```js\n(.*?)^```$.*?^```text\n(.*?)^```$/ms.exec(readme);
  if (blocks === null) throw new Error(`${fileURLToPath(folder)}README.md has no js block with a text block behind it`);
  const [, code, promised] = blocks;
  let owner = folder;
  while (!existsSync(new URL('package.json', owner))) owner = new URL('../', owner);
  mkdirSync(new URL('dist/', owner), { recursive: true });
  const scratch = mkdtempSync(fileURLToPath(new URL('dist/readme-', owner)));
  try {
    const program = join(scratch, 'example.mjs');
    writeFileSync(program, code!);
    const printed = await new Promise<string>((resolve, reject) => {
      execFile(process.execPath, [program], { cwd: scratch, timeout: 60_000 }, (error, stdout, stderr) => {
        if (error === null) resolve(stdout);
        else reject(new Error(`the example of ${fileURLToPath(folder)}README.md fails:\n${stderr}`, { cause: error }));
      });
    });
    return { printed, promised: promised! };
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/**
 * The files that a document writes: each `js` block whose first line is a comment with a name, as `// appliance.js`.
 * @throws if it has none
 */
export function documentFiles(document: URL): Map<string, string> {
  const text = readFileSync(document, 'utf8');
  const files = new Map<string, string>();
  for (const [, name, code] of text.matchAll(/^```js\n(?:\/\/ ([\w.-]+\.js)\n)(.*?)^```$/gms)) files.set(name!, code!);
  if (files.size === 0) throw new Error(`${fileURLToPath(document)} writes no file`);
  return files;
}
