export * from './errors.js';
export * from './protocol/protocol.js';
export * from './protocol/runner.js';
export * from './transport/memory.js';
export * from './transport/session-base.js';
export * from './transport/step.js';
export * from './transport/transport.js';
