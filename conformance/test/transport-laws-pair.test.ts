// deadline: 600s
import { pairSubject } from './fixtures/pair-subject.js';
import { toSuite } from './fixtures/to-suite.js';

// A region in two parts is a region: the same laws, whichever transports the parts have. Members lie in the metadata,
// what is written at small offsets in the data, or the other way round.
const file = 'conformance/test/transport-laws-pair';
const flightless = [
  'close-in-flight',
  'aborted-in-flight',
  'deadline-in-flight',
  'abandoned-read',
  'abandoned-batch',
  'revoke',
  'revoke-in-flight',
  'revoke-for-good',
  'binding-outlasts-renew',
  'cut-answers-everything',
  'renew-is-a-new-epoch',
  'cut-while-renewing',
  'late-steps-never-land',
  'declared-delay',
  'black-hole',
  'silence-is-no-loss',
  'resolved-increments',
];
toSuite(pairSubject('sab+sab', 2048), file, flightless, { increments: 20_000 });
toSuite(pairSubject('sab+sab', 0), file, flightless, { increments: 20_000, tearing: 500 });
const served = ['synchronous', 'mapped', 'revoke-needs-proof', 'revoke-by-proof', 'declared-delay'];
toSuite(pairSubject('tcp+tcp', 2048), file, served, { runs: 20, increments: 500 });
toSuite(pairSubject('tcp+tcp', 0), file, served, { runs: 20, increments: 500 });
const halfServed = [
  'synchronous',
  'mapped',
  'aborted-in-flight',
  'deadline-in-flight',
  'revoke',
  'revoke-in-flight',
  'revoke-for-good',
  'binding-outlasts-renew',
  'cut-answers-everything',
  'renew-is-a-new-epoch',
  'cut-while-renewing',
  'late-steps-never-land',
  'declared-delay',
  'black-hole',
  'resolved-increments',
];
toSuite(pairSubject('sab+tcp', 2048), file, halfServed, { runs: 20, increments: 500 });
toSuite(pairSubject('sab+tcp', 0), file, halfServed, { runs: 20, increments: 500 });
