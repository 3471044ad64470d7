import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fuseNative } from '@exomem/mount';
import { assert, suite } from '@exomem/testing';

const test = suite('map a file of the mount from Python');
const obstacle = await fuseNative().obstacle();
const name = 'it prints what its README says';

if (spawnSync('python3', ['--version']).error !== undefined)
  test.skip(name, 'there is no python3; apt install python3');
else if (obstacle !== undefined) test.skip(name, `${obstacle.what}; ${obstacle.advice}`);
else {
  test(name, async () => {
    const readme = readFileSync(new URL('../../mmap-from-python/README.md', import.meta.url), 'utf8');
    const [, promised] = /^```text\n(.*?)^```$/ms.exec(readme)!;
    const program = fileURLToPath(new URL('../src/mmap-from-python/run.js', import.meta.url));
    const { stdout } = await promisify(execFile)(process.execPath, [program]);
    assert.is(stdout, promised);
  });
}
test.run();
