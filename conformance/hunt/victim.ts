/** A process that is to die: it is given one operation, and ends at the step that it is told. */
import { writeSync } from 'node:fs';
import { Client, isExomemError } from '@exomem/core';
import { surroundings } from 'exomem';
import { DeadlyTransport, type Side, Trap } from './deadly.js';
import type { Fact, Victim } from './operation.js';
import { operations } from './operations/index.js';
import { transportTo } from './reach.js';

export interface Order {
  readonly operation: string;
  readonly url: string;
  readonly given: unknown;
  /** The step to die at; left out, it dies when the operation is over. */
  readonly step?: number;
  readonly side: Side;
  readonly signal: 'SIGKILL' | 'SIGSTOP';
}

const trap = new Trap();
// A write to a pipe is done when it returns: what was told stays told, whatever signal comes next.
const tell = (fact: Fact): void => void writeSync(1, `${JSON.stringify(fact)}\n`);

async function serve(order: Order): Promise<void> {
  const operation = operations.find(({ name }) => name === order.operation)!;
  const transport = transportTo(order.url, (half) => new DeadlyTransport(half, trap));
  let client: Client | undefined;
  const victim: Victim = {
    given: order.given,
    tell,
    async open(role = 'member') {
      client = await Client.open({ transport, url: order.url, surroundings, role, label: 'victim', pid: process.pid });
      return client;
    },
    async ready() {
      const go = new Promise((resolve) => process.once('message', resolve));
      trap.set(order.step, order.side, order.signal);
      tell({ note: 'ready' });
      await go;
    },
  };
  try {
    await operation.act(victim);
    const { steps } = trap;
    trap.disarm();
    // Whoever was stopped so late that nothing was left to do learns it from whatever it does next.
    if (order.signal === 'SIGSTOP' && operation.outside !== true) await (await client!.allocate(1)).free();
    tell({ note: 'over', steps });
  } catch (error) {
    tell({ note: 'failed', code: isExomemError(error) ? error.code : '', what: (error as Error).stack });
  }
  process.kill(process.pid, 'SIGKILL');
}

process.once('message', (order: Order) => void serve(order));
process.once('disconnect', () => process.exit());
tell({ note: 'up' });
