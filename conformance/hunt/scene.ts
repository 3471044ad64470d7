import { setTimeout as sleep } from 'node:timers/promises';
import { Client, isExomemError, run, userGroups } from '@exomem/core';
import { auditRegion, type JudgeOptions } from '@exomem/core/audit';
import { surroundings } from 'exomem';
import type { Ground } from './ground.js';
import { differs } from './pattern.js';
import { transportTo } from './reach.js';
import { type Company, type Scan, scan } from './scan.js';

/** Milliseconds after which what has not come to rest never will. */
const patience = 60_000;
const regionBytes = 6 * 1024 * 1024;

export interface SceneOptions {
  readonly bytes?: number;
  /** Whether a steward keeps the region. */
  readonly steward: boolean;
  /** Whose coordination rules the region; `atomic` unless given. */
  readonly policy?: string;
  /** Milliseconds, unless as elsewhere on the ground. */
  readonly lease?: number;
}

/** Where regions come from. */
export type Place = Pick<Ground, 'region' | 'withdraw'>;

/** A region of its own, with those who are there beside a victim. */
export class Scene implements AsyncDisposable {
  readonly url: string;
  readonly #ground: Place;
  readonly #name: string;
  readonly #steward: { readonly slot: number; readonly incarnation: number } | undefined;
  readonly #clients = new Set<Client>();
  readonly #observer: Client;
  /** Applications that wait to be adopted. */
  readonly kept = new Set<number>();
  /** What a part of an operation leaves for a later one of the same. */
  readonly memo: Record<string, unknown> = {};

  private constructor(ground: Place, opened: Awaited<ReturnType<Place['region']>>, observer: Client) {
    this.#ground = ground;
    this.#name = opened.name;
    this.url = opened.url;
    this.#steward = opened.steward;
    this.#observer = observer;
  }

  static async open(ground: Place, options: SceneOptions): Promise<Scene> {
    const opened = await ground.region(options.bytes ?? regionBytes, options.steward, options.policy, options.lease);
    const { url } = opened;
    return new Scene(
      ground,
      opened,
      await Client.open({ transport: transportTo(url), url, surroundings, role: 'observer' }),
    );
  }

  /** Somebody who only looks. */
  get observer(): Client {
    return this.#observer;
  }

  /** Joins another client. It is closed with the scene, unless it has left before. */
  async join(label = 'witness', role: 'member' | 'steward' = 'member'): Promise<Client> {
    const { url } = this;
    const client = await Client.open({ transport: transportTo(url), url, surroundings, role, label });
    this.#clients.add(client);
    return client;
  }

  /** Takes leave of a client that was joined here. */
  async part(client: Client): Promise<void> {
    this.#clients.delete(client);
    await client.close();
  }

  /** A client of the scene dies: it is declared dead, and not recovered yet. */
  async kill(client: Client): Promise<void> {
    this.#clients.delete(client);
    await this.#observer.kick(client.member.slot);
    await endFenced(client);
  }

  /** Waits until everything is as it has to be. @throws `Fenced` if a client of the scene was declared dead. `held`: what those who live were told that they hold, in pages. */
  async rest(held?: ReadonlyMap<number, number>): Promise<Scan> {
    const members = [...this.#clients].map((client) => client.member);
    const company: Company = {
      members: this.#steward === undefined ? members : [...members, this.#steward],
      kept: [...this.kept],
      held,
    };
    for (const until = performance.now() + patience; ; ) {
      const found = await scan(this.#observer, company);
      if (found.wrong.length === 0) {
        await this.audit({ atRest: true });
        return found;
      }
      // One of ours was taken for dead by mistake, on a machine that is busy: the case says nothing.
      for (const client of this.#clients) client.check();
      if (performance.now() > until) throw new Error(`it does not come to rest: ${found.wrong.slice(0, 8).join('; ')}`);
      await sleep(100);
    }
  }

  /** The other opinion: everything that is always true of a region. @throws what is not */
  async audit(options: JudgeOptions = {}): Promise<void> {
    const { session } = this.#observer;
    const { findings, damaged } = await run(auditRegion(session.size, options), { session, surroundings });
    if (!damaged) return;
    const damage = findings.filter(({ severity }) => severity === 'damage');
    throw new Error(`the audit says: ${damage.map(({ oracle, what }) => `${oracle}: ${what}`).join('; ')}`);
  }

  /** The bytes of a file as anybody sees them; undefined if there is none of that name. */
  async read(path: string): Promise<Uint8Array | undefined> {
    try {
      await using file = await this.#observer.namespace.open(path);
      const bytes = new Uint8Array(file.size);
      await file.read(0, bytes);
      return bytes;
    } catch (error) {
      if (isExomemError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  /** Removes all names: afterwards every page is free again, and whoever is given one finds zeros in it. */
  async clear(): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const client = await this.join('sweeper');
      try {
        await this.#clear(client);
        return;
      } catch (error) {
        // Taken for dead by mistake, on a machine that is busy.
        if (!isExomemError(error, 'Fenced') || attempt === 4) throw error;
        this.#clients.delete(client);
        await endFenced(client);
      }
    }
  }

  async #clear(client: Client): Promise<void> {
    for (const application of [...this.#clients].flatMap(({ applications }) => applications)) await application.end();
    await this.#remove(client, '/');
    const { free, total } = await this.rest();
    if (free !== total) throw new Error(`${total - free} of ${total} pages did not come back`);
    await this.#findZeros(client);
  }

  async #remove(client: Client, directory: string): Promise<void> {
    for (const { name, stat } of await client.namespace.list(directory)) {
      const path = `${directory}${name}`;
      if (stat.kind !== 'directory') await client.namespace.unlink(path);
      else {
        await this.#remove(client, `${path}/`);
        await client.namespace.rmdir(path);
      }
    }
  }

  async #findZeros(client: Client): Promise<void> {
    const { geometry } = client;
    const pages = Math.floor((userGroups(geometry) * geometry.groupPages * 3) / 4);
    const all = await client.allocate(pages * geometry.pageSize);
    // In pieces: its heart beats between them.
    const bytes = new Uint8Array(2 ** 20);
    for (let from = 0; from < all.length; from += bytes.length) {
      const piece = bytes.subarray(0, Math.min(bytes.length, all.length - from));
      await all.read(from, piece);
      const at = piece.findIndex((byte) => byte !== 0);
      if (at >= 0) throw new Error(`a fresh page, at ${all.offset + from + at}, shows bytes of another`);
    }
    await all.free();
  }

  /** Ends everybody, and takes the region away. */
  async close(): Promise<void> {
    // One that was taken for dead by mistake, on a machine that is busy, must not hide why the scene is closed.
    for (const client of this.#clients) await endFenced(client);
    await this.#observer.close();
    await this.#ground.withdraw(this.#name);
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Closes a client that was declared dead: what it has not published is lost with it. */
async function endFenced(client: Client): Promise<void> {
  await client.close().catch((error) => {
    if (!isExomemError(error, 'Fenced')) throw error;
  });
}

/** @throws where bytes are not those that were acknowledged. */
export function mustBe(what: string, bytes: Uint8Array | undefined, seed: number, length: number): void {
  if (bytes === undefined) throw new Error(`${what} is not there, and was acknowledged`);
  if (bytes.length !== length) throw new Error(`${what} has ${bytes.length} bytes, and ${length} were acknowledged`);
  const at = differs(bytes, seed);
  if (at >= 0) throw new Error(`byte ${at} of ${what} is ${bytes[at]}, which nobody wrote`);
}
