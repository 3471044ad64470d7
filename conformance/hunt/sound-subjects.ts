import {
  type FaultPlan,
  faulty,
  type Restriction,
  recorded,
  restricted,
  type TransportModule,
} from '@exomem/conformance';
import type { Transport } from '@exomem/core';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, setAside, tcp } from '@exomem/transport-tcp';

/** Puts something around a transport. */
export type Wrapper = (transport: Transport) => Transport;

/** The shipped transports, with regions of their own, behind whatever is put around them. */
export const shippedTransports: Readonly<Record<string, (wrap: Wrapper) => TransportModule>> = {
  'shared memory': (wrap) => ({
    setup: ({ bytes }) => ({ transport: wrap(sharedArrayBuffer({ region: createRegion(bytes) })), url: 'sab:region' }),
  }),
  tcp: (wrap) => ({
    async setup({ bytes }) {
      const backing = await setAside({ size: bytes });
      const appliance = new Appliance();
      appliance.expose('default', backing.memory);
      const address = await appliance.listen('127.0.0.1:0');
      if ('path' in address) throw new Error('it listens on a port');
      return {
        transport: wrap(tcp()),
        listens: { host: address.host, port: address.port },
        url: ({ host, port }) => `tcp://${host}:${port}`,
        async teardown() {
          await appliance.close();
          await backing.close();
        },
      };
    },
  }),
};

/** What a transport may have to do without. */
export const restrictions: Readonly<Record<string, Restriction>> = {
  nothing: {},
  atomics: { atomics: 'none' },
  revoke: { revoke: 'none' },
  mapping: { mapped: false },
  everything: { atomics: 'none', revoke: 'none', mapped: false },
};

const noFault: FaultPlan = {};

/** What is put around it, and keeps every law that it kept. */
export const wrappers: Readonly<Record<string, Wrapper>> = {
  bare: (transport) => transport,
  'faulty, with an empty plan': (transport) => faulty(transport, noFault),
  recorded: (transport) => recorded(transport, () => undefined),
};

export const without =
  (less: Restriction): Wrapper =>
  (transport) =>
    Object.keys(less).length === 0 ? transport : restricted(transport, less);
