import { inspect } from 'node:util';
import { Ground } from './ground.js';
import { type KillReport, together } from './kill.js';
import { recover } from './operations/recovery.js';
import { chances } from './pattern.js';
import { Scene } from './scene.js';
import { Nursery } from './victims.js';

export interface RecoverersOptions {
  readonly count: number;
  readonly seed?: number;
  /** Milliseconds. */
  readonly lease?: number;
  readonly tell?: (line: string) => void;
}

/** About as many steps as a recovery takes. */
const most = 50;

/**
 * No steward is there: one ordinary member begins to recover a dead one and dies at some step, a second one begins to recover
 * both and dies, and a third has all three to recover.
 */
export async function recoverersInTurn(options: RecoverersOptions): Promise<Pick<KillReport, 'cases' | 'failures'>> {
  const { count, seed = 1, lease = 1000, tell = () => undefined } = options;
  await using ground = await Ground.open({ lease });
  await using nursery = new Nursery('./victim.js');
  const chance = chances(seed);
  const failures: string[] = [];
  const one = (first: number, second: number) => async () => {
    try {
      await using scene = await Scene.open(ground, { steward: false });
      await recover.before!(scene);
      for (const step of [first, second]) {
        const victim = await nursery.take();
        try {
          victim.send({ operation: recover.name, url: scene.url, given: null, step, side: 'after', signal: 'SIGKILL' });
          if (await victim.hears('ready')) victim.send({});
          await victim.ended();
        } finally {
          await victim.kill();
        }
        // Whoever comes next need not wait until it is missed.
        for (const line of (await scene.observer.members()).members) await scene.observer.kick(line.slot);
      }
      await scene.join('third');
      await scene.rest();
      await recover.after!(scene, []);
      await scene.clear();
    } catch (error) {
      ground.check();
      failures.push(`recoverers killed after steps ${first} and ${second}: ${inspect(error)}`);
      tell(`FAIL ${failures.at(-1)}`);
    }
  };
  const step = () => 1 + Math.floor(chance() * most);
  await together(
    Array.from({ length: count }, () => one(step(), step())),
    8,
  );
  return { cases: count, failures };
}
