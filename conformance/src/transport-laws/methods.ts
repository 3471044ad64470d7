import type { Awaitable, CallOptions, Capabilities, Session } from '@exomem/core';
import { compareExchange, fetchAdd, load, read, write } from '@exomem/core';

/** Where and how long a call reaches. */
export interface Reach {
  readonly offset: number;
  readonly length: number;
}

/** One way to call a session, for laws that hold for every method. */
export interface Method {
  readonly name: string;
  /** It leaves a trace in the region. */
  readonly changes: boolean;
  /** It takes words, aligned ones alone; `length` is 8. */
  readonly word: boolean;
  /** It takes a signal and a timeout. */
  readonly waits: boolean;
  call(session: Session, reach: Reach, options?: CallOptions): Awaitable<unknown>;
}

const fill = (length: number): Uint8Array => new Uint8Array(length).fill(0xa5);
const words = { word: true, waits: true } as const;
const bytes = { word: false, waits: true } as const;

/** Every method that touches the region, as far as the transport declares it. */
export function memoryMethods({ atomics, mapped }: Capabilities): Method[] {
  const methods: Method[] = [
    { name: 'load', changes: false, ...words, call: (session, { offset }, o) => session.load(offset, o) },
    {
      name: 'read',
      changes: false,
      ...bytes,
      call: (session, { offset, length }, o) => session.read(offset, new Uint8Array(length), o),
    },
    {
      name: 'write',
      changes: true,
      ...bytes,
      call: (session, { offset, length }, o) => session.write(offset, fill(length), o),
    },
    batchOf('load', false, true, ({ offset }) => load(offset)),
    batchOf('read', false, false, ({ offset, length }) => read(offset, new Uint8Array(length))),
    batchOf('write', true, false, ({ offset, length }) => write(offset, fill(length))),
  ];
  if (mapped) {
    methods.push({
      name: 'view',
      changes: false,
      word: false,
      waits: false,
      call: (session, { offset, length }) => session.view(offset, length),
    });
  }
  if (atomics === 'none') return methods;
  return [
    ...methods,
    {
      name: 'compareExchange',
      changes: true,
      ...words,
      call: (session, { offset }, o) => session.compareExchange(offset, 0n, 0xa5n, o),
    },
    { name: 'fetchAdd', changes: true, ...words, call: (session, { offset }, o) => session.fetchAdd(offset, 0xa5n, o) },
    batchOf('compareExchange', true, true, ({ offset }) => compareExchange(offset, 0n, 0xa5n)),
    batchOf('fetchAdd', true, true, ({ offset }) => fetchAdd(offset, 0xa5n)),
  ];
}

/** A legal step stands before it: that one must not happen either. */
function batchOf(
  op: string,
  changes: boolean,
  word: boolean,
  step: (reach: Reach) => ReturnType<typeof load> | ReturnType<typeof read>,
): Method {
  return {
    name: `batch of ${op}`,
    changes,
    word,
    waits: true,
    call: (session, reach, o) => session.batch(changes ? [write(0, fill(1)), step(reach)] : [step(reach)], o),
  };
}

/** Those that act on the session or on members rather than on memory. `member` is a word that shows nobody. */
export function controlMethods({ revoke }: Capabilities): Method[] {
  const control = { changes: false, waits: true } as const;
  const methods: Method[] = [
    {
      name: 'bind',
      word: true,
      ...control,
      call: (session, { offset }, o) => session.bind({ slot: 1, incarnation: 1, offset }, o),
    },
  ];
  if (revoke !== 'none') {
    methods.push({
      name: 'revoke',
      word: true,
      ...control,
      call: (session, { offset }, o) => session.revoke({ slot: 1, incarnation: 1, offset }, o),
    });
  }
  return methods;
}

export const renewMethod: Method = {
  name: 'renew',
  changes: false,
  word: false,
  waits: true,
  call: (session, _, o) => session.renew(o),
};
