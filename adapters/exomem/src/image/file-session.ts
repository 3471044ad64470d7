import { type BatchAnswer, type Capabilities, ExomemError, type MemoryStep, SessionBase } from '@exomem/core';
import type { RegionImage } from './region-image.js';

const capabilities: Capabilities = {
  synchronous: false,
  mapped: false,
  atomics: 'none',
  maxTransfer: 2 ** 30,
  maxBatch: 1024,
  stopOnFail: false,
  sessionFence: false,
  revoke: 'none',
  watch: false,
};

/** A lane to a region that nobody serves: it only reads. */
export class FileSession extends SessionBase {
  readonly capabilities = capabilities;
  readonly epoch = 1;
  readonly #image: RegionImage;

  constructor(image: RegionImage) {
    super();
    this.#image = image;
  }
  get size(): number {
    return this.#image.size;
  }
  get where(): string {
    return this.#image.where;
  }

  protected async doRead(offset: number, target: Uint8Array): Promise<void> {
    const bytes = await this.#image.read(offset, target.length);
    if (bytes.length < target.length) {
      throw new ExomemError('OutOfRange', `the file ended at ${offset + bytes.length} while it was read`, {
        where: this.where,
        advice: 'somebody is changing it: try again',
      });
    }
    target.set(bytes);
  }
  protected async doLoad(offset: number): Promise<bigint> {
    const bytes = new Uint8Array(8);
    await this.doRead(offset, bytes);
    return new DataView(bytes.buffer).getBigUint64(0, true);
  }
  protected async doBatch(steps: readonly MemoryStep[]): Promise<BatchAnswer> {
    const answers: BatchAnswer = [];
    for (const step of steps) {
      if (step.op === 'read') answers.push(await this.doRead(step.offset, step.bytes).then(() => undefined));
      else if (step.op === 'load') answers.push(await this.doLoad(step.offset));
      else this.#refuse();
    }
    return answers;
  }

  protected doWrite(): never {
    this.#refuse();
  }
  protected doCompareExchange(): never {
    this.#refuse();
  }
  protected doFetchAdd(): never {
    this.#refuse();
  }
  protected doBind(): never {
    this.#refuse();
  }
  protected doRevoke(): never {
    this.#refuse();
  }
  protected doRenew(): undefined {}
  protected doClose(): Promise<void> {
    return Promise.resolve(this.#image[Symbol.asyncDispose]());
  }

  #refuse(): never {
    throw new ExomemError('PermissionDenied', 'this region is only looked at', { where: this.where });
  }
}
