import { sabSubject } from './fixtures/sab-subject.js';
import { toSuite } from './fixtures/to-suite.js';

const file = 'conformance/test/transport-laws-sab';
/** Nothing is ever in flight, there is no connection to lose, and no thread can be shut out of its own memory. */
const inapplicable = [
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
toSuite(sabSubject(1), file, inapplicable, { workers: 4, increments: 250_000 });
toSuite(sabSubject(5), file, inapplicable, { tearing: 500 });
