import { type Geometry, pageBits, type RegionMemory, repeatBits } from '@exomem/core';

const chunkBytes = 4 * 1024 * 1024;

/**
 * Zeroes memory that nobody uses any more: all of it.
 * @param geometry of a whole region, whose words then tell which pages are zero already
 */
export async function scrubMemory(memory: RegionMemory, geometry?: Geometry): Promise<void> {
  const zeros = new Uint8Array(chunkBytes);
  const wipe = async (from: number, to: number): Promise<void> => {
    for (let at = from; at < to; at += chunkBytes) {
      memory.write(at, zeros.subarray(0, Math.min(chunkBytes, to - at)));
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  };
  if (geometry === undefined) return wipe(0, memory.size);
  const { groupOffset, groupCount, groupPages, pageSize, dataOffset } = geometry;
  const clean = BigInt(repeatBits(groupPages, pageBits.clean));
  const groupBytes = groupPages * pageSize;
  let from = dataOffset;
  for (let group = 0; group < groupCount; group++) {
    if (memory.load(groupOffset + group * 8) !== clean) continue;
    const at = dataOffset + group * groupBytes;
    await wipe(from, at);
    from = at + groupBytes;
  }
  await wipe(from, memory.size);
  // What says which of them are zero goes last.
  await wipe(0, dataOffset);
}
