import { type SubjectRegion, type TransportSubject, transportLaws } from '@exomem/conformance';
import type { Capabilities } from '@exomem/core';
import type { ApplianceFlaws } from '../fixtures/loopback-appliance.js';
import type { SessionFlaws } from '../fixtures/loopback-session.js';
import { loopbackSubject } from '../fixtures/loopback-subject.js';
import { sabSubject } from '../fixtures/sab-subject.js';
import { type SpoilerName, spoilers } from '../fixtures/spoilers.js';
import { killedBy, type Mutant } from './mutant.js';

/** A transport that is wrong in one way, and a law that it breaks. */
export interface FlawedTransport {
  readonly what: string;
  readonly law: string;
  readonly subject: TransportSubject;
}

const spoiled = (law: string, spoiler: SpoilerName): FlawedTransport => ({
  what: spoiler,
  law,
  subject: sabSubject(1, spoiler),
});
const flawed = (law: string, flaws: ApplianceFlaws & SessionFlaws): FlawedTransport => ({
  what: Object.entries(flaws).join(),
  law,
  subject: loopbackSubject(flaws),
});
const spoiledLoopback = (law: string, spoiler: SpoilerName, less: Partial<Capabilities> = {}): FlawedTransport => ({
  what: `${spoiler} (asynchronous)`,
  law,
  subject: loopbackSubject({}, spoilers[spoiler], less),
});
/** A region of shared memory with something wrong about it rather than about its sessions. */
const altered = (
  law: string,
  what: string,
  alter: (region: SubjectRegion) => Partial<SubjectRegion>,
): FlawedTransport => {
  const subject = sabSubject(1);
  const setup: TransportSubject['setup'] = async (options) => {
    const region = await subject.setup(options);
    return { ...region, ...alter(region) };
  };
  return { what, law, subject: { ...subject, setup } };
};

export const flawedTransports: readonly FlawedTransport[] = [
  altered('declarations', 'a region that begins with a byte of something else', (region) => ({
    async connect(options) {
      const session = await region.connect(options);
      session.write(session.size - 1, Uint8Array.of(1));
      return session;
    },
  })),
  {
    what: 'a capability that no session has',
    law: 'declarations',
    subject: { ...sabSubject(1), capabilities: { ...sabSubject(1).capabilities, watch: true } },
  },
  spoiled('synchronous', 'answersLater'),
  spoiled('mapped', 'viewsACopy'),
  spoiledLoopback('undeclared', 'revokesQuietly', { revoke: 'none' }),

  spoiled('read-your-writes', 'answersWhatIsThereNow'),
  flawed('session-order', { reorders: true }),
  spoiled('answered-steps-are-seen', 'writesBehind'),
  spoiled('batch-like-one-by-one', 'reversesBatches'),
  spoiled('stop-on-fail', 'ignoresStop'),

  spoiled('out-of-range', 'readsOneByteTooFar'),
  spoiled('out-of-range', 'writesBeforeItChecks'),
  spoiled('edges', 'doesNotReachTheLastWord'),
  spoiled('unaligned', 'roundsWordsDown'),
  spoiled('word-values', 'hasSignedWords'),
  spoiled('zero-length', 'refusesNothingness'),
  spoiled('illegal-batch', 'checksBatchesAsItGoes'),
  spoiled('longest-transfer', 'cutsLongWritesShort'),
  spoiled('longest-batch', 'losesTheEndOfLongBatches'),
  spoiled('long-stopping-batch', 'stopsAfterEachTen'),

  spoiled('closed', 'worksAfterClose'),
  spoiled('closed', 'refusesASecondClose'),
  spoiled('aborted-before', 'looksAtTheSignalLate'),
  spoiled('deadline-before', 'hasNoDeadlines'),
  spoiled('signal-and-timeout', 'countsOtherwiseUnderASignal'),
  flawed('close-in-flight', { closesInSilence: true }),
  spoiledLoopback('aborted-in-flight', 'ignoresSignals'),
  spoiledLoopback('aborted-in-flight', 'saysThatNothingHappened'),
  spoiledLoopback('deadline-in-flight', 'ignoresSignals'),
  spoiledLoopback('deadline-in-flight', 'saysThatNothingHappened'),
  flawed('abandoned-read', { touchesAbandoned: true }),
  spoiledLoopback('abandoned-batch', 'goesOnWhenGivenUp'),

  spoiled('bind-to-the-living', 'bindsNobody'),
  spoiled('bind-to-the-dead', 'bindsAnybody'),
  flawed('fence-outlasts-renew', { renewHeals: true }),
  spoiled('one-member-an-epoch', 'bindsTwice'),
  flawed('revoke', { revokesOneLane: true }),
  flawed('revoke-in-flight', { revokesLater: true }),
  flawed('revoke-for-good', { forgetsRevocations: true }),
  spoiled('revoke-needs-proof', 'revokesUnproven'),
  spoiled('revoke-by-proof', 'provesNothing'),
  flawed('binding-outlasts-renew', { unbindsOnRenew: true }),

  flawed('cut-answers-everything', { lost: 'nothing' }),
  flawed('cut-answers-everything', { lost: 'disconnected' }),
  flawed('cut-answers-everything', { lost: 'done' }),
  flawed('renew-is-a-new-epoch', { countsNoEpochs: true }),
  flawed('cut-while-renewing', { renewHangs: true }),
  flawed('late-steps-never-land', { noEpochs: true }),
  {
    what: 'landsLate',
    law: 'declared-delay',
    subject: loopbackSubject({ landsLate: true }, undefined, { revoke: 'none', maxDelay: 100 }),
  },
  flawed('later-session-of-a-lane', { noEpochs: true }),
  flawed('black-hole', { patient: true }),
  flawed('silence-is-no-loss', { nervous: true }),
  altered('many-sessions', 'one session for all', (region) => {
    const only = region.connect();
    return { connect: () => only };
  }),

  spoiled('contended-increments', 'comparesThenWrites'),
  spoiled('contended-adds', 'addsByReadAndWrite'),
  flawed('resolved-increments', { retries: true }),
  flawed('resolved-increments', { lost: 'disconnected' }),
  spoiled('no-torn-words', 'copiesByteByByte'),
];

/** What these break shows only where two contenders really meet, which a machine that is busy elsewhere may not let them. */
const needsMeeting = new Set(['contended-increments', 'contended-adds', 'resolved-increments', 'no-torn-words']);
/** A call that hangs is known by its patience, which is the one thing that is less than usual. */
const patience = 3_000;

/** The name of a flaw, in words: `closesInSilence,true` closes in silence. */
const inWords = (flaw: string): string =>
  flaw
    .replace(/,true$/, '')
    .replace(/,/g, ' ')
    .replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

export const transportMutants: readonly Mutant[] = flawedTransports.map(({ what, law: id, subject }) => ({
  name: `${inWords(what)} [${subject.name}]`,
  of: 'transport',
  law: id,
  async hunt(seed, bounded) {
    const effort = bounded ? { increments: 50_000, cuts: 5 } : {};
    for (let left = needsMeeting.has(id) ? 10 : 1, tries = 1; left > 0; left -= 1, tries += 1) {
      const law = transportLaws(subject, { patience, corpus: [], seed, ...effort }).find((one) => one.id === id);
      if (law === undefined || law.skip !== undefined) throw new Error(`${id} says nothing about ${subject.name}`);
      const kill = await killedBy(law, tries);
      if (kill !== undefined) return kill;
    }
    return undefined;
  },
}));
