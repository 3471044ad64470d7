import type { Protocol } from '../protocol/protocol.js';
import { drain } from '../protocol/protocol.js';
import type { Geometry } from '../region/geometry.js';
import { groupWordOffset, principalWordOffset } from '../region/geometry.js';
import { decodePrincipal, joinWord, ownerHalf, principalState } from '../region/words.js';
import { load } from '../transport/step.js';
import type { GroupTable } from './group-table.js';
import type { OwnWords } from './own-words.js';
import { exchangeSurely, loadSurely } from './resolve.js';

/** Room in started groups, for others who ask. */
export class Gift {
  readonly #geometry: Geometry;
  readonly #words: OwnWords;
  readonly #table: GroupTable;

  constructor(words: OwnWords) {
    this.#geometry = words.geometry;
    this.#words = words;
    this.#table = words.table;
  }

  *giveRoom(to: { principal: number; incarnation: number }, pages: number): Protocol<boolean> {
    // Who asks has said so in a word that anybody can write: it may be gone, or never have been.
    if (to.principal === this.#words.principal || to.principal < 1) return false;
    if (to.principal > this.#geometry.principalSlots) return false;
    const asker = load(principalWordOffset(this.#geometry, to.principal));
    const before = decodePrincipal(yield* loadSurely(asker));
    if (before.state !== principalState.active || before.incarnation !== to.incarnation) return false;
    if (this.#words.trouble) yield* this.#words.repair();
    yield drain;
    const owned = this.#table.pickGift(pages);
    if (owned === undefined) return false;
    const { group, low } = owned;
    const toHigh = ownerHalf(to.principal, to.incarnation);
    yield* this.#words.give(owned, toHigh);
    // Whoever asked may have left meanwhile: a word of a principal that is no more is anybody's to take, so ours.
    const principal = decodePrincipal(yield* loadSurely(asker));
    const gone =
      principal.state === principalState.free
        ? principal.incarnation >= to.incarnation
        : principal.incarnation > to.incarnation;
    if (!gone) return true;
    const offset = groupWordOffset(this.#geometry, group);
    const orphan = joinWord(toHigh, low);
    if ((yield* exchangeSurely(offset, orphan, joinWord(this.#words.high, low))) === orphan) {
      this.#table.rank(this.#table.own(group, low));
    }
    return false;
  }
}
