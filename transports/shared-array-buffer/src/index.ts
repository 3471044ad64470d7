export { createRegion, segmentBytes } from './region.js';
export { SharedArrayBufferSession } from './session.js';
export { type Regions, type SharedArrayBufferTransport, sharedArrayBuffer } from './transport.js';
