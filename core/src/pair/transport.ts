import { ExomemError, isExomemError } from '../errors.js';
import { gateOffset, refusalOfData } from '../region/data-region.js';
import { superblockBytes } from '../region/geometry.js';
import { decodeSuperblock, type Superblock, stateOffset, superblockState } from '../region/superblock.js';
import type { CallOptions, ConnectOptions, Session, Transport } from '../transport/transport.js';
import { type PairLayout, PairSession } from './session.js';
import { splitPairUrl } from './url.js';

/** Where the superblock of such a region has its parts. */
export function pairLayout({ data }: Superblock): PairLayout {
  return { head: data!.offset, from: 0, bytes: data!.bytes, gates: gateOffset };
}

/**
 * Reaches regions whose metadata lies in a region of its own, as `DATA?metadata=METADATA`. `connect` reads the superblock in the
 * one and the header of the other, and refuses two that do not belong together.
 * @throws what both do, and `Incompatible`, `NotFormatted`, `Damaged`
 */
export function pairTransport(parts: { readonly metadata: Transport; readonly data: Transport }): Transport {
  return {
    name: parts.metadata.name === parts.data.name ? parts.data.name : 'pair',
    schemes: [],
    apiVersion: 1,
    async connect(url: string, options: ConnectOptions): Promise<Session> {
      const urls = splitPairUrl(url);
      if (urls === undefined) {
        throw new ExomemError('InvalidArgument', 'this names no metadata region', {
          where: url,
          advice: 'write DATA?metadata=METADATA',
        });
      }
      const opened: Session[] = [];
      try {
        const metadata = await parts.metadata.connect(urls.metadata, options);
        opened.push(metadata);
        const block = await superblockOf(metadata, urls.metadata, options);
        const data = await parts.data.connect(urls.data, options);
        opened.push(data);
        await checkData(data, block, urls.data, options);
        const check = (session: Session): Promise<void> => checkData(session, block, urls.data, {});
        return new PairSession(metadata, data, pairLayout(block), url, check);
      } catch (error) {
        for (const session of opened) await session.close();
        throw error;
      }
    },
  };
}

async function superblockOf(session: Session, where: string, { signal, timeout }: ConnectOptions): Promise<Superblock> {
  const { size } = session;
  if (size < superblockBytes)
    throw new ExomemError('NotFormatted', `${size} bytes are too few for a region`, { where });
  const bytes = new Uint8Array(superblockBytes);
  const judge = (): Superblock => {
    // How long the whole is follows from this.
    const { block } = decodeSuperblock(bytes, Number.MAX_SAFE_INTEGER);
    if (block.data !== undefined) return block;
    throw new ExomemError('Incompatible', 'this region has its data in itself', {
      where,
      advice: 'open it alone, without ?metadata=',
    });
  };
  await session.read(0, bytes, { signal, timeout });
  try {
    return judge();
  } catch (error) {
    if (!isExomemError(error, 'Damaged')) throw error;
    // Its copy says where everything is as well: whoever mends it must be able to reach it.
    await session.read(Math.floor(size / 4096) * 4096 - superblockBytes, bytes, { signal, timeout });
    new DataView(bytes.buffer).setBigUint64(stateOffset, BigInt(superblockState.ready), true);
    try {
      return judge();
    } catch {
      throw error;
    }
  }
}

async function checkData(
  session: Session,
  block: Superblock,
  where: string,
  { signal, timeout }: CallOptions,
): Promise<void> {
  const { bytes: needed } = block.data!;
  if (session.size < needed) {
    throw new ExomemError('Incompatible', `a data region of ${session.size} bytes is too short: it had ${needed}`, {
      where,
    });
  }
  const header = new Uint8Array(superblockBytes);
  await session.read(0, header, { signal, timeout });
  const refusal = refusalOfData(header, block);
  // What is only damaged is mended over this session, and refused by whoever wants to use the region.
  if (refusal !== undefined && refusal.code !== 'Damaged')
    throw new ExomemError(refusal.code, refusal.message, { where, advice: refusal.advice });
}
