import { ExomemError, isExomemError } from '../errors.js';
import type { NamespaceState } from '../namespace/state.js';
import type { Usage } from '../policy/policy.js';
import type { MemberLine, PrincipalLine } from '../protocol/membership.js';
import { memberState } from '../region/words.js';
import type { Client } from './client.js';

/** The directory of what clients agree about by files, and the file of quotas. */
const directoryName = '.exomem';
const fileName = 'quotas';
export const quotaPath = `/${directoryName}/${fileName}`;
/** Bytes that the file may have: what a person sets by hand is far less. */
export const mostQuotaBytes = 1024 * 1024;

/** How many bytes of pages may be in use by whom. */
export interface QuotaTable {
  /** Of every principal that has none of its own, but a steward's. Absent: as many as there are. */
  readonly default?: number;
  /** Of a principal in one incarnation, by `PRINCIPAL.INCARNATION`. */
  readonly principals: Readonly<Record<string, number>>;
}

/** A principal as quotas name it: another that comes to have its number is not meant. */
export function quotaKey({ principal, incarnation }: { principal: number; incarnation: number }): string {
  return `${principal}.${incarnation}`;
}

/** Reads the file of quotas. @throws `Damaged` if it is none. */
export function parseQuotas(bytes: Uint8Array): QuotaTable {
  const wrong = (cause?: unknown) => new ExomemError('Damaged', `${quotaPath} is no table of quotas`, { cause });
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw wrong(error);
  }
  const { default: all, principals = {} } = (value ?? {}) as Partial<QuotaTable>;
  const limits = [
    all ?? 0,
    ...(typeof principals === 'object' && principals !== null ? Object.values(principals) : [-1]),
  ];
  if (!limits.every((limit) => Number.isSafeInteger(limit) && limit >= 0)) throw wrong();
  return { ...(all === undefined ? {} : { default: all }), principals };
}

/** The inode of the file of quotas; undefined: nobody has set any. */
export function quotaInode(state: NamespaceState): number | undefined {
  const directory = state.lookup(1, directoryName);
  const file = directory?.kind === 'directory' ? state.lookup(directory.inode, fileName) : undefined;
  return file?.kind === 'file' ? file.inode : undefined;
}

/** Who has how much of its quota. */
export interface QuotaLine {
  readonly principal: number;
  readonly incarnation: number;
  /** Bytes of pages in use, given out or withheld. */
  readonly used: number;
  /** Bytes; undefined: it has none. */
  readonly limit: number | undefined;
  readonly over: boolean;
}

/**
 * Whether a steward acts for a principal, its own or an application: the default is not about it. A steward that died counts
 * as long as its line is there: what it has it was given as a steward, nobody is given more in its name, and of a
 * region that nobody serves any more every steward has ended. Whoever receives it is held to a quota as itself.
 * @param members the whole table, by slot
 */
export function isOfSteward(
  members: readonly Pick<MemberLine, 'state' | 'incarnation' | 'steward'>[],
  { member, memberIncarnation }: Pick<PrincipalLine, 'member' | 'memberIncarnation'>,
): boolean {
  const line = members[member];
  // Its slot may be another's by now, or nobody's.
  return line?.incarnation === memberIncarnation && line.state !== memberState.free && line.steward;
}

/** Bytes that may be in use by a principal; undefined: any number. */
function quotaOf(
  { default: all, principals }: QuotaTable,
  identity: { principal: number; incarnation: number },
  ofSteward: boolean,
): number | undefined {
  return principals[quotaKey(identity)] ?? (ofSteward ? undefined : all);
}

/** What the words show, beside what the table allows. `members`: the whole table, by slot. */
export function quotaLines(
  table: QuotaTable,
  members: readonly Pick<MemberLine, 'state' | 'incarnation' | 'steward'>[],
  principals: readonly Pick<PrincipalLine, 'principal' | 'incarnation' | 'member' | 'memberIncarnation'>[],
  usage: Pick<Usage, 'principals'>,
  pageSize: number,
): QuotaLine[] {
  return principals.map((line) => {
    const { principal, incarnation } = line;
    const own = usage.principals.get(principal);
    const used = ((own?.held ?? 0) + (own?.withheld ?? 0)) * pageSize;
    const limit = quotaOf(table, line, isOfSteward(members, line));
    return { principal, incarnation, used, limit, over: limit !== undefined && used > limit };
  });
}

/**
 * The quotas of a region, which each client keeps to by itself. They are a file, so whoever follows the log knows when they
 * have changed, and no allocation asks anybody.
 */
export class Quotas {
  readonly #client: Client;
  #table: QuotaTable = { principals: {} };
  #inode: number | undefined;
  #ctime: bigint | undefined;
  #stale = true;
  /** Calls of `set` under way. */
  #setting = 0;

  constructor(client: Client) {
    this.#client = client;
  }

  /** Pages that may be in use by that principal of this client; undefined: any number. */
  limitOf(identity: { principal: number; incarnation: number }): number | undefined {
    // The table itself must find room, whoever sets it; so whatever else the client allocates in that moment does, too.
    if (this.#setting > 0) return undefined;
    const limit = quotaOf(this.#table, identity, this.#client.role === 'steward');
    return limit === undefined ? undefined : Math.floor(limit / this.#client.geometry.pageSize);
  }

  /** Something of the log was applied. */
  changed(state: NamespaceState): void {
    const inode = quotaInode(state);
    if (inode !== this.#inode || (inode !== undefined && state.inodes.get(inode)?.ctime !== this.#ctime))
      this.#stale = true;
  }

  /** Learns what has changed. A table that cannot be read limits nobody. */
  async refresh(): Promise<void> {
    if (!this.#stale) return;
    this.#stale = false;
    try {
      this.#table = await this.#read();
    } catch (error) {
      this.#stale = true;
      if (!isExomemError(error, 'Damaged') && !isExomemError(error, 'StaleHandle')) throw error;
      this.#table = { principals: {} };
    }
  }

  async #read(): Promise<QuotaTable> {
    const client = this.#client;
    const inode = quotaInode(client.state);
    this.#inode = inode;
    if (inode === undefined) return { principals: {} };
    this.#ctime = client.state.inodes.get(inode)?.ctime;
    await using file = client.openFile(inode);
    if (file.size > mostQuotaBytes) throw new ExomemError('Damaged', `${quotaPath} is no table of quotas`);
    const bytes = new Uint8Array(file.size);
    return parseQuotas(bytes.subarray(0, await file.read(0, bytes)));
  }

  /** The table, as it is now. @throws `Damaged` */
  async get(): Promise<QuotaTable> {
    await this.#client.refresh();
    return this.#read();
  }

  /**
   * Sets a quota, or takes it away. Whoever is over it already keeps what it has, and gets no more. Others know of it with
   * their next heartbeat.
   * @param bytes undefined: none
   */
  async set(whom: 'default' | { principal: number; incarnation: number }, bytes: number | undefined): Promise<void> {
    if (bytes !== undefined && !(Number.isSafeInteger(bytes) && bytes >= 0))
      throw new ExomemError('OutOfRange', `${bytes} bytes are no quota`);
    this.#setting++;
    try {
      await this.#replace(whom, bytes);
    } finally {
      this.#setting--;
    }
    this.#stale = true;
    await this.refresh();
  }

  async #replace(
    whom: 'default' | { principal: number; incarnation: number },
    bytes: number | undefined,
  ): Promise<void> {
    const client = this.#client;
    await client.namespace.mkdir(`/${directoryName}`, { recursive: true });
    // One at a time, each on what the one before has left; the table is replaced whole.
    await using _ = await client.lock(`${quotaPath}.lock`);
    const { default: all, principals } = await this.get();
    const next = { default: all, principals: { ...principals } };
    if (whom === 'default') next.default = bytes;
    else if (bytes === undefined) delete next.principals[quotaKey(whom)];
    else next.principals[quotaKey(whom)] = bytes;
    const path = `${quotaPath}.new`;
    {
      await using file = await client.namespace.open(path, { create: true, truncate: true });
      await file.write(0, new TextEncoder().encode(`${JSON.stringify(next)}\n`));
    }
    await client.namespace.rename(path, quotaPath);
  }
}
