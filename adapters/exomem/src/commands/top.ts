import { ExomemError } from '@exomem/core';
import type { Context } from '../command/context.js';
import { parseDuration } from '../command/quantity.js';
import { type Sample, Sampler } from '../top/sample.js';
import { Screen, styled } from '../top/screen.js';
import { eventLine, linesOf, type ViewLine } from '../top/view.js';

export interface TopFlags {
  readonly once?: boolean;
  readonly interval: string;
}

/** Lines of what happened that are kept to be shown. */
const mostEvents = 200;

/** Shows members, rates and events of a region, live on a terminal; else once, or line by line for programs. */
export async function top(context: Context, text: string | undefined, flags: TopFlags): Promise<void> {
  const { output, signal } = context;
  const interval = parseDuration(flags.interval, 'interval');
  if (interval < 50) {
    throw new ExomemError('OutOfRange', `an interval of ${interval} ms is too short`, { advice: 'write 50ms or more' });
  }
  const url = context.region(text);
  await using client = await context.look(url);
  using sampler = new Sampler(client);
  const stop = new AbortController();
  const end = (): void => stop.abort();
  signal.addEventListener('abort', end, { once: true });
  try {
    const first = await sampler.sample();
    const wait = (): Promise<void> => client.surroundings.sleep(interval, stop.signal);
    if (output.json) await print(context, sampler, wait, stop.signal, flags.once === true);
    else if (flags.once || !process.stdout.isTTY) {
      await wait();
      signal.throwIfAborted();
      const sample = await sampler.sample();
      for (const line of [...linesOf(sample, url), ...eventLines(sample)]) output.line(styled(line.text, line.look));
    } else await live(sampler, first, url, wait, stop);
  } finally {
    signal.removeEventListener('abort', end);
  }
}

/** A line for each look, until it is ended. */
async function print(
  { output }: Context,
  sampler: Sampler,
  wait: () => Promise<void>,
  signal: AbortSignal,
  once: boolean,
): Promise<void> {
  do {
    await wait();
    if (signal.aborted) return;
    output.value(await sampler.sample());
  } while (!once);
}

async function live(
  sampler: Sampler,
  first: Sample,
  url: string,
  wait: () => Promise<void>,
  stop: AbortController,
): Promise<void> {
  using screen = new Screen((key) => {
    if (key === 'q' || key === 'Q' || key === '\x03') stop.abort();
  });
  const events: ViewLine[] = [];
  let sample = first;
  const draw = (): void => {
    const lines = linesOf(sample, url);
    const { rows = 24 } = process.stdout;
    const room = Math.max(0, rows - lines.length - 3);
    lines.push({ text: '', look: 'plain' }, { text: 'EVENTS', look: 'title' });
    lines.push(...events.slice(Math.max(0, events.length - room)));
    while (lines.length < rows - 1) lines.push({ text: '', look: 'plain' });
    lines.splice(rows - 1, Number.POSITIVE_INFINITY, { text: 'q ends it', look: 'faint' });
    screen.draw(lines);
  };
  process.stdout.on('resize', draw);
  try {
    while (!stop.signal.aborted) {
      draw();
      await wait();
      if (stop.signal.aborted) break;
      sample = await sampler.sample();
      events.push(...eventLines(sample));
      events.splice(0, events.length - mostEvents);
    }
  } finally {
    process.stdout.off('resize', draw);
  }
}

function eventLines({ events }: Sample): ViewLine[] {
  return events.map(eventLine).filter((line) => line !== undefined);
}
