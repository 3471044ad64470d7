import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import {
  type AllocationPolicy,
  compatible,
  ExomemError,
  type FormatOptions,
  findPolicy,
  format,
  formatPairUrl,
  isExomemError,
  type Placement,
  pairTransport,
  planGeometry,
  readSuperblock,
  run,
  type Superblock,
  splitPairUrl,
  type Transport,
} from '@exomem/core';
import {
  type Address,
  Appliance,
  type ApplianceEvent,
  type BackingMemory,
  checkRegionName,
  defaultRegion,
  destroyFile,
  formatUrl,
  setAside,
  tcp,
} from '@exomem/transport-tcp';
import { Composition } from '../composition/composition.js';
import type { Plugin } from '../composition/plugin.js';
import { Scope } from '../composition/scope.js';
import { imageSize, loadMemory, saveMemory } from '../image/memory-file.js';
import { checkPlace } from '../image/sparse-file.js';
import { join } from '../open.js';
import { surroundings } from '../surroundings.js';
import { checkPair, formatPair, hasMetadataBeside, metadataFile, metadataName } from './metadata.js';
import { scrubMemory } from './scrub.js';
import { type StewardNews, StewardWatch } from './steward-watch.js';

export interface ServeOptions {
  /** Bytes. May be left out where `file` exists. */
  readonly size?: number;
  /** A file that keeps the region when the process ends. Without it the bytes are memory, and gone with it. */
  readonly file?: string;
  /** An image that the region begins with; it has its size. Not over a file that keeps a region already. */
  readonly load?: string;
  /** Where the region is saved when it ends, with all that is in it then. What has the name gives way. */
  readonly save?: string;
  /** `HOST:PORT` or `unix:PATH`, or several. Default `127.0.0.1:7070`. */
  readonly listen?: string | readonly string[];
  /** The region's name. Default `default`. */
  readonly name?: string;
  /** Milliseconds that a heartbeat lasts; of a region that is made now. Default 10,000. */
  readonly lease?: number;
  /**
   * How changes of the region's tables are coordinated: a policy, its name, or the path of the module that has it. Of a region
   * that is made now; of one that there is, it has to be that. Default `atomic`.
   */
  readonly policy?: string | AllocationPolicy;
  /** Where the steward allocates. Each client has its own. */
  readonly placement?: string | Placement;
  /**
   * Members are numbers that programs are given, for transports that only read and write; with the policy `message` alone. This process
   * is number 0, and grants groups. Of a region that is made now; one that there is is as it was made.
   */
  readonly configured?: boolean;
  /** What brings more policies. */
  readonly plugins?: readonly Plugin[];
  /**
   * A region of its own for the metadata: its bytes, if this process is to set it aside as well (with `file` it is kept beside
   * that, and served again with it); or its URL, where somebody has set memory aside for it.
   */
  readonly metadata?: number | string;
  /**
   * When pages become zero: `lazily`, when they are given out; `before`, before they are free. Of a region that is made now; of
   * one that there is, it has to be that. Default `lazily`.
   */
  readonly initialise?: 'lazily' | 'before';
  /** As `initialise: 'before'`, and memory that no file keeps is zeroed when the service ends. */
  readonly scrub?: boolean;
  /** Bytes a second of free pages that the steward zeroes at most. Default: 16 MiB where free pages are to be zero, else 0. */
  readonly clean?: number;
  /** Format a file that keeps no region, or another one: what is in it is lost. */
  readonly format?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
  /** Hears how far saving is, at the end. Bytes. */
  readonly onSave?: (done: number, total: number) => void;
  readonly onSteward?: (news: StewardNews) => void;
  readonly onAppliance?: (event: ApplianceEvent) => void;
}

/**
 * A memory appliance with one region and its steward, in this process. The steward is a client like any other and
 * reaches the region as others do.
 */
export class Service implements AsyncDisposable {
  readonly #scope: Scope;

  private constructor(
    scope: Scope,
    /** Where clients find the region; `urls` has one for each address that it listens on. */
    readonly url: string,
    readonly urls: readonly string[],
    readonly superblock: Superblock,
    /** Bytes that were set aside. */
    readonly size: number,
    /** The region is new, and empty. */
    readonly created: boolean,
    /** The file that keeps it. */
    readonly file: string | undefined,
    readonly steward: StewardWatch | undefined,
  ) {
    this.#scope = scope;
  }

  /**
   * Listens, sets the memory aside, formats it if it is new, and joins a steward to it.
   * @throws `OutOfRange`, `InvalidArgument`, `Busy` (the address, the file), `Unavailable` (memory), `NotFormatted`,
   * `Damaged`, `Incompatible` (what a file holds), `PermissionDenied`, `Aborted`
   */
  static async start(options: ServeOptions): Promise<Service> {
    const { signal, name = defaultRegion, lease, configured, listen = '127.0.0.1:7070', load, save } = options;
    // Everything that can be judged is judged before anything is touched.
    checkRegionName(name);
    if (save !== undefined) await checkSave(save, options.file);
    const composition = new Composition(options.plugins);
    const policy = options.policy === undefined ? undefined : await composition.policy(options.policy);
    const placement = options.placement === undefined ? undefined : await composition.placement(options.placement);
    const metadata = await metadataOf(options);
    const size = load === undefined ? options.size : await sizeOfImage(load, options);
    if (size !== undefined && load === undefined && typeof metadata?.size === 'number') {
      checkPair(metadata.size, size, { lease, policy, configured });
    } else if (size !== undefined && load === undefined && metadata === undefined) {
      planGeometry(size);
      format(size, { lease, policy, configured }).next();
    }
    const scope = new Scope();
    try {
      const appliance = scope.use(new Appliance({ observe: options.onAppliance }));
      const addresses: Address[] = [];
      for (const place of typeof listen === 'string' ? [listen] : listen) addresses.push(await appliance.listen(place));
      const { onProgress } = options;
      const backing = await setAside({ size, file: options.file, signal, onProgress });
      scope.defer(() => backing.close());
      const beside = metadata === undefined || 'url' in metadata ? undefined : await setAside({ ...metadata, signal });
      if (beside !== undefined) scope.defer(() => beside.close());
      if (load !== undefined) await fill(backing, load, options);
      let served = false;
      let block: Superblock | undefined;
      if (options.scrub && options.file === undefined) {
        scope.defer(async () => {
          if (block === undefined) return;
          await scrubMemory(backing.memory, block.data === undefined ? block.geometry : undefined);
          if (beside !== undefined) await scrubMemory(beside.memory);
        });
      }
      if (save !== undefined) {
        // When the steward has left and the appliance has cut everybody off, nothing changes any more.
        scope.defer(() => (served ? saveMemory(backing.memory, save, options.onSave ?? (() => undefined)) : undefined));
      }
      // The steward and the appliance end before the memory does.
      scope.defer(() => appliance.close());
      appliance.expose(name, backing.memory);
      if (beside !== undefined) appliance.expose(metadataName(name), beside.memory);
      const urlOf = (address: Address): string => {
        const data = formatUrl(address, name);
        if (metadata === undefined) return data;
        const url = 'url' in metadata ? metadata.url : formatUrl(address, metadataName(name));
        return formatPairUrl({ data, metadata: url });
      };
      const urls = addresses.map(urlOf);
      const url = urlOf(reachable(addresses[0]!));
      const transport =
        metadata !== undefined && 'url' in metadata ? await composition.transport(url) : ownTransport(url);
      const superblock = await prepare({ url, transport, composition, backing, beside }, options, policy);
      block = superblock;
      const steward = scope.use(
        new StewardWatch(
          () =>
            join(
              url,
              {
                ...{ role: 'steward', member: superblock.configured ? 0 : undefined, label: 'steward' },
                ...{ transport, policy, placement },
              },
              composition,
            ),
          superblock.lease,
          options.onSteward ?? (() => undefined),
          options.clean,
        ),
      );
      await steward.start();
      served = true;
      const created = backing.created && load === undefined;
      return new Service(scope, url, urls, superblock, backing.memory.size, created, options.file, steward);
    } catch (error) {
      await scope.close();
      throw error;
    }
  }

  /** The steward leaves, clients are told, the memory is given back, or the file gets its last bytes. Idempotent. */
  close(): Promise<void> {
    return this.#scope.close();
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** An image says how long the region is, and everything else that is settled when a region is made. */
async function sizeOfImage(path: string, { size, format, file }: ServeOptions): Promise<number> {
  const own = await imageSize(path);
  if (size !== undefined && size !== own) {
    throw new ExomemError('InvalidArgument', `the image is of a region of ${own} bytes, not of ${size}`, {
      where: path,
      advice: 'leave --size out; `exomem image load` brings its files into a region of any size',
    });
  }
  if (format) {
    throw new ExomemError('InvalidArgument', 'a region that is loaded is formatted already', {
      where: file,
      advice: 'leave --format or --load out',
    });
  }
  return own;
}

async function checkSave(save: string, file: string | undefined): Promise<void> {
  if (file !== undefined && resolve(file) === resolve(save)) {
    throw new ExomemError('InvalidArgument', `${file} keeps the region as it is`, {
      where: save,
      advice: 'leave --save out, or name another file',
    });
  }
  await checkPlace(save, true);
}

/** The bytes of an image, in memory that is new. */
async function fill(backing: BackingMemory, path: string, { file, onProgress, signal }: ServeOptions): Promise<void> {
  if (!backing.created) {
    throw new ExomemError('Exists', `${file} keeps a region already`, {
      advice: `serve it without --load, or remove it: exomem destroy ${file}`,
    });
  }
  try {
    await loadMemory(path, backing.memory, onProgress ?? (() => undefined), signal);
  } catch (error) {
    if (file !== undefined) await backing.close().then(() => destroyFile(file));
    throw error;
  }
}

/** Where a region is that is about to be served. */
interface Place {
  readonly url: string;
  readonly transport: Transport;
  readonly composition: Composition;
  readonly backing: BackingMemory;
  /** The memory of its metadata, if that is apart and here. */
  readonly beside: BackingMemory | undefined;
}

/** Formats what is new; holds what a file brought against the format. Nothing is written to a region that is refused. */
async function prepare(place: Place, options: ServeOptions, policy: AllocationPolicy | undefined): Promise<Superblock> {
  const { url, transport, composition, backing, beside } = place;
  const initialise = options.scrub ? 'before' : options.initialise;
  const make = (more: FormatOptions): Promise<Superblock> =>
    formatAt(place, {
      lease: options.lease,
      policy,
      initialise,
      configured: options.configured,
      ...more,
    });
  try {
    if (backing.created && options.load === undefined) {
      const zeroed = splitPairUrl(url) === undefined || beside?.created ? true : 'data';
      try {
        return await make({ zeroed, force: options.format });
      } catch (error) {
        if (options.file !== undefined) await backing.close().then(() => destroyFile(options.file!));
        throw error;
      }
    }
    if (options.format) return await make({ force: true });
    const session = await transport.connect(url, { clientId: randomBytes(16), lane: 0 });
    const { block } = await Promise.resolve(run(readSuperblock(session.size), { session, surroundings })).finally(() =>
      session.close(),
    );
    await findPolicy(block, policy, (name) => composition.registered(name));
    if (options.lease !== undefined && options.lease !== block.lease) {
      throw new ExomemError(
        'InvalidArgument',
        `the region has a lease of ${block.lease} ms, set when it was formatted`,
        {
          where: options.file,
          advice: 'leave --lease out',
        },
      );
    }
    if (options.configured && !block.configured) {
      throw new ExomemError('InvalidArgument', 'the members of this region are not numbers, as it was formatted', {
        where: options.file,
        advice: 'leave --configured out',
      });
    }
    const before = (block.compat & compatible.wipe) !== 0n;
    if (initialise !== undefined && before !== (initialise === 'before')) {
      throw new ExomemError(
        'InvalidArgument',
        `the region's pages become zero ${before ? 'before they are free' : 'when they are given out'}, as it was formatted`,
        { where: options.file, advice: before ? 'leave --initialise out' : 'leave --initialise and --scrub out' },
      );
    }
    return block;
  } catch (error) {
    if (isExomemError(error, 'Exists') && backing.created && splitPairUrl(url) !== undefined) {
      throw new ExomemError('Exists', 'the metadata region has the metadata of another data region', {
        where: splitPairUrl(url)!.metadata,
        advice: 'name a region that is only set aside; or add --format, and what is in it is lost',
        cause: error,
      });
    }
    if (!isExomemError(error, 'NotFormatted') || backing.created || options.file === undefined) throw error;
    throw new ExomemError('NotFormatted', error.message, {
      where: options.file,
      advice: `exomem serve --file ${options.file} --format makes one there, and what the file holds is lost`,
      cause: error,
    });
  }
}

async function formatAt({ url, transport, composition }: Place, options: FormatOptions): Promise<Superblock> {
  const pair = splitPairUrl(url);
  if (pair !== undefined) {
    const transports = {
      data: await composition.transport(pair.data),
      metadata: await composition.transport(pair.metadata),
    };
    return formatPair(url, transports, options);
  }
  const session = await transport.connect(url, { clientId: randomBytes(16), lane: 0 });
  try {
    return await run(format(session.size, options), { session, surroundings });
  } finally {
    await session.close();
  }
}

function ownTransport(url: string): Transport {
  const transport = tcp();
  return splitPairUrl(url) === undefined ? transport : pairTransport({ data: transport, metadata: transport });
}

/** Where the metadata is to lie, if it is to lie apart. */
async function metadataOf(
  options: ServeOptions,
): Promise<
  { readonly size?: number; readonly file?: string } | { readonly size?: never; readonly url: string } | undefined
> {
  const { metadata, file, load, save } = options;
  const apart = metadata !== undefined || (file !== undefined && (await hasMetadataBeside(file)));
  if (!apart) return undefined;
  if (load !== undefined || save !== undefined) {
    throw new ExomemError('InvalidArgument', 'an image is of a region in one piece', {
      advice:
        load !== undefined
          ? 'serve a new region, and bring the files of the image into it: exomem image load FILE URL'
          : 'save it while it is served: exomem image save URL FILE',
    });
  }
  if (typeof metadata === 'string') return { url: metadata };
  return { size: metadata, file: file === undefined ? undefined : metadataFile(file) };
}

/** Who listens on every address is reached on the loopback one. */
function reachable(address: Address): Address {
  if ('path' in address) return address;
  if (address.host === '0.0.0.0') return { ...address, host: '127.0.0.1' };
  if (address.host === '::') return { ...address, host: '::1' };
  return address;
}
