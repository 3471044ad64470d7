/**
 * How tests of this workspace are written:
 *
 * ```ts
 * import { assert, suite } from '@exomem/testing';
 *
 * const test = suite('group word');
 * test('is empty when it is zero', () => assert.is(1 + 1, 2));
 * test.run();
 * ```
 */
export * as assert from 'uvu/assert';
export { code } from './code.js';
export { documentFiles, type ExampleRun, runReadmeExample } from './readme.js';
export { type Body, type Hook, type Suite, suite } from './suite.js';
