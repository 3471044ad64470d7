// deadline: 300s
import { policyLaws } from '@exomem/conformance';
import {
  type AllocationPolicy,
  type AllocationRequest,
  type Allocator,
  atomic,
  ExomemError,
  type Extent,
  type Geometry,
  isExomemError,
  load,
  type Protocol,
  principalWordOffset,
  surely,
} from '@exomem/core';
import { suite } from '@exomem/testing';

// The laws know single runs: here each of those is one of several that are claimed at once, of which the others go back.

/** What asks for several runs where one is wanted, keeps one, and frees the others at once. */
const manyForOne: AllocationPolicy = {
  name: 'many for one',
  apiVersion: 1,
  create(context) {
    const inner = atomic.create(context);
    const own = new ManyForOne(inner, context.geometry);
    return new Proxy(inner, {
      get(target, name) {
        const source = Reflect.has(own, name) ? own : target;
        const value = Reflect.get(source, name, source);
        return typeof value === 'function' ? value.bind(source) : value;
      },
    });
  },
};

class ManyForOne {
  readonly #inner: Allocator;
  readonly #geometry: Geometry;
  /** What was claimed and not handed out, since somebody gave up in between. */
  #owed: Extent[] = [];

  constructor(inner: Allocator, geometry: Geometry) {
    this.#inner = inner;
    this.#geometry = geometry;
  }

  *allocate({ named, initialise, ...rest }: AllocationRequest): Protocol<Extent> {
    const inner = this.#inner;
    if (named === true || initialise === 'caller') return yield* inner.allocate({ ...rest, named, initialise });
    for (const count of [3, 1]) {
      let extents: readonly Extent[];
      try {
        extents = yield* inner.allocateMany!({ ...rest, initialise, count });
      } catch (error) {
        const codes = ['RegionFull', 'Fragmented', 'OutOfRange'] as const;
        if (!codes.some((code) => isExomemError(error, code)) || count === 1) throw error;
        continue;
      }
      const [first, ...others] = extents;
      if (others.length === 0) return first!;
      try {
        yield* inner.freeMany!(others);
        // Giving back looks like taking to whoever counts the changes of a word: so it ends as a claim does.
        const { principal, word } = inner.identity;
        const now = yield* surely(load(principalWordOffset(this.#geometry, principal)));
        if (now !== word) throw new ExomemError('Fenced', 'somebody else acts for this principal');
      } catch (error) {
        this.#owed.push(...extents);
        throw error;
      }
      return first!;
    }
    throw new Error('there is no count left');
  }

  free(extent: Extent): Protocol<void> {
    return this.#inner.freeMany!([extent]);
  }

  *discover(): Protocol<void> {
    // What is given back is not live from its first step on, unless that was given up.
    this.#owed = this.#owed.filter(({ live }) => live);
    yield* this.#inner.freeMany!(this.#owed);
    yield* this.#inner.discover();
  }
}

const test = suite('policy laws: atomic, many at once');

const laws = policyLaws(
  { name: 'many for one', policy: manyForOne },
  {
    schedules: 600,
    command: ({ law, seed, path }) =>
      `EXOMEM_LAW=${law} EXOMEM_SEED=${seed} EXOMEM_PATH=${path} npm test -- policy-laws-many`,
  },
);
for (const { id, sentence, run } of laws) test(`${id}: ${sentence}`, run);

test.run();
