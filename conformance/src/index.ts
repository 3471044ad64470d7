export { withNodeTest, withUvu, withVitest } from './bindings.js';
export * from './faulty-transport/index.js';
export * from './history/index.js';
export * from './mount-laws/index.js';
export * from './policy-laws/index.js';
export * from './report/index.js';
export { type Restriction, restricted } from './restricted-transport.js';
export * from './simulator/index.js';
export * from './transport-laws/index.js';
