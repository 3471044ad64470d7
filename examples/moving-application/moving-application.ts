// A key-value store moves from one process to another while it is used, then its process is killed and a third goes on: no
// acknowledged write is lost, and no byte of it is copied, so it takes as long with much as with little.
// First, in another terminal: exomem serve --size 256M
// then: node examples/dist/src/moving-application/moving-application.js [URL [SIZE ...]]
import { type ChildProcess, fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { KiB, MiB, open } from 'exomem';
import type { News, Order } from './serve.js';
import { Traffic } from './traffic.js';

/** A process that has the store, or stands by. */
class Server {
  readonly #child: ChildProcess;
  readonly #heard: News[] = [];
  #wake: (() => void) | undefined;

  constructor(url: string, name: string) {
    this.#child = fork(fileURLToPath(new URL('./serve.js', import.meta.url)), [url, name]);
    this.#child.on('message', (news: News) => {
      this.#heard.push(news);
      this.#wake?.();
    });
    this.#child.once('exit', () => this.#wake?.());
  }

  async hears<N extends News['news']>(kind: N): Promise<Extract<News, { news: N }>> {
    for (;;) {
      const found = this.#heard.find(({ news }) => news === kind);
      if (found !== undefined) return found as Extract<News, { news: N }>;
      if (this.ended) throw new Error(`a server ended with ${this.#child.signalCode ?? this.#child.exitCode}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
  order(order: Order): void {
    this.#child.send(order);
  }
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.end();
  }
  async end(): Promise<void> {
    if (!this.ended) await new Promise((resolve) => this.#child.once('exit', resolve));
  }
}

interface Moves {
  readonly held: number;
  readonly swap: number;
  readonly handed: { readonly adopt: number; readonly find: number };
  readonly handedGap: number;
  readonly killed: { readonly adopt: number; readonly find: number };
  readonly killedGap: number;
  readonly acknowledged: number;
  readonly lost: number;
}

async function move(url: string, bytes: number): Promise<Moves> {
  await using memory = await open(url, { label: 'operator' });
  const servers = ['anna', 'bert', 'carl'].map((name) => new Server(url, name));
  const [a, b, c] = servers as [Server, Server, Server];
  try {
    const [, bUp] = await Promise.all(servers.map((server) => server.hears('up')));
    a.order({ do: 'create', bytes });
    const { principal, held } = await a.hears('created');
    const traffic = new Traffic(await Promise.all(servers.map(async (server) => (await server.hears('up')).port)));
    traffic.start(4);
    await sleep(500);

    // What `exomem migrate` asks. Anna finishes what she is at; one word changes; Bert reads what he has now.
    traffic.gap();
    await memory.client.askToMigrate(principal, bUp!.slot);
    const { swap } = await a.hears('moved');
    b.order({ do: 'adopt', principal });
    const handed = await b.hears('adopted');
    await sleep(500);
    const handedGap = traffic.gap();

    // Nobody asks Bert. He is shut out, as `exomem kick` does at once and the steward after a while, and Carl goes on.
    await b.kill();
    await memory.client.kick(bUp!.slot);
    c.order({ do: 'adopt', principal });
    const killed = await c.hears('adopted');
    await sleep(500);
    const killedGap = traffic.gap();

    await traffic.stop();
    const lost = await traffic.lost();
    const { acknowledged } = traffic;
    for (const server of [a, c]) server.order({ do: 'end' });
    await Promise.all([a.end(), c.end()]);
    return { held, swap, handed, handedGap, killed, killedGap, acknowledged, lost };
  } finally {
    await Promise.all(servers.map((server) => server.kill()));
  }
}

const [url = process.env['EXOMEM_URL'] ?? 'tcp://127.0.0.1:7070/default', ...sizes] = process.argv.slice(2);
const all: Moves[] = [];
for (const size of sizes.length > 0 ? sizes : ['1M', '16M']) all.push(await move(url, bytesOf(size)));

const line = (what: string, figure: (moves: Moves) => string): void =>
  console.log(what.padEnd(56) + all.map((moves) => figure(moves).padStart(12)).join(''));
const ms = (value: number): string => `${value.toFixed(1)} ms`;
line('held', ({ held }) => `${(held / MiB).toFixed(1)} MiB`);
line('handed over: the one word that changes', ({ swap }) => ms(swap));
line('             the successor takes it, and finds its way', ({ handed }) => ms(handed.adopt + handed.find));
line('             longest time without an answer', ({ handedGap }) => ms(handedGap));
line('killed:      the successor takes it, and finds its way', ({ killed }) => ms(killed.adopt + killed.find));
line('             longest time without an answer', ({ killedGap }) => ms(killedGap));
line('acknowledged writes', ({ acknowledged }) => String(acknowledged));
line('lost', ({ lost }) => String(lost));
process.exitCode = all.some(({ lost }) => lost > 0) ? 1 : 0;

/** `64K`, `1M`, `1G`. */
function bytesOf(text: string): number {
  const [, number, unit] = /^(\d+)([KMG])$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`"${text}" is no size: say 1M, say 1G`);
  return Number(number) * { K: KiB, M: MiB, G: 1024 * MiB }[unit as 'K' | 'M' | 'G'];
}
