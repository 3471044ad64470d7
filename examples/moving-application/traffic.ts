import { Agent, request } from 'node:http';

/** Requests to whichever process has the store, by several users at once; remembers every write that was acknowledged. */
export class Traffic {
  /** By key, the value that was acknowledged last, and one that may have come since. */
  readonly #known = new Map<string, { settled?: string; pending?: string }>();
  readonly #ports: readonly number[];
  readonly #agent = new Agent({ keepAlive: true });
  /** The port that answered last. */
  #port: number;
  #stopping = false;
  #users: Promise<void>[] = [];
  #answered = performance.now();
  #gap = 0;
  acknowledged = 0;

  /** @param ports of all processes that may have the store now or later */
  constructor(ports: readonly number[]) {
    this.#ports = ports;
    this.#port = ports[0]!;
  }

  start(users: number): void {
    this.#answered = performance.now();
    this.#users = Array.from({ length: users }, (_, user) => this.#use(user));
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await Promise.all(this.#users);
  }

  /** The longest time without an answer since this was asked last, in milliseconds. */
  gap(): number {
    const gap = Math.max(this.#gap, performance.now() - this.#answered);
    this.#gap = 0;
    return gap;
  }

  /** Reads every key: how many acknowledged writes are not there. */
  async lost(): Promise<number> {
    let lost = 0;
    for (const [key, { settled, pending }] of this.#known) {
      const found = await this.#ask('GET', key);
      if (found !== settled && found !== pending) lost++;
    }
    this.#agent.destroy();
    return lost;
  }

  async #use(user: number): Promise<void> {
    for (let turn = 0; !this.#stopping; turn++) {
      const key = `user ${user} key ${turn % 50}`;
      const value = `${user}/${turn} `.repeat(1 + (turn % 100));
      const known = this.#known.get(key) ?? {};
      this.#known.set(key, { ...known, pending: value });
      await this.#ask('PUT', key, value);
      this.#known.set(key, { settled: value });
      this.acknowledged++;
      if (turn % 3 === 0 && (await this.#ask('GET', key)) !== value) throw new Error(`${key} is not what was put`);
    }
  }

  /** Asks again, here and there, until somebody has the store. Putting the same twice does no harm. */
  async #ask(method: string, key: string, body?: string): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const port = attempt === 0 ? this.#port : this.#ports[attempt % this.#ports.length]!;
      const answer = await this.#once(port, method, key, body).catch(() => undefined);
      if (answer !== undefined && answer.status < 300) {
        const now = performance.now();
        this.#gap = Math.max(this.#gap, now - this.#answered);
        this.#answered = now;
        this.#port = port;
        return answer.body;
      }
      if (answer !== undefined && answer.status !== 503) throw new Error(`${method} ${key}: ${answer.body}`);
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }

  #once(port: number, method: string, key: string, body = ''): Promise<{ status: number; body: string }> {
    return new Promise((resolve, reject) => {
      const path = `/${encodeURIComponent(key)}`;
      const headers = { 'content-length': Buffer.byteLength(body) };
      const asked = request({ agent: this.#agent, host: '127.0.0.1', port, method, path, headers }, (response) => {
        let text = '';
        response.setEncoding('utf8');
        response.on('data', (part) => {
          text += part;
        });
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode!, body: text }));
      });
      asked.once('error', reject);
      asked.end(body);
    });
  }
}
