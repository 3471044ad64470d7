export * from './policy-laws/index.js';
export * from './transport-laws/index.js';
