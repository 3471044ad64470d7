import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { assert, suite } from '@exomem/testing';
import { open } from 'exomem';

const test = suite('an application that moves');
let server: ChildProcess;
let url = '';

test.before(async () => {
  const exomem = fileURLToPath(new URL('./bin.js', import.meta.resolve('exomem')));
  server = spawn(process.execPath, [exomem, 'serve', '--size', '96M', '--listen', '127.0.0.1:0', '--json'], {
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

/** Runs it to its end, and answers the figures of a line of what it prints. */
async function move(...sizes: string[]): Promise<(what: string) => string[]> {
  const program = fileURLToPath(import.meta.resolve('@exomem/examples/moving-application/moving-application'));
  const child = spawn(process.execPath, [program, url, ...sizes], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (bytes) => {
    output += bytes;
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  assert.is(code, 0, output);
  return (what) => {
    const [, figures] = new RegExp(`^${what} {2,}(.+)$`, 'm').exec(output) ?? [];
    assert.ok(figures !== undefined, `no line "${what}" in:\n${output}`);
    return figures.trim().split(/ {2,}/);
  };
}

test('whoever serves it hands it over or is killed: no acknowledged write is lost, and nothing is left behind', async () => {
  const line = await move('1M', '16M');
  const held = line('held').map(Number.parseFloat);
  assert.ok(held[0]! >= 1 && held[1]! >= 16);
  assert.equal(line('lost'), ['0', '0']);
  for (const count of line('acknowledged writes')) assert.ok(Number(count) > 10, `${count} writes`);
  for (const what of ['handed over: the one word that changes', 'killed: +the successor takes it, and finds its way']) {
    for (const figure of line(what)) assert.match(figure, /^\d+\.\d ms$/);
  }
  await using memory = await open(url);
  assert.is((await memory.usage()).held, 0);
  const applications = (await memory.members()).principals.filter(({ state, policy }) => state !== 0 && policy !== 0);
  assert.equal(applications, []);
});
test.run();
