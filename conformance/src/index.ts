export * from './transport-laws/index.js';
