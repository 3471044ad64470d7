import type { Capabilities } from '@exomem/core';
import { attempt, expect, expectBytes, expectEqual, expectRefused } from './expect.js';
import type { Draft } from './law.js';
import { memoryMethods } from './methods.js';

/** Laws on what a transport says of itself. */
export const declarationLaws: Draft[] = [
  {
    id: 'declarations',
    sentence: 'a session declares what its transport declares, the size of the region, and a region begins with zeroes',
    bytes: 12_344,
    check: async ({ connect, capabilities, bytes, subject, region }) => {
      const session = await connect();
      for (const key of Object.keys(capabilities) as (keyof Capabilities)[]) {
        expectEqual(session.capabilities[key], capabilities[key], `the capability ${key} of the session`);
      }
      expectEqual(session.size, bytes, 'the size of the region');
      expect(Number.isSafeInteger(session.epoch), `the epoch is ${session.epoch}`);
      expect(capabilities.maxTransfer % 8 === 0, `maxTransfer is ${capabilities.maxTransfer}: pieces would tear words`);
      expect(capabilities.maxTransfer > 0 && capabilities.maxBatch > 0, 'maxTransfer and maxBatch are positive');
      const { revoke, maxDelay } = capabilities;
      expect(['immediate', 'proof', 'none'].includes(revoke), `revoke is ${revoke}`);
      expect(maxDelay === undefined || maxDelay >= 0, `maxDelay is ${maxDelay}`);
      for (const fault of subject.faults ?? []) {
        expectEqual(typeof region[fault], 'function', `the fault ${fault}, which is declared, is a`);
      }
      const whole = new Uint8Array(bytes).fill(1);
      await session.read(0, whole);
      expectBytes(whole, new Uint8Array(bytes), 'a fresh region');
    },
  },
  {
    id: 'synchronous',
    sentence: 'a synchronous session never answers with a promise',
    skip: ({ capabilities }) => (capabilities.synchronous ? undefined : 'it is not synchronous'),
    check: async ({ connect, capabilities }) => {
      const session = await connect();
      const { signal } = new AbortController();
      for (const options of [undefined, { signal, timeout: 1_000 }]) {
        for (const method of memoryMethods(capabilities)) {
          const answer = method.call(session, { offset: 8, length: 8 }, options);
          expect(!(answer instanceof Promise), `${method.name} answers with a promise`);
        }
        expect(!(session.renew(options) instanceof Promise), 'renew answers with a promise');
      }
      expect(!(session.close() instanceof Promise), 'close answers with a promise');
    },
  },
  {
    id: 'mapped',
    sentence: 'a view is the memory of the region itself: each sees at once what the other does',
    skip: ({ capabilities }) => (capabilities.mapped ? undefined : 'it is not mapped'),
    check: async ({ connect, bytes }) => {
      const session = await connect();
      const view = session.view(8, 64);
      expectEqual(view.byteLength, 64, 'the length of the view');
      await session.write(10, Uint8Array.of(1, 2, 3));
      expectBytes(view.slice(0, 6), Uint8Array.of(0, 0, 1, 2, 3, 0), 'the view after a write');
      view[63] = 9;
      expectEqual(await session.load(64), 9n << 56n, 'load after the view was written to');
      expectEqual(session.view(bytes - 1, 1).byteLength, 1, 'the length of a view of the last byte');
      expectEqual(session.view(bytes, 0).byteLength, 0, 'the length of an empty view at the end');
    },
  },
  {
    id: 'undeclared',
    sentence: 'what a transport does not declare is refused with UnsupportedCapability and changes nothing',
    check: async ({ connect, capabilities }) => {
      const session = await connect();
      const refused = async (what: string, call: () => unknown): Promise<void> => {
        await expectRefused(() => attempt(call), ['UnsupportedCapability'], what);
      };
      if (!capabilities.mapped) await refused('view', () => session.view(0, 8));
      if (capabilities.revoke === 'none') {
        await refused('revoke', () => session.revoke({ slot: 1, incarnation: 1, offset: 8 }));
      }
      if (capabilities.atomics === 'none') {
        await refused('compareExchange', () => session.compareExchange(0, 0n, 1n));
        await refused('fetchAdd', () => session.fetchAdd(0, 1n));
      }
      expectEqual(await session.load(0), 0n, 'the word');
    },
  },
];
