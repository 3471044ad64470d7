export * from './transport-laws/index.js';
export * from './policy-laws/index.js';
