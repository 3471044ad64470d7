// The examples that are programs of their own, run as their users run them.
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';

const test = suite('the examples that are programs');
const exomem = fileURLToPath(new URL('./bin.js', import.meta.resolve('exomem')));

let server: ChildProcess;
let url = '';

test.before(async () => {
  server = spawn(process.execPath, [exomem, 'serve', '--size', '64M', '--listen', '127.0.0.1:0', '--json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: server.stdout! })) {
    url = JSON.parse(line).url;
    break;
  }
});
test.after(async () => {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGINT');
  assert.is(await ended, 0);
});

/** Runs an example to its end, and answers what it printed. */
function run(example: string): Promise<string> {
  const program = fileURLToPath(import.meta.resolve(`@exomem/examples/${example}`));
  const child = spawn(process.execPath, [program, url], { stdio: ['ignore', 'pipe', 'pipe'] });
  return new Promise((resolve, reject) => {
    let output = '';
    let complaints = '';
    child.stdout.on('data', (bytes) => {
      output += bytes;
    });
    child.stderr.on('data', (bytes) => {
      complaints += bytes;
    });
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${example} ended with ${code}: ${complaints}`));
    });
  });
}

test('quickstart: memory of its own, memory with a name, and another client that reads it', async () => {
  const output = await run('quickstart/quickstart');
  assert.match(output, /^joined tcp:\/\/127\.0\.0\.1:\d+\/default as member \d+$/m);
  assert.match(output, /^1 MiB at offset \d+ of the region: .+$/m);
  assert.match(output, /reads \/model, 4194304 bytes: weights/);
});

test('two clients allocate from one region, and get no byte twice', async () => {
  const output = await run('two-clients/two-clients');
  for (const name of ['anna', 'bert']) assert.is(output.match(new RegExp(`^${name} `, 'gm'))?.length, 10);
  assert.match(output, /no byte was given out twice/);
});

test.run();
