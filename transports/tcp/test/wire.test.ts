import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { Session } from '@exomem/core';
import { compareExchange, load, notRun, read, write } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { tcp } from '@exomem/transport-tcp';
import { feature, headerBytes, limits, op, protocolVersion, stopOnFailFlag } from '../src/wire/format.js';
import { helloBytes, magic, welcomeBytes } from '../src/wire/hello.js';
import { errorOf } from '../src/wire/status.js';
import { RawConnection } from './fixtures/raw-connection.js';
import { failsWith, Served } from './fixtures/served.js';

const test = suite('the protocol of docs/WIRE.md');

interface Said {
  readonly by: 'client' | 'appliance';
  readonly bytes: Buffer;
}

const page = readFileSync(new URL('../../../../docs/WIRE.md', import.meta.url), 'utf8');

/** What is said in the example: bytes are in pairs of digits, from the start of a line up to what is no such pair. */
function conversation(): Said[] {
  return [...page.matchAll(/```hex (client|appliance)\n([^`]*)```/g)].map(([, by, block]) => {
    const lines = block!.split('\n').map((line) => /^(?:[0-9a-f]{2} {0,2})*(?=$| )/.exec(line)![0].replaceAll(' ', ''));
    return { by: by as Said['by'], bytes: Buffer.from(lines.join(''), 'hex') };
  });
}

const said = conversation();

test('an appliance answers the example as the page says', async () => {
  await using served = await Served.start(4096, '127.0.0.1:0', {}, 'scratch');
  await using peer = await RawConnection.open(served.port);
  assert.is(said.length, 12);
  for (const [index, { by, bytes }] of said.entries()) {
    if (by === 'client') peer.send(bytes);
    else {
      const answer = await peer.take(bytes.byteLength);
      if (index === 1) {
        assert.equal(answer.subarray(24, 40), Buffer.from(served.appliance.instance), 'the instance');
        answer.fill(0, 24, 40);
      }
      assert.is(answer.toString('hex'), bytes.toString('hex'), `answer ${index}`);
    }
  }
  assert.is(await peer.ended(), 0, 'bytes after the last answer');
});

test('the example is the same in any chunks', async () => {
  for (const size of [1, 3, 7, 17, 100]) {
    await using served = await Served.start(4096, '127.0.0.1:0', {}, 'scratch');
    await using peer = await RawConnection.open(served.port);
    const all = Buffer.concat(said.filter(({ by }) => by === 'client').map(({ bytes }) => bytes));
    for (let at = 0; at < all.byteLength; at += size) {
      peer.send(all.subarray(at, at + size));
      if (at % 5 === 0) await new Promise(setImmediate);
    }
    const expected = Buffer.concat(said.filter(({ by }) => by === 'appliance').map(({ bytes }) => bytes));
    const answer = await peer.take(expected.byteLength);
    answer.fill(0, 24, 40);
    assert.is(answer.toString('hex'), expected.toString('hex'), `chunks of ${size}`);
  }
});

test('a client says what the example says, and takes what it answers, in any chunks', async () => {
  for (const size of [1, 5, 16, 1000]) {
    const heard: Buffer[] = [];
    const answers = said.filter(({ by }) => by === 'appliance').map(({ bytes }) => bytes);
    const server = createServer((socket) => {
      const questions = said.filter(({ by }) => by === 'client').map(({ bytes }) => bytes);
      let got = 0;
      socket.on('error', () => undefined);
      socket.on('data', async (bytes) => {
        heard.push(bytes);
        got += bytes.byteLength;
        while (questions.length > 0 && got >= questions[0]!.byteLength) {
          got -= questions.shift()!.byteLength;
          const answer = answers.shift()!;
          for (let at = 0; at < answer.byteLength; at += size) {
            socket.write(answer.subarray(at, at + size));
            await new Promise(setImmediate);
          }
        }
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    const clientId = Uint8Array.from({ length: 16 }, (_, index) => index);
    const session: Session = await tcp().connect(`tcp://127.0.0.1:${port}/scratch`, { clientId, lane: 0 });
    assert.is(session.size, 4096);
    const first = [session.compareExchange(64, 0n, 5n), session.fetchAdd(64, 3n), session.load(64)];
    assert.equal(await Promise.all(first), [0n, 5n, 8n]);
    const five = new Uint8Array(5);
    // The session itself refuses what is out of range: the example's answer to it goes to a step that is in range.
    const second = [session.write(129, Buffer.from('abc')), session.read(128, five), session.load(4088)];
    const results = await Promise.allSettled(second);
    assert.equal(Buffer.from(five).toString(), '\0abc\0');
    assert.equal(
      results.map(({ status }) => status),
      ['fulfilled', 'fulfilled', 'rejected'],
    );
    assert.is((results[2] as PromiseRejectedResult).reason.code, 'OutOfRange');
    assert.is(
      (results[2] as PromiseRejectedResult).reason.message,
      "8 bytes at 4096 end beyond the region's 4096 bytes",
    );
    const steps = [write(128, Buffer.from('xyz')), read(128, five), compareExchange(64, 7n, 9n), load(64)];
    assert.equal(await session.batch(steps, { stopOnFail: true }), [undefined, undefined, 8n, notRun]);
    assert.is(Buffer.from(five).toString(), 'xyzc\0');
    // What the client said up to here, but for the load that it would not send out of range.
    const expected = said
      .filter(({ by }) => by === 'client')
      .slice(0, 4)
      .map(({ bytes }) => Buffer.from(bytes));
    expected[2]!.writeBigUInt64LE(4088n, expected[2]!.byteLength - 8);
    assert.is(Buffer.concat(heard).toString('hex'), Buffer.concat(expected).toString('hex'));
    await session.close();
    await failsWith('Closed', () => session.load(0));
    await new Promise((resolve) => server.close(resolve));
  }
});

/** The rows of the tables of a section, cell by cell. */
function rows(section: number): string[][] {
  const [, text] = new RegExp(`^## ${section}\\. [^\n]*\n(.*?)(?=^## |(?![^]))`, 'ms').exec(page)!;
  return [...text!.matchAll(/^\|(.+)\|$/gm)].map(([, row]) => row!.split('|').map((cell) => cell.trim()));
}

test('the tables have the numbers of the code', () => {
  const name = (text: string) => text.toLowerCase().replace(/-(.)/, (_, letter: string) => letter.toUpperCase());
  const operations = rows(2).filter(([first]) => /^[A-Z]+[A-Z-]*$/.test(first!));
  assert.equal(Object.fromEntries(operations.map(([first, number]) => [name(first!), Number(number)])), op);

  const statuses = rows(4).filter(([number, code]) => /^\d+$/.test(number!) && /^[A-Z]/.test(code!));
  for (const [number, code] of statuses) assert.is(errorOf(Number(number), '', '').code, code);
  assert.match(errorOf(statuses.length + 1, '', '').message, /answered with status/, 'there is none beyond');

  // Lengths and limits, where the page names them.
  const opening = rows(1).map((cells) => cells.at(-1)!);
  const says = (pattern: RegExp) =>
    Number(
      opening
        .map((cell) => pattern.exec(cell)?.[1])
        .find(Boolean)
        ?.replaceAll(',', ''),
    );
  assert.is(says(/HELLO: (\d+) \+/), helloBytes);
  assert.is(says(/WELCOME: (\d+) \+/), welcomeBytes);
  assert.is(says(/at most \d+ \+ ([\d,]+)/), limits.text);
  assert.is(says(/name: 1 to (\d+)/), limits.name);
  assert.is(says(/READ or WRITE in bytes.*\(([\d,]+)\)/), limits.transfer);
  assert.is(says(/steps of a BATCH \(([\d,]+)\)/), limits.batch);
  assert.is(says(/BATCH request in bytes.*\(([\d,]+)\)/), limits.batchBytes);
  assert.is(says(/answer to a BATCH in bytes.*\(([\d,]+)\)/), limits.batchAnswer);
  assert.match(page, new RegExp(`^Version ${protocolVersion}, over TCP`, 'm'));
  assert.match(page, new RegExp(`begins with a header of ${headerBytes} bytes`));
  assert.match(page, new RegExp(`^Request: .* Flag ${stopOnFailFlag}: stop`, 'm'));
  assert.match(
    page,
    `magic: \`${Buffer.from(magic)
      .toString('hex')
      .replace(/..(?=.)/g, '$& ')}\``,
  );
  const bits = rows(6).flatMap(([bit]) => (/^\d+$/.test(bit!) ? [1n << BigInt(bit!)] : []));
  assert.equal(bits, Object.values(feature));
});

test.run();
