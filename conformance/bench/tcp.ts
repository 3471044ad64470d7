import { fork } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { Client, compareExchange, type Extent } from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { compare, type Row } from './row.js';
import { surroundings } from './surroundings.js';

const group = 'TCP on loopback';

/** A bare socket: one request, so many bytes of answer. */
class Bare {
  readonly #socket: Socket;
  #left = 0;
  #done: (() => void) | undefined;
  constructor(socket: Socket) {
    this.#socket = socket;
    socket.setNoDelay();
    socket.on('data', (chunk) => {
      this.#left -= chunk.length;
      if (this.#left <= 0) this.#done?.();
    });
  }
  ask(pieces: readonly Uint8Array[], answer: number): Promise<void> {
    this.#left = answer;
    const done = new Promise<void>((resolve) => {
      this.#done = resolve;
    });
    for (const piece of pieces) this.#socket.write(piece);
    return done;
  }
  end(): void {
    this.#socket.destroy();
  }
}

function request(code: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(8);
  bytes[0] = code;
  bytes.writeUInt32LE(length, 1);
  return bytes;
}

async function rate(count: number, work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  for (let at = 0; at < count; at++) await work();
  return (count / (performance.now() - start)) * 1000;
}

/** The figures of the TCP transport. */
export async function run(): Promise<Row[]> {
  const peer = fork(fileURLToPath(new URL('./peer.js', import.meta.url)), {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const rows: Row[] = [];
  try {
    const [{ url, port }] = (await once(peer, 'message')) as [{ url: string; port: number }];
    const socket = connect(port, '127.0.0.1');
    await once(socket, 'connect');
    const bare = new Bare(socket);
    const client = await Client.open({ transport: tcp(), url, surroundings });
    const { session, allocator, geometry } = client;
    const small = new Uint8Array(64);

    // Clean pages only: what was allocated is freed between the rounds, and a fresh part of the region is taken.
    const extents: Extent[] = [];
    const echo = () => rate(1000, () => bare.ask([small], 64));
    rows.push(
      await compare(
        {
          group,
          name: 'allocate a page (clean)',
          unit: 'op/s',
          baseline: 'bare echo',
          aim: 'at least 0.77 of the echo',
        },
        async () => {
          const before = extents.length;
          const figure = await rate(1000, async () => {
            extents.push(await client.run(allocator.allocate({ pages: 1, initialise: 'zero' })));
          });
          // Keep them: freed pages would be dirty, and zeroing them is another figure.
          if (extents.length - before !== 1000) throw new Error('an allocation is missing');
          return figure;
        },
        echo,
      ),
    );
    rows.push(
      await compare(
        { group, name: 'load a word', unit: 'op/s', baseline: 'bare echo' },
        () => rate(1000, async () => session.load(64)),
        echo,
      ),
    );
    const word = geometry.controlOffset + 1024;
    const steps = Array.from({ length: 64 }, () => compareExchange(word, 1n, 1n));
    const sixtyFour = async (): Promise<void> => {
      await session.batch(steps);
    };
    rows.push(
      await compare(
        {
          group,
          name: '64 steps in one frame',
          unit: 'step/s',
          baseline: '64 frames, one after the other',
          aim: 'at least 10 times',
        },
        async () => 64 * (await rate(200, sixtyFour)),
        async () =>
          64 *
          (await rate(10, async () => {
            for (let at = 0; at < 64; at++) await session.compareExchange(word, 1n, 1n);
          })),
      ),
      await compare(
        { group, name: '64 steps in one frame', unit: 'step/s', baseline: '64 frames under way at once' },
        async () => 64 * (await rate(200, sixtyFour)),
        async () =>
          64 *
          (await rate(40, () => Promise.all(Array.from({ length: 64 }, () => session.compareExchange(word, 1n, 1n))))),
      ),
    );
    const data = await client.allocate(64 * 1024 * 1024, { initialise: 'none' });
    const offset = data.offset;
    for (const size of [4096, 65_536, 1_048_576]) {
      const buffer = new Uint8Array(size);
      const count = size === 1_048_576 ? 100 : 1000;
      const label = size < 1_048_576 ? `${size / 1024} KiB` : '1 MiB';
      rows.push(
        await compare(
          { group, name: `read ${label}`, unit: 'MB/s', baseline: 'raw socket' },
          async () => ((await rate(count, async () => session.read(offset, buffer))) * size) / 1e6,
          async () => ((await rate(count, () => bare.ask([request(1, size)], size))) * size) / 1e6,
        ),
        await compare(
          { group, name: `write ${label}`, unit: 'MB/s', baseline: 'raw socket' },
          async () => ((await rate(count, async () => session.write(offset, buffer))) * size) / 1e6,
          async () => ((await rate(count, () => bare.ask([request(2, size), buffer], 1))) * size) / 1e6,
        ),
      );
    }
    bare.end();
    await client.close();
  } finally {
    peer.disconnect();
    await once(peer, 'exit');
  }
  return rows;
}
