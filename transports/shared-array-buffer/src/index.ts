export { createRegion, type SharedRegion, segmentBytes } from './region.js';
export { SharedArrayBufferSession } from './session.js';
export { supervise } from './supervise.js';
export { type Regions, type SharedArrayBufferTransport, sharedArrayBuffer } from './transport.js';
