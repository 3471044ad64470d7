import type { Fact, Operation } from '../operation.js';
import { facts, wasTold } from '../operation.js';
import { differs, pattern } from '../pattern.js';
import { mustBe, type Scene } from '../scene.js';

const wholly = (what: string): Error => new Error(`${what}: neither as it was nor as it was to become`);

/** A name either is there or not, as one moment leaves it; acknowledged ones are. */
async function names(scene: Scene, told: readonly Fact[]): Promise<void> {
  for (const { path } of facts<{ path: string }>(told, 'made')) {
    if ((await scene.read(path)) === undefined) throw new Error(`${path} is not there, and was acknowledged`);
  }
}

export const create: Operation = {
  name: 'create',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    await victim.ready();
    await client.namespace.mkdir('/d');
    for (const path of ['/d/a', '/d/b']) {
      await using _ = await client.namespace.open(path, { create: true });
      victim.tell({ note: 'made', path });
    }
    await client.namespace.link('/d/a', '/d/c');
    victim.tell({ note: 'made', path: '/d/c' });
    await client.namespace.setAttributes(await client.namespace.resolve('/d/c'), { mode: 0o600 });
    victim.tell({ note: 'mode' });
  },
  async after(scene, told) {
    await names(scene, told);
    if (!wasTold(told, 'mode')) return;
    const { mode } = await scene.observer.namespace.statPath('/d/a');
    if (mode !== 0o600) throw new Error(`/d/a has the mode ${mode.toString(8)}`);
  },
};

export const write: Operation = {
  name: 'write',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    const file = await client.namespace.open('/f', { create: true });
    await file.write(0, pattern(1, 10_000));
    await file.flush();
    await victim.ready();
    await file.write(10_000, pattern(1, 50_000, 10_000));
    await file.flush();
    victim.tell({ note: 'flushed' });
    await file.write(300_000, pattern(1, 20_000, 300_000));
    await file.close();
    victim.tell({ note: 'closed' });
  },
  async after(scene, told) {
    const bytes = await scene.read('/f');
    const lengths = [10_000, 60_000, 320_000];
    const least = wasTold(told, 'closed') ? 320_000 : wasTold(told, 'flushed') ? 60_000 : 10_000;
    if (bytes === undefined || !lengths.includes(bytes.length) || bytes.length < least) throw wholly('/f');
    mustBe('the beginning of /f', bytes.subarray(0, 60_000), 1, Math.min(bytes.length, 60_000));
    const hole = bytes.subarray(60_000, 300_000);
    if (hole.some((byte) => byte !== 0)) throw new Error('a hole of /f is not zero');
    if (bytes.length > 300_000 && differs(bytes.subarray(300_000), 1, 300_000) >= 0) throw wholly('the end of /f');
  },
};

export const overwrite: Operation = {
  name: 'overwrite',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    const file = await client.namespace.open('/f', { create: true });
    await file.write(0, pattern(1, 50_000));
    await file.flush();
    await victim.ready();
    await file.write(3000, pattern(2, 30_000, 3000));
    victim.tell({ note: 'written' });
    await file.close();
  },
  async after(scene, told) {
    const bytes = await scene.read('/f');
    if (bytes?.length !== 50_000) throw wholly('/f');
    const before = pattern(1, 50_000);
    const then = pattern(2, 30_000, 3000);
    for (let at = 0; at < bytes.length; at++) {
      const inside = at >= 3000 && at < 33_000;
      const right = inside
        ? bytes[at] === then[at - 3000] || (!wasTold(told, 'written') && bytes[at] === before[at])
        : bytes[at] === before[at];
      if (!right) throw new Error(`byte ${at} of /f is ${bytes[at]}, which nobody wrote`);
    }
  },
};

export const truncate: Operation = {
  name: 'truncate',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    const file = await client.namespace.open('/f', { create: true });
    await file.write(0, pattern(1, 40_000));
    await file.flush();
    await victim.ready();
    await file.truncate(10_001);
    victim.tell({ note: 'cut' });
    await file.write(20_000, pattern(1, 100, 20_000));
    await file.close();
    victim.tell({ note: 'grown' });
  },
  async after(scene, told) {
    const bytes = await scene.read('/f');
    const allowed = wasTold(told, 'grown')
      ? [20_100]
      : wasTold(told, 'cut')
        ? [10_001, 20_100]
        : [40_000, 10_001, 20_100];
    if (bytes === undefined || !allowed.includes(bytes.length)) throw wholly('/f');
    mustBe('/f', bytes.subarray(0, 10_001), 1, 10_001);
    if (bytes.length === 40_000) mustBe('/f', bytes, 1, 40_000);
    if (bytes.length === 20_100) {
      if (bytes.subarray(10_001, 20_000).some((byte) => byte !== 0)) throw new Error('what was cut off is back');
      if (differs(bytes.subarray(20_000), 1, 20_000) >= 0) throw wholly('the end of /f');
    }
  },
};

export const rename: Operation = {
  name: 'rename',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    for (const [seed, path] of ['/a', '/b'].entries()) {
      await using file = await client.namespace.open(path, { create: true });
      await file.write(0, pattern(seed, 20_000 + seed));
    }
    await victim.ready();
    await client.namespace.rename('/a', '/b');
    victim.tell({ note: 'renamed' });
    await client.namespace.rename('/b', '/c');
    victim.tell({ note: 'again' });
  },
  async after(scene, told) {
    const [a, b, c] = [await scene.read('/a'), await scene.read('/b'), await scene.read('/c')];
    if (c !== undefined) {
      if (a !== undefined || b !== undefined) throw wholly('/a, /b and /c');
      mustBe('/c', c, 0, 20_000);
    } else if (a !== undefined) {
      if (wasTold(told, 'renamed')) throw wholly('/a and /b');
      mustBe('/a', a, 0, 20_000);
      mustBe('/b', b, 1, 20_001);
    } else {
      if (wasTold(told, 'again')) throw wholly('/b and /c');
      mustBe('/b', b, 0, 20_000);
    }
  },
};

export const remove: Operation = {
  name: 'unlink',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    {
      await using file = await client.namespace.open('/f', { create: true });
      await file.write(0, pattern(1, 100_000));
    }
    await client.namespace.link('/f', '/g');
    await victim.ready();
    await client.namespace.unlink('/f');
    victim.tell({ note: 'one' });
    await client.namespace.unlink('/g');
    victim.tell({ note: 'both' });
    await client.tidy();
  },
  async after(scene, told) {
    const [f, g] = [await scene.read('/f'), await scene.read('/g')];
    if ((f !== undefined && wasTold(told, 'one')) || (g !== undefined && wasTold(told, 'both'))) {
      throw new Error('a name that was removed is back');
    }
    if (f !== undefined) mustBe('/f', f, 1, 100_000);
    if (!wasTold(told, 'one') || g !== undefined) mustBe('/g', g, 1, 100_000);
  },
};

export const snapshot: Operation = {
  name: 'snapshot',
  keeper: 'steward',
  async act(victim) {
    const client = await victim.open();
    for (let at = 0; at < 20; at++) {
      await using file = await client.namespace.open(`/${at}`, { create: true });
      await file.write(0, pattern(at, 3000));
    }
    // One that is there already: the new one takes its place.
    await client.snapshot();
    for (let at = 0; at < 20; at += 2) await client.namespace.unlink(`/${at}`);
    await victim.ready();
    await client.snapshot();
    await client.snapshot();
  },
  async after(scene) {
    for (let at = 0; at < 20; at++) {
      const bytes = await scene.read(`/${at}`);
      if (at % 2 === 1) mustBe(`/${at}`, bytes, at, 3000);
      else if (bytes !== undefined) throw new Error(`/${at}, which was removed, is back`);
    }
  },
};
