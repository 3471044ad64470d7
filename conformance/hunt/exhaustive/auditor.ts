import type { Moments, World, WorldChange } from '@exomem/conformance/simulator';
import {
  decodeMember,
  decodePrincipal,
  encodeSuperblock,
  formatVersion,
  type Geometry,
  incompatible,
  memberLineOffset,
  memberState,
  principalState,
} from '@exomem/core';
import { imageOf, judge, oracles, type RegionImage, type Told, type ToldHandle } from '@exomem/core/audit';
import type { Moment } from './judgement.js';
import { Breach, type Heard, type Holdings } from './told.js';

/** The oracles that bytes alone do not decide: a small world has bytes that no format wrote. */
const told = new Set(oracles.filter(({ decidedByBytes }) => !decidedByBytes).map(({ id }) => id));

/** Puts a superblock into a small region, so that who reads it knows where everything lies. */
export function introduce(geometry: Geometry, memory: Uint8Array): void {
  const times = { lease: 10_000, delay: 2000, drift: 10_000, wait: 13_000, created: 0n };
  const incompat = geometry.redoBytes > 0 ? incompatible.locked : incompatible.atomic;
  const features = { version: formatVersion, compat: 0n, incompat, roCompat: 0n };
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

  image({ moments, region: present }: World<Holdings, Heard>, region = present): RegionImage {
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

  /** Somebody was told something. */
  heard(moment: Moment, { actor }: WorldChange<Heard>, heard: Heard): void {
    const who = moment.clients[actor]!;
    const image = this.image(moment.world);
    const { principal = 0, incarnation = 0 } = who.own ?? {};
    switch (heard.kind) {
      case 'given':
        this.hold(image, { handles: handlesOf(moment) });
        return;
      case 'refused': {
        const alwaysFitted = !moment.isFull(who);
        this.hold(image, { refusals: [{ principal, incarnation, pages: who.asking, alwaysFitted }] });
        return;
      }
      case 'appended': {
        const { index } = heard;
        const sequence = moment.seen.records.get(index)?.sequence ?? 0;
        this.hold(image, {
          appends: [{ author: heard.principal, incarnation: heard.incarnation, sequence, index }],
        });
        return;
      }
      case 'adopted': {
        const others = moment.clients.filter((one) => one !== who).flatMap((one) => moment.handlesOf(one));
        const given = others.filter((one) => one.principal === heard.principal);
        const word = decodePrincipal(moment.principalWord(heard.principal));
        const owner = { principal: heard.principal, incarnation: word.incarnation };
        // Whoever was declared dead once more has seen what was there.
        if (word.member !== who.member?.slot || word.state !== principalState.active) return;
        this.hold(image, { adoptions: [{ ...owner, given, seen: heard.extents }] });
        return;
      }
      case 'saw': {
        const { page, byte, allowed, named } = heard;
        const through = named ? 'file' : 'open file without a name';
        this.hold(image, { sights: [{ principal, incarnation, page, through, writer: byte, allowed }] });
        return;
      }
      default:
    }
  }

  /** Somebody changed something. */
  changed(moment: Moment, { actor, before, offset }: WorldChange<Heard>): void {
    const who = moment.clients[actor]!;
    const { geometry, world, plot } = moment;
    if (who.member === undefined) return;
    const earlier = this.image(world, before);
    const image = this.image(world);
    this.hold(image, { earlier });
    const { slot: member, incarnation: memberIncarnation } = who.member;
    const local = world.locals[actor]!;
    if (offset === memberLineOffset(geometry, member) && !local.dead && !who.left && !who.gone) {
      const memberWord = moment.memberWord(member);
      if (decodeMember(memberWord).state === memberState.active)
        this.hold(image, { successes: [{ what: 'has beaten', member, memberIncarnation, memberWord }] });
    }
    if (offset < geometry.dataOffset || offset >= plot.reserveOffset || plot.exclusion === 'wait') return;
    const page = Math.floor((offset - geometry.dataOffset) / geometry.pageSize);
    const word = moment.groupWord(Math.floor(page / geometry.groupPages));
    const [principal, incarnation] = [Number(word >> 48n), Number((word >> 32n) & 0xffffn)];
    const own = who.identities.some((one) => one.principal === principal && one.incarnation === incarnation);
    // What is late was sent when it was all right.
    if (local.dead || local.strays.length > 0 || decodeMember(moment.memberWord(member)).state === memberState.fenced)
      return;
    const lookup = own || who.looked === 0 ? {} : { lookedUpAt: who.looked };
    const access = { kind: 'write', page, member, memberIncarnation, principal, incarnation, ...lookup } as const;
    this.hold(image, { accesses: [access] });
  }

  /** Nobody has anything left to do. */
  ended(moment: Moment): void {
    const { world } = moment;
    const idle = moment.clients.filter(({ stands, dead, gone, left, own, index }) => {
      return stands && !dead && !gone && !left && own !== undefined && world.locals[index]!.strays.length === 0;
    });
    const complete = idle.map(({ own }) => own!).filter(({ principal }) => !moment.isAdopted(principal));
    const image = this.image(world);
    this.hold(image, { handles: handlesOf(moment), complete });
  }
}

/** What was given out and is worth something. */
function handlesOf(moment: Moment): ToldHandle[] {
  return moment.clients
    .filter(({ stands }) => stands)
    .flatMap((client) => moment.handlesOf(client).map((held) => ({ ...held, kind: 'anonymous' as const })));
}
