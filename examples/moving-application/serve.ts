/**
 * The application: a key-value store behind HTTP (`PUT /key`, `GET /key`), all of whose data is external memory. One process
 * of several that stand by to be it: it serves when it has created the store, or has taken it over from another.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Application } from '@exomem/core';
import { open } from 'exomem';
import { Store } from './store.js';

/** What it is told. */
export type Order =
  | { readonly do: 'create'; readonly bytes: number }
  | { readonly do: 'adopt'; readonly principal: number }
  | { readonly do: 'end' };
/** What it tells. Times are milliseconds. */
export type News =
  | { readonly news: 'up'; readonly port: number; readonly slot: number }
  | { readonly news: 'created'; readonly principal: number; readonly held: number }
  | { readonly news: 'moved'; readonly principal: number; readonly quiet: number; readonly swap: number }
  | { readonly news: 'adopted'; readonly held: number; readonly adopt: number; readonly find: number };

const [url, name] = process.argv.slice(2);
const memory = await open(url!, { label: name });
const tell = (news: News): void => void process.send!(news);
let store: Store | undefined;
let application: Application | undefined;
/** Requests that are being served, and who waits until there is none. */
let serving = 0;
let quiet: (() => void) | undefined;

/** Segments of a size that suits: a store of any size has some dozens at most. */
const segmentBytes = (held: number): number => Math.max(256 * 1024, held / 64);

async function create(bytes: number): Promise<void> {
  application = await memory.client.register({ keep: 3_600_000 });
  const made = await Store.create(application, 20_000, segmentBytes(bytes));
  const value = new Uint8Array(Math.min(64 * 1024, bytes / 16)).fill(1);
  for (let at = 0; made.held < bytes; at++) await made.put(`filling ${at}`, value);
  serve(application, made);
  tell({ news: 'created', principal: application.principal, held: made.held });
}

/** Learns from the structure in the region what the application holds, and goes on. */
async function adopt(principal: number): Promise<void> {
  const start = performance.now();
  const taken = await memory.client.adopt(principal);
  const adopted = performance.now();
  const found = await Store.takeOver(taken);
  serve(taken, found);
  tell({ news: 'adopted', held: found.held, adopt: adopted - start, find: performance.now() - adopted });
}

function serve(one: Application, its: Store): void {
  application = one;
  store = its;
  // Whoever runs `exomem migrate`, say, asks for this.
  one.onMigrate = (to) => void moveTo(to);
}

/** What was begun is answered, nothing else is; then one word of the region changes. */
async function moveTo(to: { slot: number; incarnation: number }): Promise<void> {
  const start = performance.now();
  const { principal } = application!;
  store = undefined;
  if (serving > 0) await new Promise<void>((resolve) => (quiet = resolve));
  const still = performance.now();
  await application!.migrate(to);
  application = undefined;
  tell({ news: 'moved', principal, quiet: still - start, swap: performance.now() - still });
}

async function answer(request: IncomingMessage, response: ServerResponse, its: Store): Promise<void> {
  const key = decodeURIComponent(request.url!.slice(1));
  if (request.method === 'GET') {
    const value = await its.get(key);
    response.writeHead(value === undefined ? 404 : 200).end(value);
    return;
  }
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  await its.put(key, Buffer.concat(parts));
  response.writeHead(204).end();
}

const server = createServer((request, response) => {
  const its = store;
  if (its === undefined) {
    request.resume();
    response.writeHead(503).end('the store is not here');
    return;
  }
  serving++;
  answer(request, response, its)
    .catch((error) => response.writeHead(500).end(String(error)))
    .finally(() => {
      if (--serving === 0) quiet?.();
    });
});

process.on('message', async (order: Order): Promise<void> => {
  if (order.do === 'create') await create(order.bytes);
  else if (order.do === 'adopt') await adopt(order.principal);
  else {
    store = undefined;
    await application?.end();
    await memory.close();
    process.exit();
  }
});
process.on('disconnect', () => process.exit());
server.listen(0, '127.0.0.1', () => {
  tell({ news: 'up', port: (server.address() as AddressInfo).port, slot: memory.client.member.slot });
});
