import {
  type BatchAnswer,
  type Capabilities,
  ExomemError,
  type MemoryStep,
  type RegionMemory,
  SessionBase,
} from '@exomem/core';

const capabilities: Capabilities = {
  synchronous: true,
  mapped: false,
  atomics: 'host',
  maxTransfer: 2 ** 52,
  maxBatch: 2 ** 32 - 1,
  stopOnFail: false,
  sessionFence: false,
  revoke: 'none',
  watch: false,
};

/** A lane to memory of this process that nobody else reaches: to mend a region that is not served. It cannot be joined. */
export class MemorySession extends SessionBase {
  readonly capabilities = capabilities;
  readonly epoch = 1;
  readonly size: number;
  readonly where: string;
  readonly #memory: RegionMemory;
  readonly #end: () => Promise<void>;

  /** @param end what is to be done when the session is closed */
  constructor(memory: RegionMemory, where: string, end: () => Promise<void>) {
    super();
    this.#memory = memory;
    this.size = memory.size;
    this.where = where;
    this.#end = end;
  }

  protected doLoad(offset: number): bigint {
    return this.#memory.load(offset);
  }
  protected doRead(offset: number, target: Uint8Array): undefined {
    this.#memory.read(offset, target);
  }
  protected doCompareExchange(offset: number, expected: bigint, desired: bigint): bigint {
    return this.#memory.compareExchange(offset, expected, desired);
  }
  protected doFetchAdd(offset: number, delta: bigint): bigint {
    return this.#memory.fetchAdd(offset, delta);
  }
  protected doWrite(offset: number, source: Uint8Array): undefined {
    this.#memory.write(offset, source);
  }
  protected doBatch(steps: readonly MemoryStep[]): BatchAnswer {
    const answers: BatchAnswer = [];
    for (const step of steps) answers.push(this.#one(step));
    return answers;
  }
  #one(step: MemoryStep): bigint | undefined {
    switch (step.op) {
      case 'load':
        return this.doLoad(step.offset);
      case 'compareExchange':
        return this.doCompareExchange(step.offset, step.expected, step.desired);
      case 'fetchAdd':
        return this.doFetchAdd(step.offset, step.desired);
      case 'read':
        return this.doRead(step.offset, step.bytes);
      case 'write':
        return this.doWrite(step.offset, step.bytes);
    }
  }

  protected doBind(): never {
    this.#refuse();
  }
  protected doRevoke(): never {
    this.#refuse();
  }
  protected doRenew(): undefined {}
  protected doClose(): Promise<void> {
    return this.#end();
  }

  #refuse(): never {
    throw new ExomemError('UnsupportedCapability', 'this region is not served: nobody is there', { where: this.where });
  }
}
