import { loopbackSubject } from './fixtures/loopback-subject.js';
import { toSuite } from './fixtures/to-suite.js';

// The half of the laws that synchronous transports are excused from, held against a plain asynchronous one.
toSuite(loopbackSubject(), 'conformance/test/transport-laws-loopback', ['synchronous', 'mapped'], { patience: 20_000 });
