import { holdFiles } from './ledger.js';
import { facts } from './operation.js';
import type { Scene } from './scene.js';
import type { Nursery, VictimProcess } from './victims.js';

/** Workers in one region. */
export class Crew {
  readonly #scene: Scene;
  readonly #nursery: Nursery;
  readonly #url: string;
  readonly #hold: number;
  readonly #perseveres: boolean;
  readonly members: VictimProcess[] = [];
  #seed: number;

  /** @param options `url`: where they reach the region; `hold` bytes of anonymous memory each; `perseveres`: nor does it end them that nobody serves it */
  constructor(
    scene: Scene,
    nursery: Nursery,
    options: { readonly seed: number; readonly hold: number; readonly url?: string; readonly perseveres?: boolean },
  ) {
    this.#scene = scene;
    this.#nursery = nursery;
    this.#url = options.url ?? scene.url;
    this.#hold = options.hold;
    this.#perseveres = options.perseveres ?? false;
    this.#seed = options.seed * 10_000;
  }

  /** So many more, all of them at work when it returns. */
  async hire(count: number): Promise<VictimProcess[]> {
    const hired = Array.from({ length: count }, async () => {
      const seed = ++this.#seed;
      const worker = await this.#nursery.take();
      this.members.push(worker);
      worker.send({ url: this.#url, seed, hold: this.#hold, perseveres: this.#perseveres });
      await worker.hears('acts');
      return worker;
    });
    return Promise.all(hired);
  }

  /**
   * They finish what they are at, look through all they have, and leave. How much they have done, and how many of them had
   * been declared dead meanwhile.
   */
  async dismiss(): Promise<{ acts: number; fenced: number }> {
    for (const worker of this.members) worker.send({});
    await Promise.all(this.members.map((worker) => worker.ended()));
    await this.check(this.members);
    let acts = 0;
    let fenced = 0;
    for (const worker of this.members) {
      if (wasFenced(worker)) fenced++;
      else if (worker.end !== 0) throw new Error(`a worker ended with ${worker.end}`);
      acts += facts<{ acts: number }>(worker.told, 'over')[0]?.acts ?? 0;
    }
    return { acts, fenced };
  }

  /** Their files are as they were told. */
  async check(workers: readonly VictimProcess[]): Promise<void> {
    for (const { told } of workers) await holdFiles(this.#scene, told);
  }
}

/** Whether a worker ended because it was declared dead. @throws if it failed for another reason. */
export function wasFenced({ told }: VictimProcess): boolean {
  const [failure] = facts<{ code: string; what: string }>(told, 'failed');
  if (failure !== undefined && failure.code !== 'Fenced') throw new Error(`a worker failed: ${failure.what}`);
  return failure !== undefined;
}
