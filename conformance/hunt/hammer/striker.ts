/**
 * A process that hammers a region over TCP, words or memory, for as long as it is let. It tells of everything before it does it
 * and when it is done: whatever ends it, what it was about is known.
 */
import { randomBytes } from 'node:crypto';
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { HistoryRecorder } from '@exomem/conformance';
import { type Allocation, Client, isExomemError, type Session } from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { surroundings } from 'exomem';
import type { Fact } from '../operation.js';
import { chances } from '../pattern.js';

export interface Strike {
  readonly kind: 'words' | 'memory';
  readonly url: string;
  /** Names it in the history. */
  readonly client: string;
  /** Of all strikers of a history, which: values that it writes are its own. */
  readonly number: number;
  readonly seed: number;
  /** `words`: which. */
  readonly offsets: readonly number[];
}

// A write to a pipe is done when it returns: what was told stays told, whatever signal comes next.
const tell = (fact: Fact): void => void writeSync(1, `${JSON.stringify(fact)}\n`);
let stopping = false;

async function strikeWords({ url, number, seed, offsets }: Strike, recorder: HistoryRecorder): Promise<void> {
  const chance = chances(seed);
  const session: Session = await tcp().connect(url, { clientId: randomBytes(16), lane: 0 });
  const words = recorder.words(session);
  const seen = new Map<number, bigint>();
  tell({ note: 'joined' });
  for (let turn = 1; !stopping; turn += 1) {
    const offset = offsets[Math.floor(chance() * offsets.length)]!;
    const own = BigInt(number) * 1_000_000n + BigInt(turn);
    const expected = seen.get(offset) ?? 0n;
    try {
      const kind = Math.floor(chance() * 10);
      if (kind === 0) await words.write(offset, own);
      else if (kind < 3) seen.set(offset, await words.read(offset));
      else if (kind < 6) seen.set(offset, BigInt.asUintN(64, (await words.fetchAdd(offset, own)) + own));
      else {
        const there = await words.compareExchange(offset, expected, own);
        seen.set(offset, there === expected ? own : there);
      }
    } catch (error) {
      if (!isExomemError(error, 'OutcomeUnknown') && !isExomemError(error, 'Disconnected')) throw error;
      await comeBack(session);
    }
  }
  await session.close();
}

async function comeBack(session: Session): Promise<void> {
  for (;;) {
    try {
      await session.renew();
      return;
    } catch (error) {
      if (!isExomemError(error, 'OutcomeUnknown') && !isExomemError(error, 'Disconnected')) throw error;
      await sleep(2);
    }
  }
}

async function strikeMemory({ url, seed, client: label }: Strike, recorder: HistoryRecorder): Promise<void> {
  const chance = chances(seed);
  const client = await Client.open({ transport: tcp(), url, surroundings, label });
  const { pageSize } = client.geometry;
  const held: { memory: Allocation; length: number }[] = [];
  const free = async (): Promise<void> => {
    const [one] = held.splice(Math.floor(chance() * held.length), 1);
    const { memory, length } = one!;
    await recorder.record(
      { op: 'free', offset: memory.offset, length },
      () => memory.free(),
      () => null,
    );
  };
  tell({ note: 'joined' });
  while (!stopping) {
    if (held.length > 0 && (held.length > 12 || chance() < 0.45)) {
      await free();
      continue;
    }
    const length = pageSize * (1 + Math.floor(chance() ** 3 * 40));
    try {
      const memory = await recorder.record(
        { op: 'allocate', length },
        () => client.allocate(length, { initialise: 'none' }),
        (given) => given.offset,
      );
      held.push({ memory, length });
    } catch (error) {
      if (!isExomemError(error, 'RegionFull') && !isExomemError(error, 'Fragmented')) throw error;
      if (held.length > 0) await free();
      else await sleep(5);
    }
  }
  while (held.length > 0) await free();
  await client.close();
}

async function serve(strike: Strike): Promise<void> {
  const recorder = new HistoryRecorder(
    strike.client,
    (event) => tell({ note: 'event', event }),
    (call) => tell({ note: 'begun', call }),
  );
  try {
    await (strike.kind === 'words' ? strikeWords : strikeMemory)(strike, recorder);
    tell({ note: 'over' });
  } catch (error) {
    tell({ note: isExomemError(error, 'Fenced') ? 'fenced' : 'failed', what: (error as Error).stack });
  }
  process.exit();
}

process.once('message', (strike: Strike) => {
  process.on('message', () => {
    stopping = true;
  });
  void serve(strike);
});
process.once('disconnect', () => process.exit());
tell({ note: 'up' });
