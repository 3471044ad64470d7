import { connect, createServer, type NetConnectOpts, type Server, type Socket } from 'node:net';

/** One connection through the link: what a client opened, and what was opened to the appliance for it. */
interface Pair {
  readonly client: Socket;
  readonly appliance: Socket;
  /** `held`: what the client sends is kept; `vanishing`: nothing passes, either way. */
  mode: 'passing' | 'held' | 'vanishing';
  readonly kept: Buffer[];
  clientEnded: boolean;
}

/**
 * A relay on a loopback port for subjects that speak over sockets: a session connects to the relay, and the relay does
 * to its connection what the laws ask for. Connections that are made later pass.
 */
export class FaultyLink implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: NetConnectOpts;
  readonly #pairs = new Set<Pair>();

  private constructor(target: NetConnectOpts) {
    this.#target = target;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => this.#relay(client));
  }

  /** @param target where the appliance listens */
  static async open(target: NetConnectOpts): Promise<FaultyLink> {
    const link = new FaultyLink(target);
    await new Promise<void>((resolve, reject) => {
      link.#server.once('error', reject);
      link.#server.listen(0, '127.0.0.1', () => resolve());
    });
    return link;
  }

  /** Where sessions connect to, on 127.0.0.1. */
  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  /** How many connections pass through it now. */
  get connections(): number {
    return this.#pairs.size;
  }

  /** Destroys the present connections, at both ends. */
  cut(): void {
    for (const pair of this.#pairs) this.#destroy(pair);
  }

  /** Destroys one of them. @param chance which one: a number from 0 to below 1 @returns whether there was one */
  cutOne(chance: number): boolean {
    const pair = [...this.#pairs][Math.floor(chance * this.#pairs.size)];
    if (pair === undefined) return false;
    this.#destroy(pair);
    return true;
  }

  /** What is sent on the present connections vanishes, and neither end is told. */
  blackHole(): void {
    for (const pair of this.#pairs) pair.mode = 'vanishing';
  }

  /** Keeps what clients send on the present connections, until the function that it gives is called. */
  hold(): () => Promise<void> {
    const held = [...this.#pairs].filter((pair) => pair.mode === 'passing');
    for (const pair of held) pair.mode = 'held';
    return async () => {
      await Promise.all(held.map((pair) => this.#release(pair)));
    };
  }

  async close(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #relay(client: Socket): void {
    const appliance = connect({ ...this.#target, allowHalfOpen: true, noDelay: true } as NetConnectOpts);
    const pair: Pair = { client, appliance, mode: 'passing', kept: [], clientEnded: false };
    this.#pairs.add(pair);
    client.on('data', (bytes) => {
      if (pair.mode === 'passing') forward(bytes, client, appliance);
      else if (pair.mode === 'held') pair.kept.push(bytes);
    });
    client.on('end', () => {
      pair.clientEnded = true;
      if (pair.mode === 'passing') appliance.end();
    });
    appliance.on('data', (bytes) => {
      if (pair.mode !== 'vanishing') forward(bytes, appliance, client);
    });
    appliance.on('end', () => {
      if (pair.mode === 'passing') client.end();
    });
    // A reset at one end is one at the other, unless nothing is to be told.
    client.on('error', () => pair.mode === 'passing' && this.#destroy(pair));
    appliance.on('error', () => pair.mode === 'passing' && this.#destroy(pair));
    client.on('close', () => {
      pair.clientEnded = true;
      if (pair.mode === 'passing') this.#destroy(pair);
    });
    appliance.on('close', () => pair.mode === 'passing' && this.#destroy(pair));
  }

  async #release(pair: Pair): Promise<void> {
    if (pair.mode !== 'held') return;
    pair.mode = 'passing';
    const bytes = Buffer.concat(pair.kept.splice(0));
    if (bytes.length > 0 && pair.appliance.writable) {
      await new Promise<void>((resolve) => pair.appliance.write(bytes, () => resolve()));
    }
    if (pair.clientEnded) pair.appliance.end();
  }

  #destroy(pair: Pair): void {
    this.#pairs.delete(pair);
    pair.client.destroy();
    pair.appliance.destroy();
  }
}

/** Writes on, and reads no more until that has been taken. */
function forward(bytes: Buffer, from: Socket, to: Socket): void {
  if (to.destroyed || !to.writable || to.write(bytes)) return;
  from.pause();
  to.once('drain', () => from.resume());
}
