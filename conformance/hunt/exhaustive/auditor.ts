import type { Moments } from '@exomem/conformance/simulator';
import { encodeSuperblock, formatVersion, type Geometry, incompatible } from '@exomem/core';
import { imageOf, judge, oracles, type RegionImage, type Told } from '@exomem/core/audit';
import { Breach } from './told.js';

/** The oracles that bytes alone do not decide: a small world has bytes that no format wrote. */
const told = new Set(oracles.filter(({ decidedByBytes }) => !decidedByBytes).map(({ id }) => id));

/** Puts a superblock into a small region, so that who reads it knows where everything lies. */
export function introduce(geometry: Geometry, memory: Uint8Array): void {
  const times = { lease: 10_000, delay: 2000, drift: 10_000, wait: 13_000, created: 0n };
  const features = { version: formatVersion, compat: 0n, incompat: incompatible.atomic, roCompat: 0n };
  const uuid = new Uint8Array(16).fill(7);
  const bytes = encodeSuperblock({ ...features, uuid, geometry, ...times });
  memory.set(bytes, 0);
  memory.set(bytes, geometry.copyOffset);
  // Its state: ready.
  new DataView(memory.buffer, memory.byteOffset).setBigUint64(16, 2n, true);
}

/** Holds moments against the oracles of `exomem fsck` that ask what clients were told. */
export class Auditor {
  /** How often each of them was asked with something to judge. */
  readonly asked = new Map<keyof Told, number>();
  #last: { moments: Moments; region: number; image: RegionImage } | undefined;

  image(moments: Moments, region: number): RegionImage {
    if (this.#last?.region === region && this.#last.moments === moments) return this.#last.image;
    const image = imageOf({
      size: moments.size,
      load: (offset) => moments.load(region, offset),
      read: (offset, target) => moments.read(region, offset, target),
    });
    this.#last = { moments, region, image };
    return image;
  }

  /** @throws `Breach` if an oracle finds damage */
  hold(image: RegionImage, given: Told): void {
    if (image.tables === undefined) throw new Error('the audit does not find the tables');
    for (const part of Object.keys(given) as (keyof Told)[]) this.asked.set(part, (this.asked.get(part) ?? 0) + 1);
    for (const { oracle, severity, what } of judge(image, given)) {
      if (severity === 'damage' && told.has(oracle)) throw new Breach(oracle, `the audit: ${what}`);
    }
  }
}
