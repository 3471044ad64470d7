import { randomBytes } from 'node:crypto';
import { connect, createServer, type Server, type Socket } from 'node:net';
import type { ConnectOptions } from '@exomem/core';
import { RegionMemory } from '@exomem/core';
import { assert } from '@exomem/testing';
import { Appliance, type ApplianceLimits, type TcpSession, tcp } from '@exomem/transport-tcp';

/** An appliance with one region `default`, and what was connected to it; ends with the test. */
export class Served implements AsyncDisposable {
  readonly memory: RegionMemory;
  readonly appliance: Appliance;
  url = '';
  port = 0;
  readonly #sessions: TcpSession[] = [];

  static async start(bytes = 8 << 20, listen = '127.0.0.1:0', limits: Partial<ApplianceLimits> = {}): Promise<Served> {
    const served = new Served(bytes, limits);
    const address = await served.appliance.listen(listen);
    served.url = served.appliance.url('default');
    served.port = 'port' in address ? address.port : 0;
    return served;
  }

  private constructor(bytes: number, limits: Partial<ApplianceLimits>) {
    this.memory = new RegionMemory([new SharedArrayBuffer(bytes)]);
    this.appliance = new Appliance({ limits });
    this.appliance.expose('default', this.memory);
  }

  async connect(options: Partial<ConnectOptions> = {}, url = this.url): Promise<TcpSession> {
    const session = (await tcp().connect(url, { clientId: randomBytes(16), lane: 0, ...options })) as TcpSession;
    this.#sessions.push(session);
    return session;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const session of this.#sessions) await session.close();
    await this.appliance.close();
  }
}

/** A relay between a client and an appliance that can stop forwarding without closing anything. */
export class Relay implements AsyncDisposable {
  port = 0;
  /** Nothing is read any more in either direction: a black hole to both sides. */
  #dark = false;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();

  static async start(target: number): Promise<Relay> {
    const relay = new Relay(target);
    await new Promise<void>((resolve) => relay.#server.listen(0, '127.0.0.1', resolve));
    relay.port = (relay.#server.address() as { port: number }).port;
    return relay;
  }

  private constructor(target: number) {
    this.#server = createServer((near) => {
      const far = connect(target, '127.0.0.1');
      const pair = [near, far] as const;
      this.#pairs.add(pair);
      for (const [from, to] of [pair, [far, near] as const]) {
        from.on('data', (bytes) => {
          if (!this.#dark) to.write(bytes);
        });
        from.on('error', () => undefined);
        from.on('close', () => {
          if (!this.#dark) to.destroy();
        });
      }
    });
  }

  get url(): string {
    return `tcp://127.0.0.1:${this.port}`;
  }

  swallow(): void {
    this.#dark = true;
  }

  forward(): void {
    this.#dark = false;
  }

  /** Holds back what the client sends from now on; `release` lets it through. */
  hold(): void {
    for (const [near] of this.#pairs) near.pause();
  }

  release(): void {
    for (const [near] of this.#pairs) near.resume();
  }

  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.resetAndDestroy();
    this.#pairs.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Asserts that a call fails with that code; answers the error. */
export async function failsWith(
  code: string,
  run: () => unknown,
  message = '',
): Promise<Error & { code: string; advice: string }> {
  try {
    await run();
  } catch (error) {
    const found = error as Error & { code: string; advice: string };
    assert.is(found.code, code, `${message} ${found.stack}`);
    return found;
  }
  assert.unreachable(`${message}: nothing failed, ${code} was expected`);
  throw new Error('unreachable');
}

export function memberWord(state: number, incarnation: number, beat = 0n): bigint {
  return (BigInt(state) << 60n) | (BigInt(incarnation) << 40n) | beat;
}

export const ACTIVE = 2;
export const FENCED = 3;
