import { MessageChannel } from 'node:worker_threads';
import { connectOptions, replayVariables, type TransportSubject, transportLaws } from '@exomem/conformance';
import type { Session } from '@exomem/core';
import { capabilities, type Door, messagePort, startAppliance } from '@exomem/examples/plug-a-transport/message-port';
import { assert, runReadmeExample, suite } from '@exomem/testing';

interface Connection {
  mode: 'passing' | 'vanishing' | 'held';
  readonly kept: (() => void)[];
}

/** A door that lets a test do to connections what a network can do. */
class FaultyDoor {
  readonly #toAppliance: Door;
  #connection: Connection = { mode: 'passing', kept: [] };
  readonly #ends: (() => void)[] = [];

  constructor(toAppliance: Door) {
    this.#toAppliance = toAppliance;
  }

  readonly open: Door = () => {
    const appliance = this.#toAppliance();
    const { port1, port2 } = new MessageChannel();
    const connection: Connection = { mode: 'passing', kept: [] };
    this.#connection = connection;
    port2.on('message', (message) => {
      const pass = (): void => appliance.postMessage(message);
      if (connection.mode === 'held') connection.kept.push(pass);
      else if (connection.mode === 'passing') pass();
    });
    appliance.on('message', (message) => {
      if (connection.mode !== 'vanishing') port2.postMessage(message);
    });
    this.#ends.push(() => {
      port2.close();
      appliance.close();
    });
    return port1;
  };

  cut(): void {
    for (const end of this.#ends.splice(0)) end();
  }

  blackHole(): void {
    this.#connection.mode = 'vanishing';
  }

  hold(): () => void {
    const connection = this.#connection;
    connection.mode = 'held';
    return () => {
      connection.mode = 'passing';
      for (const pass of connection.kept.splice(0)) pass();
    };
  }
}

const subject: TransportSubject = {
  name: 'message port',
  capabilities,
  faults: ['cut', 'blackHole', 'hold'],
  async setup({ bytes }) {
    const appliance = startAppliance(bytes);
    const doors = new Map<Session, FaultyDoor>();
    return {
      async connect(options) {
        const door = new FaultyDoor(appliance.door);
        const transport = messagePort({ region: { door: door.open, bytes } });
        const session = await transport.connect('mport:region', connectOptions(options));
        doors.set(session, door);
        return session;
      },
      cut(session) {
        for (const [owner, door] of doors) if (session === undefined || owner === session) door.cut();
      },
      blackHole: (session) => doors.get(session)!.blackHole(),
      hold: (session) => doors.get(session)!.hold(),
      async teardown() {
        for (const door of doors.values()) door.cut();
        await appliance.close();
      },
    };
  },
};

const test = suite('plug a transport');
const file = 'examples/test/plug-a-transport';
const laws = transportLaws(subject, { command: (found) => `${replayVariables(found)} npm test -- ${file}` });

test('it is excused from no other laws than these', () => {
  assert.equal(
    laws.filter(({ skip }) => skip !== undefined).map(({ id }) => id),
    [
      'synchronous',
      'mapped',
      'revoke',
      'revoke-in-flight',
      'revoke-for-good',
      'binding-outlasts-renew',
      'revoke-needs-proof',
      'revoke-by-proof',
      'declared-delay',
    ],
  );
});
test('the example of its README prints what it says', async () => {
  const { printed, promised } = await runReadmeExample(new URL('../../plug-a-transport/', import.meta.url));
  assert.is(printed, promised);
});
for (const { id, sentence, skip, run } of laws) if (skip === undefined) test(`${id}: ${sentence}`, run);
test.run();
