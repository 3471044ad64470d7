import { randomBytes } from 'node:crypto';
import type { Session } from '@exomem/core';
import { describe } from './expect.js';
import { soon } from './patience.js';
import type { SubjectRegion, TransportSubject } from './subject.js';

/**
 * Nothing can be said about a subject, because of how it was given to the kit: its factory throws, or makes something that
 * is no region. It is no law that is broken.
 */
export class SubjectUnfit extends Error {
  override readonly name = 'SubjectUnfit';
}

const methods = [
  ...(['load', 'read', 'write', 'compareExchange', 'fetchAdd', 'batch'] as const),
  ...(['bind', 'renew', 'revoke', 'view', 'close'] as const),
] satisfies readonly (keyof Session)[];

const booleans = ['synchronous', 'mapped', 'stopOnFail', 'sessionFence', 'watch'] as const;

/** Milliseconds for which the kit waits for a factory before any law. */
const patience = 30_000;
/** What a mark needs. */
const small = 4_096;

/**
 * Makes a region.
 * @param within milliseconds after which a factory that has not ended hangs
 * @throws `SubjectUnfit` with a sentence, if the factory does not.
 */
export async function setUp(subject: TransportSubject, bytes: number, within = patience): Promise<SubjectRegion> {
  const name = `setup({ bytes: ${bytes} }) of "${subject.name}"`;
  let region: SubjectRegion;
  try {
    region = await soon(Promise.resolve(subject.setup({ bytes })), within, 'it');
  } catch (error) {
    if (error instanceof SubjectUnfit) throw error;
    throw new SubjectUnfit(`${name} fails: ${describe(error)}; it has to make a region of so many zero bytes`, {
      cause: error,
    });
  }
  if (typeof region?.connect !== 'function') {
    const what = region === undefined || region === null ? String(region) : 'something without connect()';
    throw new SubjectUnfit(
      `${name} gives ${what}; it has to give { connect(options), teardown() }, where connect opens a session`,
    );
  }
  return region;
}

export async function tearDown(subject: TransportSubject, region: SubjectRegion, within: number): Promise<void> {
  try {
    await soon(Promise.resolve(region.teardown?.()), within, 'the teardown of the region');
  } catch (error) {
    throw new SubjectUnfit(`teardown() of "${subject.name}" fails: ${describe(error)}`, { cause: error });
  }
}

/**
 * Looks at what a factory makes before any law does: whether there are sessions with everything that a session has, and
 * whether each region is another one. What sessions then do is for the laws.
 * @param within milliseconds for each thing that it does
 * @throws `SubjectUnfit`
 */
export async function examine(subject: TransportSubject, within = patience): Promise<void> {
  checkSubject(subject);
  const regions = new Set<SubjectRegion>();
  const visit = async (act: (session: Session) => unknown): Promise<boolean> => {
    const region = await setUp(subject, small, within);
    if (regions.has(region)) throw twice(subject);
    regions.add(region);
    try {
      const session = await openSession(subject, region, within);
      const done = await quietly(() => act(session));
      await quietly(() => session.close());
      return done;
    } finally {
      await quietly(() => region.teardown?.());
    }
  };
  try {
    const mark = randomBytes(16);
    const seen = new Uint8Array(16);
    // One after the other: a subject may have one address for all its regions.
    const marked = await visit((session) => session.write(small - 16, mark));
    const read = await visit((session) => session.read(small - 16, seen));
    if (marked && read && mark.equals(seen)) throw twice(subject);
  } catch (error) {
    if (error instanceof SubjectUnfit) throw error;
    throw new SubjectUnfit(describe(error), { cause: error });
  }
}

/** Opens a session and looks whether it is one. @throws `SubjectUnfit` */
export async function openSession(
  subject: { readonly name: string },
  region: SubjectRegion,
  within = patience,
): Promise<Session> {
  let session: Session;
  try {
    session = await soon(Promise.resolve(region.connect()), within, 'it');
  } catch (error) {
    throw new SubjectUnfit(
      `connect() of "${subject.name}" fails: ${describe(error)}; a region has to be reachable when setup() has ended`,
      { cause: error },
    );
  }
  checkSession(subject.name, session);
  return session;
}

function checkSubject(subject: TransportSubject): void {
  if (typeof subject?.setup !== 'function') {
    throw new SubjectUnfit('a subject has to have setup({ bytes }), which makes a region of so many zero bytes');
  }
  checkCapabilities(subject.name, subject.capabilities, 'the subject');
}

function checkSession(name: string, session: Session): void {
  if (typeof session !== 'object' || session === null) {
    throw new SubjectUnfit(`connect() of "${name}" gives ${String(session)} instead of a session`);
  }
  const missing = methods.filter((method) => typeof session[method] !== 'function').map((method) => `${method}()`);
  if (missing.length > 0) {
    throw new SubjectUnfit(
      `the session that connect() of "${name}" gives has no ${missing.join(', no ')}: ` +
        'a class that extends SessionBase of @exomem/core has all that a session has',
    );
  }
  for (const property of ['size', 'epoch'] as const) {
    if (typeof session[property] === 'number') continue;
    throw new SubjectUnfit(`${property} of a session of "${name}" is ${String(session[property])}, and no number`);
  }
  checkCapabilities(name, session.capabilities, 'a session');
}

function checkCapabilities(name: string, capabilities: TransportSubject['capabilities'], whose: string): void {
  const wrong = (what: string): SubjectUnfit =>
    new SubjectUnfit(`the capabilities of ${whose} of "${name}" are no declaration: ${what}`);
  if (typeof capabilities !== 'object' || capabilities === null) throw wrong('there are none');
  for (const key of booleans) {
    if (typeof capabilities[key] !== 'boolean') throw wrong(`${key} is ${String(capabilities[key])}; true or false`);
  }
  for (const key of ['maxTransfer', 'maxBatch'] as const) {
    if (Number.isSafeInteger(capabilities[key])) continue;
    throw wrong(`${key} is ${String(capabilities[key])}; a whole number`);
  }
  if (!['none', 'host', 'device'].includes(capabilities.atomics)) {
    throw wrong(`atomics is ${String(capabilities.atomics)}; "none", "host" or "device"`);
  }
  if (!['immediate', 'proof', 'none'].includes(capabilities.revoke)) {
    throw wrong(`revoke is ${String(capabilities.revoke)}; "immediate", "proof" or "none"`);
  }
}

function twice({ name }: TransportSubject): SubjectUnfit {
  return new SubjectUnfit(
    `setup() of "${name}" gives the same region twice: what was written to the first is there in the second. ` +
      'Each law needs a region of its own, all zero: make the memory inside setup()',
  );
}

/** Whether it succeeds. */
async function quietly(call: () => unknown): Promise<boolean> {
  try {
    await soon(Promise.resolve(call()), 5_000, 'it');
    return true;
  } catch {
    return false;
  }
}
