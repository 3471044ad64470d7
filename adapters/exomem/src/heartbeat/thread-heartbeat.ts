import { MessageChannel, type MessagePort } from 'node:worker_threads';
import {
  ExomemError,
  type Heart,
  type Heartbeat,
  type HeartbeatLane,
  type HeartbeatMaker,
  isExomemError,
  type Pulse,
} from '@exomem/core';
import { heardOf, type News, type Request } from './messages.js';
import { ProcessThread } from './process-thread.js';
import { Shared } from './shared.js';

interface Waiter<T> {
  resolve(value: T): void;
  reject(error: unknown): void;
}

/** Makes heartbeats that come from another thread, which finds the transport by the URL. */
export function threadHeartbeat(plugin: string | undefined): HeartbeatMaker {
  return (heart, lane, leaseEnd) => new ThreadHeartbeat(heart, lane, leaseEnd, plugin);
}

/** Has the process's thread beat for a client, and hears of it. */
class ThreadHeartbeat implements Heartbeat {
  lost: unknown;
  readonly #heart: Heart;
  readonly #shared = new Shared();
  readonly #port: MessagePort;
  readonly #thread: ProcessThread | undefined;
  /** Beats that were asked for, by their numbers. */
  readonly #asked = new Map<number, Waiter<Pulse>>();
  #asks = 0;
  /** Who waits for the next beat, or what there was to be heard while nobody did. */
  #next: Waiter<Pulse | undefined> | undefined;
  #heard: { pulse: Pulse } | { error: unknown } | undefined;
  #fenced: ExomemError | undefined;
  #over = false;
  #ending: Promise<boolean> | undefined;
  #ended: (known: boolean) => void = () => undefined;

  constructor(heart: Heart, lane: HeartbeatLane, leaseEnd: number, plugin: string | undefined) {
    this.#heart = heart;
    this.#shared.leaseEnd = leaseEnd;
    this.#shared.standing = heart.standing();
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    // A client that is open keeps its process alive, also while it has no connection: by this port, not by the thread.
    port1.on('message', (news: News) => this.#hear(news));
    const { member, geometry, lease, interval } = heart;
    const terms = { port: port2, shared: this.#shared.buffer, lane, plugin, member, geometry, lease, interval };
    try {
      this.#thread = ProcessThread.enter(this, terms);
    } catch (error) {
      this.lose(error);
    }
  }

  get leaseEnd(): number {
    return this.#shared.leaseEnd;
  }

  #hear(news: News): void {
    if ('ended' in news) {
      if (news.word !== undefined) this.#heart.member.word = news.word;
      if (news.why !== undefined) this.lose(new Error(news.why));
      else this.#finish(news.word !== undefined);
      return;
    }
    const error = 'error' in news ? heardOf(news.error) : undefined;
    if (isExomemError(error, 'Fenced')) this.#fenced = error;
    if (news.ask !== undefined) {
      const waiter = this.#asked.get(news.ask);
      this.#asked.delete(news.ask);
      if (error !== undefined) waiter?.reject(error);
      else waiter?.resolve((news as { pulse: Pulse }).pulse);
      return;
    }
    this.#shared.heard();
    // The next beat in time publishes it.
    this.#shared.standing = this.#heart.standing();
    this.#settle(error === undefined ? { pulse: (news as { pulse: Pulse }).pulse } : { error });
  }

  #settle(heard: { pulse: Pulse } | { error: unknown }): void {
    const waiter = this.#next;
    this.#next = undefined;
    if (waiter === undefined) this.#heard = merged(this.#heard, heard);
    else if ('error' in heard) waiter.reject(heard.error);
    else waiter.resolve(heard.pulse);
  }

  next(): Promise<Pulse | undefined> {
    const heard = this.#heard;
    this.#heard = undefined;
    if (heard !== undefined) return 'error' in heard ? Promise.reject(heard.error) : Promise.resolve(heard.pulse);
    if (this.lost !== undefined) return Promise.reject(this.#failure());
    if (this.#over) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.#next = { resolve, reject };
    });
  }

  beat(): Promise<Pulse> {
    if (this.lost !== undefined || this.#over) return Promise.reject(this.#failure());
    this.#shared.standing = this.#heart.standing();
    const ask = ++this.#asks;
    return new Promise((resolve, reject) => {
      this.#asked.set(ask, { resolve, reject });
      this.#send({ ask });
    });
  }

  #send(request: Request): void {
    this.#port.postMessage(request);
  }

  end(): Promise<boolean> {
    this.#ending ??= this.#end();
    return this.#ending;
  }

  async #end(): Promise<boolean> {
    let known = this.lost === undefined;
    if (known && !this.#over) {
      // What has not begun yet has nothing to end.
      if (this.#shared.prevent()) this.#finish(true);
      else {
        // Over a connection that is gone nothing else may be left that keeps the program for as long as this takes.
        this.#port.ref();
        known = await new Promise<boolean>((resolve) => {
          this.#ended = resolve;
          this.#send('end');
        });
      }
    }
    await this.#thread?.leave(this);
    this.#port.close();
    return known;
  }

  /** The thread is no more, and whatever its last beat came to is not known. */
  lose(reason: unknown): void {
    if (this.#over) return;
    this.lost = reason ?? new Error('it ended');
    this.#finish(false);
    if (this.#ending === undefined) {
      process.emitWarning(
        `a thread that beat for member ${this.#heart.member.slot} of a region ended: ${String(reason)}`,
        {
          type: 'ExomemWarning',
          detail: 'The client beats inline from now on: whoever blocks its thread for longer than the wait loses it.',
        },
      );
    }
  }

  #finish(known: boolean): void {
    this.#over = true;
    this.#ended(known);
    const next = this.#next;
    this.#next = undefined;
    if (this.lost === undefined) next?.resolve(undefined);
    else next?.reject(this.#failure());
    for (const waiter of this.#asked.values()) waiter.reject(this.#failure());
    this.#asked.clear();
  }

  #failure(): ExomemError {
    if (this.#fenced !== undefined) return this.#fenced;
    if (this.lost === undefined) return new ExomemError('Closed', 'this heartbeat has ended');
    return new ExomemError('Unavailable', 'the thread that beats is no more', { cause: this.lost });
  }
}

/** Two that nobody has heard of yet, in one. */
function merged(
  before: { pulse: Pulse } | { error: unknown } | undefined,
  now: { pulse: Pulse } | { error: unknown },
): { pulse: Pulse } | { error: unknown } {
  if (before === undefined || 'error' in before || 'error' in now) return now;
  const { behind } = now.pulse;
  return { pulse: { behind, wanted: [...before.pulse.wanted, ...now.pulse.wanted] } };
}
