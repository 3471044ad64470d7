import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A piece of network between clients and an appliance that can be cut. */
export class Relay implements AsyncDisposable {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  cuts = 0;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @param url of a region over TCP */
  static async open(url: string): Promise<Relay> {
    const { hostname, port } = new URL(url);
    const server = createServer((near) => {
      const far = connect(Number(port), hostname);
      const pair = [near, far] as const;
      relay.#pairs.add(pair);
      for (const [one, other] of [pair, [far, near] as const]) {
        one.setNoDelay();
        one.on('error', () => undefined);
        one.on('close', () => {
          other.destroy();
          relay.#pairs.delete(pair);
        });
        one.pipe(other);
      }
    });
    const relay = new Relay(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return relay;
  }

  /** The same region, through here. */
  through(url: string): string {
    const there = new URL(url);
    there.port = String((this.#server.address() as AddressInfo).port);
    return there.href;
  }

  /** Cuts one of the connections that there are. */
  cut(chance: number): void {
    const pair = [...this.#pairs][Math.floor(chance * this.#pairs.size)];
    if (pair === undefined) return;
    this.cuts++;
    for (const socket of pair) socket.destroy();
  }

  async close(): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
