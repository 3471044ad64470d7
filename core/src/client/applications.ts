import { ExomemError, isExomemError } from '../errors.js';
import type { AllocationPolicy, Allocator, Identity } from '../policy/policy.js';
import {
  adoptPrincipal,
  encodeKeep,
  keepNot,
  lookAtPrincipal,
  type PrincipalLook,
  reincarnate,
} from '../protocol/adopt.js';
import {
  ask,
  type Member,
  type PrincipalLine,
  readMembers,
  readPrincipals,
  registerPrincipal,
} from '../protocol/membership.js';
import { decodePrincipal, memberState, principalState, wantedKind } from '../region/words.js';
import { Application } from './application.js';
import type { Client } from './client.js';

/** The applications that one client acts for. */
export class Applications {
  readonly #client: Client;
  readonly #policy: AllocationPolicy;
  readonly #allocator: (identity: Identity) => Allocator;
  readonly #active = new Map<number, Application>();

  /** @param allocator makes one that allocates in that name */
  constructor(client: Client, policy: AllocationPolicy, allocator: (identity: Identity) => Allocator) {
    this.#client = client;
    this.#policy = policy;
    this.#allocator = allocator;
  }

  get all(): readonly Application[] {
    return [...this.#active.values()];
  }

  /**
   * Registers an application.
   * @param keep milliseconds (rounded up to a power of two of seconds) that its memory waits for somebody to adopt it
   * after this client's death; 0 frees it then
   */
  async register(keep: number): Promise<Application> {
    const { geometry, member } = this.#client;
    const policy = keep === 0 ? keepNot : encodeKeep(keep);
    return this.#act(await this.#client.run(registerPrincipal(geometry, member, policy)));
  }

  /**
   * Takes over an application: one whose member is dead and that was kept, or one that was handed to this client.
   * @throws `NotFound`, `Busy` (its member lives), `Unproven` (it may still act), `UnsupportedCapability`.
   */
  async adopt(principal: number): Promise<Application> {
    const known = this.#active.get(principal);
    if (known !== undefined) return known;
    const { member } = this.#client;
    if (!Number.isInteger(principal) || principal < 1 || principal > this.#client.geometry.principalSlots)
      throw new ExomemError('NotFound', `there is no principal ${principal} to adopt`);
    const seen = await this.#takeSeen(principal);
    if (seen !== undefined) return this.#act(seen);
    const look = await this.#client.run(lookAtPrincipal(this.#client.geometry, principal));
    const line = decodePrincipal(look.word);
    if (line.state === principalState.active && line.policy === 0) {
      throw new ExomemError('NotFound', `principal ${principal} is no application`);
    }
    if (line.state === principalState.active && isOurs(line, member)) {
      return this.#act({ principal, incarnation: line.incarnation, word: look.word });
    }
    return this.#act(await this.#take(principal, look));
  }

  /** As it was when the tables were read last, if its member was dead then. Undefined: one has to look. */
  async #takeSeen(principal: number): Promise<Identity | undefined> {
    const { exclusion, departed } = this.#client;
    const look = departed.recall(principal);
    if (look === undefined || (exclusion !== 'revoke' && exclusion !== 'proof')) return undefined;
    const { state, policy } = decodePrincipal(look.word);
    if (state !== principalState.active || policy === 0) return undefined;
    try {
      return await this.#take(principal, look);
    } catch (error) {
      // It is another's since, or nobody's.
      if (!isExomemError(error, 'Busy')) throw error;
      return undefined;
    }
  }

  async #take(principal: number, look: PrincipalLook): Promise<Identity> {
    const client = this.#client;
    const { geometry, member, replica, exclusion, departed, where } = client;
    switch (exclusion) {
      case 'none':
        throw new ExomemError('UnsupportedCapability', 'over this transport nobody is ever known to be dead', {
          where,
        });
      case 'wait':
        return client.runOnLog(reincarnate({ geometry, replica, member, policy: this.#policy }, principal));
      default: {
        const isShutOut = (slot: number, incarnation: number) => departed.isShutOut(slot, incarnation);
        const identity = await client.run(adoptPrincipal(geometry, member, principal, look, isShutOut));
        const before = decodePrincipal(look.word);
        if (exclusion === 'revoke') departed.shutOut(before.member, before.memberIncarnation);
        return identity;
      }
    }
  }

  #act({ principal, incarnation, word }: Identity): Application {
    const identity = { principal, incarnation, word };
    const application = new Application(this.#client, identity, this.#allocator(identity), () =>
      this.#active.delete(principal),
    );
    this.#active.set(principal, application);
    return application;
  }

  async #line(principal: number): Promise<PrincipalLine | undefined> {
    const lines = await this.#client.run(readPrincipals(this.#client.geometry));
    return lines.find((line) => line.principal === principal);
  }

  /** Those that were handed to this client, that nobody acts for yet, and that this has not answered before. */
  async handed(): Promise<number[]> {
    const { geometry, member } = this.#client;
    const lines = await this.#client.run(readPrincipals(geometry));
    const news = lines.filter(
      (line) =>
        line.state === principalState.active &&
        line.policy !== 0 &&
        isOurs(line, member) &&
        !this.#active.has(line.principal) &&
        this.#told.get(line.principal) !== line.word,
    );
    for (const { principal, word } of news) this.#told.set(principal, word);
    return news.map(({ principal }) => principal);
  }
  /** The words of those. */
  readonly #told = new Map<number, bigint>();

  /** Somebody asks that an application of ours moves to the member of that slot. */
  async asked(principal: number, slot: number): Promise<void> {
    const to = (await this.#client.run(readMembers(this.#client.geometry)))[slot];
    if (to?.state === memberState.active) this.#active.get(principal)?.onMigrate?.(to);
  }

  /**
   * Asks the member that acts for an application to move it to another. Whether the request was left with it.
   * @throws `NotFound` if there is no such application.
   */
  async askToMigrate(principal: number, slot: number): Promise<boolean> {
    const line = await this.#line(principal);
    if (line?.state !== principalState.active || line.policy === 0) {
      throw new ExomemError('NotFound', `there is no application ${principal}`);
    }
    const { incarnation, member } = line;
    const wanted = { kind: wantedKind.migrate, principal, incarnation, pages: slot };
    return this.#client.run(ask(this.#client.geometry, member, wanted));
  }

  /** The client leaves: an application that is kept stays for whoever adopts it, another ends with it. */
  async leave(): Promise<void> {
    for (const application of this.all) {
      if (decodePrincipal(application.identity.word).policy === keepNot) await application.end();
    }
  }
}

/** Whether a principal's word says that this member acts for it. */
function isOurs(line: Pick<PrincipalLine, 'member' | 'memberIncarnation'>, member: Member): boolean {
  return line.member === member.slot && line.memberIncarnation === member.incarnation;
}
