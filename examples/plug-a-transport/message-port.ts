// A whole transport in one file: a region that lives in a worker thread and is reached by messages, and by nothing else.
//
// Three things make a transport:
//   an appliance, which has the bytes and applies steps in the order in which they arrive,
//   a session, which sends steps and pairs the answers with them; SessionBase checks every call before it gets there,
//   a Transport, which opens sessions by URL: here mport:NAME.
// What to copy is how it ends: a lost connection answers everything that was in flight with OutcomeUnknown, and a new
// epoch makes sure that nothing of the earlier ones lands any more. examples/test holds it to the laws of transports.

import { isMainThread, MessageChannel, type MessagePort, parentPort, Worker, workerData } from 'node:worker_threads';
import type { BatchAnswer, Capabilities, ConnectOptions, ErrorCode, MemberBinding, MemoryStep } from '@exomem/core';
import {
  compareExchange,
  ExomemError,
  fetchAdd,
  load,
  notRun,
  RegionMemory,
  read,
  SessionBase,
  type Transport,
  type Wait,
  write,
} from '@exomem/core';

export const capabilities: Capabilities = {
  synchronous: false,
  mapped: false,
  atomics: 'host',
  maxTransfer: 65_536,
  maxBatch: 256,
  stopOnFail: true,
  sessionFence: true,
  revoke: 'none',
  watch: false,
};

// ---- What travels. A symbol cannot be cloned, so a step that was not run is null.

type Request =
  /** `again`: the same session reconnects, and its lane stays bound to whom it was bound to. */
  | { id: number; kind: 'hello'; lane: string; again: boolean }
  | { id: number; kind: 'steps'; steps: readonly MemoryStep[]; stop: boolean }
  | { id: number; kind: 'bind'; member: MemberBinding };
type Answer = bigint | Uint8Array | undefined | null;
type Response = { id: number; answers: Answer[] } | { id: number; refused: ErrorCode };

// ---- The appliance.

/** A lane in its present epoch, as the appliance sees it. */
interface Lane {
  readonly epoch: number;
  member: MemberBinding | undefined;
  /** It was bound in this epoch. */
  bound: boolean;
  fenced: boolean;
}

/** What runs in the thread that has the region: messages come in one at a time, so each is atomic. */
function serve(bytes: number): void {
  const memory = new RegionMemory([new ArrayBuffer(bytes)]);
  const lanes = new Map<string, Lane>();

  const apply = (step: MemoryStep): Answer => {
    // Whoever takes offsets from elsewhere checks them, whatever the other side promises to have checked.
    const length = 'bytes' in step ? step.bytes.byteLength : 8;
    if (!(step.offset >= 0 && step.offset + length <= memory.size))
      throw new ExomemError('OutOfRange', 'no such range');
    switch (step.op) {
      case 'load':
        return memory.load(step.offset);
      case 'compareExchange':
        return memory.compareExchange(step.offset, step.expected, step.desired);
      case 'fetchAdd':
        return memory.fetchAdd(step.offset, step.desired);
      case 'write':
        memory.write(step.offset, step.bytes);
        return undefined;
      case 'read':
        memory.read(step.offset, step.bytes);
        return step.bytes;
    }
  };

  const run = (steps: readonly MemoryStep[], stop: boolean): Answer[] => {
    const answers: Answer[] = new Array(steps.length).fill(null);
    for (const [at, step] of steps.entries()) {
      answers[at] = apply(step);
      if (stop && step.op === 'compareExchange' && answers[at] !== step.expected) break;
    }
    return answers;
  };

  /** Ties the lane to a member whose word shows it alive; a refusal is for good, in this epoch. */
  const bind = (lane: Lane, member: MemberBinding): void => {
    const word = memory.load(member.offset);
    const alive = [1n, 2n].includes(word >> 60n) && Number((word >> 40n) & 0xfffffn) === member.incarnation;
    const same = lane.member?.slot === member.slot && lane.member.incarnation === member.incarnation;
    lane.fenced = !alive || (lane.bound && (lane.fenced || !same));
    lane.bound = true;
    lane.member = member;
    if (lane.fenced) throw new ExomemError('Fenced', 'the member is not alive, or the lane is bound already');
  };

  const begin = (key: string, again: boolean): Lane => {
    const before = lanes.get(key);
    const kept = again ? before : undefined;
    const epoch = (before?.epoch ?? 0) + 1;
    const lane = { epoch, member: kept?.member, bound: false, fenced: kept?.fenced ?? false };
    lanes.set(key, lane);
    return lane;
  };

  const connected = (port: MessagePort): void => {
    let key = '';
    let lane: Lane | undefined;
    const handle = (request: Request): Answer[] => {
      if (request.kind === 'hello') {
        key = request.lane;
        lane = begin(key, request.again);
        return [BigInt(lane.epoch)];
      }
      // Looked at when a step is applied, not when it was sent: a late one of an earlier epoch must not land.
      if (lane === undefined || lanes.get(key) !== lane) throw new ExomemError('Fenced', 'there is a later epoch');
      if (request.kind === 'bind') bind(lane, request.member);
      else if (lane.fenced) throw new ExomemError('Fenced', 'the lane is fenced');
      return request.kind === 'steps' ? run(request.steps, request.stop) : [];
    };
    port.on('message', (request: Request) => {
      let response: Response;
      try {
        response = { id: request.id, answers: handle(request) };
      } catch (error) {
        response = { id: request.id, refused: error instanceof ExomemError ? error.code : 'ProtocolError' };
      }
      port.postMessage(response);
    });
  };

  parentPort!.on('message', connected);
}

if (!isMainThread && workerData?.exomemRegion !== undefined) serve(workerData.exomemRegion as number);

/** Opens a connection: one end of a channel whose other end an appliance has. */
export type Door = () => MessagePort;

/** A thread with a region of so many zero bytes, and the door to it. */
export function startAppliance(bytes: number): { readonly door: Door; close(): Promise<unknown> } {
  const thread = new Worker(new URL(import.meta.url), { workerData: { exomemRegion: bytes } });
  const door: Door = () => {
    const { port1, port2 } = new MessageChannel();
    thread.postMessage(port2, [port2]);
    return port1;
  };
  return { door, close: () => thread.terminate() };
}

// ---- The session.

interface Pending {
  resolve(answers: Answer[]): void;
  reject(error: ExomemError): void;
}

class MessagePortSession extends SessionBase {
  readonly capabilities = capabilities;
  epoch = 0;
  #port: MessagePort | undefined;
  readonly #pending = new Map<number, Pending>();
  #lastId = 0;
  #fenced = false;
  #silenceTimer: NodeJS.Timeout | undefined;

  constructor(
    readonly where: string,
    readonly size: number,
    private readonly door: Door,
    private readonly options: ConnectOptions,
  ) {
    super();
  }

  protected doLoad(offset: number): Promise<bigint> {
    return this.#run([load(offset)]) as Promise<bigint>;
  }
  protected doCompareExchange(offset: number, expected: bigint, desired: bigint): Promise<bigint> {
    return this.#run([compareExchange(offset, expected, desired)]) as Promise<bigint>;
  }
  protected doFetchAdd(offset: number, delta: bigint): Promise<bigint> {
    return this.#run([fetchAdd(offset, delta)]) as Promise<bigint>;
  }
  protected doRead(offset: number, target: Uint8Array, wait: Wait): Promise<void> {
    return this.#run([read(offset, target)], wait) as Promise<undefined>;
  }
  protected doWrite(offset: number, source: Uint8Array): Promise<void> {
    return this.#run([write(offset, source)]) as Promise<undefined>;
  }

  protected async doBatch(steps: readonly MemoryStep[], stop: boolean, wait?: Wait): Promise<BatchAnswer> {
    // Cloning a message would take the whole buffer behind each array along.
    const sent = steps.map((step) => ('bytes' in step ? { ...step, bytes: step.bytes.slice() } : step));
    const answers = await this.#ask({ kind: 'steps', steps: sent, stop });
    return answers.map((answer, at) => {
      if (answer === null) return notRun;
      if (!(answer instanceof Uint8Array)) return answer;
      const step = steps[at]!;
      // Who has given up waiting has other use for the buffer by now.
      if ('bytes' in step && !wait?.abandoned) step.bytes.set(answer);
      return undefined;
    });
  }

  protected async doBind(member: MemberBinding): Promise<void> {
    await this.#ask({ kind: 'bind', member });
    this.#fenced = false;
  }

  /** Opens the first epoch, too: connecting and reconnecting are the same. */
  protected async doRenew(force: boolean): Promise<void> {
    if (this.#port !== undefined && !force && !this.#fenced) return;
    this.#lose();
    const port = this.door();
    this.#port = port;
    port.on('message', (response: Response) => this.#answer(response));
    port.on('close', () => {
      if (this.#port === port) this.#lose();
    });
    const lane = `${Buffer.from(this.options.clientId).toString('hex')}/${this.options.lane}`;
    const hello = this.#ask({ kind: 'hello', lane, again: this.epoch > 0 });
    const [epoch] = await hello.catch((cause) => {
      throw new ExomemError('Disconnected', 'the appliance does not answer', { where: this.where, cause });
    });
    this.epoch = Number(epoch);
  }

  protected doRevoke(): never {
    throw new ExomemError('UnsupportedCapability', 'not declared, so nobody gets here');
  }

  protected doClose(): void {
    this.#lose();
  }

  async #run(steps: MemoryStep[], wait?: Wait): Promise<bigint | undefined> {
    const [answer] = await this.doBatch(steps, false, wait);
    return answer as bigint | undefined;
  }

  #ask(request: RequestBody): Promise<Answer[]> {
    const port = this.#port;
    if (port === undefined) {
      return Promise.reject(new ExomemError('Disconnected', 'there is no connection', { where: this.where }));
    }
    return new Promise((resolve, reject) => {
      const id = ++this.#lastId;
      this.#pending.set(id, { resolve, reject });
      port.postMessage({ ...request, id });
      this.#listen();
    });
  }

  #answer(response: Response): void {
    const pending = this.#pending.get(response.id);
    this.#pending.delete(response.id);
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = undefined;
    this.#listen();
    if ('answers' in response) {
      pending?.resolve(response.answers);
      return;
    }
    this.#fenced ||= response.refused === 'Fenced';
    pending?.reject(new ExomemError(response.refused, 'the appliance refuses it', { where: this.where }));
  }

  /** With something in flight, silence means that the connection is lost. */
  #listen(): void {
    if (this.#pending.size === 0 || this.#silenceTimer !== undefined) return;
    const silence = Math.min(this.options.silence ?? 10_000, 2 ** 31 - 1);
    this.#silenceTimer = setTimeout(() => this.#lose(), silence);
  }

  /** The connection is gone: what was in flight may or may not have happened. */
  #lose(): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = undefined;
    this.#port?.close();
    this.#port = undefined;
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    const what = 'the connection was lost while it was in flight';
    for (const { reject } of pending) reject(new ExomemError('OutcomeUnknown', what, { where: this.where }));
  }
}

/** A request before it has a number. */
type RequestBody = Request extends infer R ? (R extends Request ? Omit<R, 'id'> : never) : never;

// ---- The transport.

/** A transport to regions in other threads, under URLs `mport:NAME`. */
export function messagePort(regions: Record<string, { door: Door; bytes: number }>): Transport {
  return {
    name: 'message-port',
    schemes: ['mport'],
    apiVersion: 1,
    async connect(url, options) {
      const region = regions[url.replace(/^mport:/, '')];
      if (region === undefined) throw new ExomemError('NotFound', `there is no region at ${url}`, { where: url });
      const session = new MessagePortSession(url, region.bytes, region.door, options);
      const { signal, timeout } = options;
      try {
        await session.renew({ ...(signal && { signal }), ...(timeout !== undefined && { timeout }) });
        return session;
      } catch (error) {
        await session.close();
        throw error;
      }
    },
  };
}
