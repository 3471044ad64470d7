import {
  type FormatOptions,
  format,
  formatPairUrl,
  PairSession,
  pairTransport,
  planDataRegion,
  planRegion,
  run,
  splitPairUrl,
  superblockBytes,
  type Transport,
} from '@exomem/core';
import { tcp } from '@exomem/transport-tcp';
import { surroundings } from 'exomem';

/** What reaches a region of the hunt: one in one piece, or one whose metadata lies apart. */
export function transportTo(url: string, wrap: (half: Transport) => Transport = (half) => half): Transport {
  const half = (): Transport => wrap(tcp());
  return splitPairUrl(url) === undefined ? half() : pairTransport({ metadata: half(), data: half() });
}

/** Makes one region of two that have been set aside. Its URL. */
export async function formatApart(data: string, metadata: string, options: FormatOptions): Promise<string> {
  const url = formatPairUrl({ data, metadata });
  const lane = { clientId: new Uint8Array(16), lane: 0 };
  const first = await tcp().connect(metadata, lane);
  try {
    const second = await tcp().connect(data, lane);
    try {
      const all = { ...options, dataBytes: second.size };
      const { offset, bytes } = planDataRegion(planRegion(first.size, all), new Uint8Array(16));
      const layout = { head: offset, from: 0, bytes, gates: superblockBytes };
      await run(format(first.size, all), { session: new PairSession(first, second, layout, url), surroundings });
    } finally {
      await second.close();
    }
  } finally {
    await first.close();
  }
  return url;
}
