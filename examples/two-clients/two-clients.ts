// Two processes allocate from one region at the same time. Neither asks the other, nor a server: they meet in the words
// of the region alone. First, in another terminal: exomem serve --size 256M
// then: node examples/dist/src/two-clients/two-clients.js [URL]
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

interface Range {
  readonly from: number;
  readonly to: number;
}

const url = process.argv[2] ?? process.env['EXOMEM_URL'] ?? 'tcp://127.0.0.1:7070/default';
const program = fileURLToPath(new URL('./client.js', import.meta.url));

const clients = ['anna', 'bert'].map((name) => ({ name, child: fork(program, [url, name]) }));
const all = await Promise.all(clients.map(({ name, child }) => said(name, child)));

for (const { name, from, to } of all.flat().sort((a, b) => a.from - b.from)) {
  console.log(`${name}  ${String(from).padStart(10)} - ${String(to).padStart(10)}  ${(to - from) / 1024} KiB`);
}
const sorted = all.flat().sort((a, b) => a.from - b.from);
const overlap = sorted.some(({ from }, at) => at > 0 && from < sorted[at - 1]!.to);
console.log(overlap ? 'they got in the way of each other' : 'no byte was given out twice');
process.exitCode = overlap ? 1 : 0;

for (const { child } of clients) {
  const ended = once(child, 'exit');
  child.send('end');
  await ended;
}

async function said(name: string, child: ChildProcess): Promise<(Range & { name: string })[]> {
  const ranges = await Promise.race([
    once(child, 'message').then(([ranges]) => ranges as Range[]),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${name} ended with ${code}`))),
  ]);
  return ranges.map((range) => ({ name, ...range }));
}
