import { Rows } from './rows.js';

/** Somebody had a part in what a client had taken for its own business. What was seen since the beginning does not count. */
export class NotAlone extends Error {
  override readonly name = 'NotAlone';
}

/** Bytes that a client has touched ahead of its turn. */
interface Touch {
  readonly from: number;
  readonly to: number;
  readonly writes: boolean;
}

/** What a client has done ahead of its turn since its last step that was not. */
export class Lead {
  readonly next = new Map<number, Lead>();
  constructor(
    readonly id: number,
    readonly touches: readonly Touch[],
    readonly count: number,
  ) {}
}

/** Steps in a row that are taken ahead: whoever turns round and round must let others have their turn. */
const mostAhead = 200;

/**
 * Steps that are nobody else's business, found by trying. A client whose next step touches nothing that the judge looks at takes
 * it at once, before anybody else takes one; that is right as long as nobody else touches the same bytes, one of the two writing,
 * before the client's next step that it does not take ahead. For then in every order in which the others come first the two can
 * be exchanged, one by one, and it ends the same. Whether that is so is not believed but seen: where another does touch them, all that was
 * seen is forgotten, those words are from then on everybody's business for that client, and the search begins anew. It ends,
 * since there are only so many words.
 *
 * What may happen to the client itself instead of that step (it crashes, its reply is lost) is followed at the same place, since
 * nobody else sees when that happens; a client that somebody shuts out while it is ahead never is again.
 *
 * This is the persistent sets of Godefroid, Partial-Order Methods for the Verification of Concurrent Systems (1996), with races seen
 * as in Flanagan and Godefroid, Dynamic partial-order reduction (2005), and a search that begins anew where theirs goes back.
 */
export class Reduction {
  /** For each client the words that it does not touch ahead of others. */
  readonly #shared: Set<number>[];
  readonly #never: boolean[];
  readonly #judged: (offset: number, length: number) => boolean;
  #all: Lead[] = [];
  #rows: Rows;
  #row: Uint32Array;
  /** What each client is ahead by. */
  leads: Lead[] = [];

  /** @param judged whether the judge looks at some of those bytes at any time */
  constructor(clients: number, judged: (offset: number, length: number) => boolean) {
    this.#judged = judged;
    this.#shared = Array.from({ length: clients }, () => new Set());
    this.#never = new Array<boolean>(clients).fill(false);
    this.#rows = new Rows(clients);
    this.#row = new Uint32Array(clients);
    this.begin();
  }

  /** Nobody is ahead. */
  begin(): void {
    this.#rows = new Rows(this.#shared.length);
    this.#all = [];
    const none = this.#lead([], 0);
    this.leads = this.#shared.map(() => none);
  }

  /** A number for what all are ahead by. */
  get number(): number {
    for (const [client, { id }] of this.leads.entries()) this.#row[client] = id;
    return this.#rows.intern(this.#row);
  }
  set number(number: number) {
    for (let client = 0; client < this.leads.length; client++)
      this.leads[client] = this.#all[this.#rows.at(number, client)]!;
  }

  /** Whether a client may touch those bytes ahead of others, as far as is known. */
  mayLead(client: number, offset: number, length: number, writes: boolean): boolean {
    if (this.#never[client] || this.leads[client]!.count >= mostAhead) return false;
    if (writes && this.#judged(offset, length)) return false;
    const shared = this.#shared[client]!;
    if (shared.size === 0) return true;
    for (let word = offset >>> 3; word < (offset + length + 7) >>> 3; word++) if (shared.has(word)) return false;
    return true;
  }

  /** That client has done so ahead of others. */
  leadOn(client: number, offset: number, length: number, writes: boolean): void {
    const lead = this.leads[client]!;
    const key = (offset * 2 ** 20 + length) * 2 + (writes ? 1 : 0);
    let next = lead.next.get(key);
    if (next === undefined) {
      next = this.#lead([...lead.touches, { from: offset, to: offset + length, writes }], lead.count + 1);
      lead.next.set(key, next);
    }
    this.leads[client] = next;
  }

  /** Its next step was not ahead of others: what it did before is behind it. */
  fallIn(client: number): void {
    this.leads[client] = this.#all[0]!;
  }

  /**
   * Those bytes are touched.
   * @param client whose own lead does not matter; -1: everybody's does
   * @throws `NotAlone`
   */
  touch(client: number, offset: number, length: number, writes: boolean): void {
    for (let other = 0; other < this.leads.length; other++) {
      if (other === client) continue;
      const { touches } = this.leads[other]!;
      for (const touch of touches) {
        if (!(writes || touch.writes) || touch.to <= offset || offset + length <= touch.from) continue;
        const [from, to] = [Math.max(offset, touch.from), Math.min(offset + length, touch.to)];
        for (let word = from >>> 3; word < (to + 7) >>> 3; word++) this.#shared[other]!.add(word);
        throw new NotAlone();
      }
    }
  }

  /** Somebody shuts that client out. @throws `NotAlone` */
  shutOut(client: number): void {
    if (this.leads[client]!.count === 0) return;
    this.#never[client] = true;
    throw new NotAlone();
  }

  #lead(touches: readonly Touch[], count: number): Lead {
    const lead = new Lead(this.#all.length, touches, count);
    this.#all.push(lead);
    return lead;
  }
}
