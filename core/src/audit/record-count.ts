import type { LogRecord } from '../namespace/record.js';
import type { NamespaceState } from '../namespace/state.js';

/**
 * Which records of the log count, decided by the text of the format alone: one whose author was fenced at that or a
 * higher incarnation, or whose sequence is not above the last one of that author, is passed over.
 */
export class RecordCount {
  readonly fences: Map<number, number>;
  readonly sequences: Map<number, { incarnation: number; sequence: number }>;

  /** @param state where the log begins: what a snapshot says, or the empty namespace. */
  constructor(state: NamespaceState | undefined) {
    this.fences = new Map(state?.fences);
    this.sequences = new Map(state?.sequences);
  }

  /** Takes the next record. Whether it counts. */
  take({ author, incarnation, sequence, operations }: LogRecord): boolean {
    const fence = this.fences.get(author);
    if (fence !== undefined && incarnation <= fence) return false;
    const last = this.sequences.get(author);
    if (last !== undefined) {
      if (incarnation < last.incarnation) return false;
      if (incarnation === last.incarnation && sequence <= last.sequence) return false;
    }
    this.sequences.set(author, { incarnation, sequence });
    for (const operation of operations) {
      if (operation.op !== 'fence') continue;
      const before = this.fences.get(operation.principal) ?? 0;
      this.fences.set(operation.principal, Math.max(before, operation.incarnation));
    }
    return true;
  }
}
