// deadline: 240s
import { loopbackSubject } from './fixtures/loopback-subject.js';
import { toSuite } from './fixtures/to-suite.js';

// The half of the laws that synchronous transports are excused from, held against a plain asynchronous one, and against
// the same one with less: what core makes up for then has to keep the laws, too.
const file = 'conformance/test/transport-laws-loopback';
const never = ['synchronous', 'mapped', 'revoke-needs-proof', 'revoke-by-proof', 'declared-delay'];
const effort = { patience: 30_000, runs: 20, tearing: 200 };

toSuite(loopbackSubject(), file, never);
toSuite(loopbackSubject({}, undefined, { stopOnFail: false, maxBatch: 1, maxTransfer: 8 }), file, never, effort);
toSuite(loopbackSubject({}, undefined, { stopOnFail: false, maxBatch: 7, maxTransfer: 64 }), file, never, effort);
toSuite(
  loopbackSubject({}, undefined, { atomics: 'none', revoke: 'none', maxDelay: 500 }),
  file,
  [
    'synchronous',
    'mapped',
    'stop-on-fail',
    'word-values',
    'long-stopping-batch',
    'abandoned-batch',
    'revoke',
    'revoke-in-flight',
    'revoke-for-good',
    'binding-outlasts-renew',
    'revoke-needs-proof',
    'revoke-by-proof',
    'contended-increments',
    'contended-adds',
    'resolved-increments',
  ],
  effort,
);
