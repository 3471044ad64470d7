import type { FileOwner } from '../namespace/operation.js';
import type { LogRecord } from '../namespace/record.js';
import { inodesPerIndex, type NamespaceState } from '../namespace/state.js';

/**
 * Which records of the log count, decided by the text of the format alone: one whose author was fenced at that or a
 * higher incarnation, or whose sequence is not above the last one of that author, is passed over. And with whom each file
 * ends.
 */
export class RecordCount {
  readonly fences: Map<number, number>;
  readonly sequences: Map<number, { incarnation: number; sequence: number }>;

  /** Inode -> the principal that it ends with; also of inodes that are gone, or that a record failed to make. */
  readonly owners = new Map<number, FileOwner>();

  /** @param state where the log begins: what a snapshot says, or the empty namespace. */
  constructor(state: NamespaceState | undefined) {
    this.fences = new Map(state?.fences);
    this.sequences = new Map(state?.sequences);
    for (const { inode, owner } of state?.inodes.values() ?? []) if (owner !== undefined) this.owners.set(inode, owner);
  }

  /** Takes the next record. Whether it counts. */
  take({ index, author, incarnation, sequence, operations }: LogRecord): boolean {
    const fence = this.fences.get(author);
    if (fence !== undefined && incarnation <= fence) return false;
    const last = this.sequences.get(author);
    if (last !== undefined) {
      if (incarnation < last.incarnation) return false;
      if (incarnation === last.incarnation && sequence <= last.sequence) return false;
    }
    this.sequences.set(author, { incarnation, sequence });
    for (const [number, operation] of operations.entries()) {
      switch (operation.op) {
        case 'create':
          if (operation.owner !== undefined) this.owners.set(index * inodesPerIndex + number, operation.owner);
          break;
        case 'disown':
          this.#end(operation);
          break;
        case 'fence': {
          const { principal } = operation;
          const upTo = Math.max(this.fences.get(principal) ?? 0, operation.incarnation);
          this.fences.set(principal, upTo);
          this.#end({ principal, incarnation: upTo }, operation.adopt ? upTo + 1 : undefined);
        }
      }
    }
    return true;
  }

  /** An owner has ended, or goes on in another incarnation. */
  #end({ principal, incarnation }: FileOwner, next?: number): void {
    for (const [inode, owner] of this.owners) {
      if (owner.principal !== principal || owner.incarnation > incarnation) continue;
      if (next === undefined) this.owners.delete(inode);
      else this.owners.set(inode, { principal, incarnation: next });
    }
  }
}
