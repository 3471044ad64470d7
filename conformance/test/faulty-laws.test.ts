// deadline: 240s
import { faultySubject } from './fixtures/faulty-subject.js';
import { toSuite } from './fixtures/to-suite.js';

// Whatever it wraps, a faulty transport keeps the contract: by itself, and while things go wrong that no caller can see.
const file = 'conformance/test/faulty-laws';
const proofs = ['revoke-needs-proof', 'revoke-by-proof'];
const never = ['synchronous', 'mapped', ...proofs, 'declared-delay'];
const revokes = ['revoke', 'revoke-in-flight', 'revoke-for-good', 'binding-outlasts-renew'];
const provable = ['synchronous', 'mapped', ...revokes, 'declared-delay'];
const effort = { runs: 8, increments: 200, tearing: 100, cuts: 4, patience: 30_000 };
const unseen = { weather: { seed: 5, rate: 0.1, kinds: ['delay', 'tear'] } } as const;

toSuite(faultySubject('shared memory', 'no fault', {}), file, never, effort);
toSuite(faultySubject('shared memory', 'no fault, revoke by proof', {}, 'proof'), file, provable, effort);
toSuite(faultySubject('shared memory', 'delays and tears', unseen), file, never, effort);
toSuite(faultySubject('tcp', 'no fault', {}), file, never, effort);
