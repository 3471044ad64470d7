import { assert, suite } from '@exomem/testing';
import { type SharedArrayBufferTransport, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { type Finding, type Repair, type RepairOptions, repairRegion } from '../src/audit/index.js';
import {
  Client,
  decodeSlot,
  format,
  type Geometry,
  logSlotOffset,
  pageOffset,
  runSync,
  Steward,
} from '../src/index.js';
import { surroundings } from './surroundings.js';

const test = suite('salvage');
const MiB = 1024 * 1024;

/** A region that everybody has left. */
class Left {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  private constructor(
    readonly transport: SharedArrayBufferTransport,
    readonly geometry: Geometry,
    buffer: SharedArrayBuffer,
  ) {
    this.bytes = new Uint8Array(buffer);
    this.view = new DataView(buffer);
  }

  /** @param live what somebody does there, who takes note of where the log ends by `mark` */
  static async after(live: (client: Client, mark: (name: string) => void) => Promise<void>) {
    const buffer = new SharedArrayBuffer(8 * MiB);
    const transport = sharedArrayBuffer({ r: [buffer] });
    const session = transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
    const { geometry } = runSync(format(session.size, { zeroed: true, lease: 20_000 }), { session, surroundings });
    const left = new Left(transport, geometry, buffer);
    const client = await left.open();
    const marks: Record<string, number> = {};
    await live(client, (name) => void (marks[name] = client.replica.index));
    await client.close();
    return { left, marks };
  }

  open(): Promise<Client> {
    return Client.open({ transport: this.transport, url: 'sab:r', surroundings, role: 'steward' });
  }
  slot(index: number): bigint {
    return this.view.getBigUint64(logSlotOffset(this.geometry, index), true);
  }
  /** Damages the record of an index. */
  spoil(index: number): void {
    const at = decodeSlot(this.slot(index)).address * 64;
    this.view.setUint8(at + 20, this.view.getUint8(at + 20) ^ 0xff);
  }
  repair(options: RepairOptions = {}): Repair {
    const session = this.transport.open('sab:r', { clientId: new Uint8Array(16), lane: 0 });
    return runSync(repairRegion(session.size, { readings: 1, ...options }), { session, surroundings });
  }
}

const damageIn = (findings: readonly Finding[]): string[] =>
  findings.filter(({ severity }) => severity === 'damage').map(({ oracle, what }) => `${oracle}: ${what}`);
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

async function put(client: Client, path: string, text: string): Promise<void> {
  await using file = await client.namespace.open(path, { create: true, truncate: true });
  await file.write(0, bytesOf(text));
}
async function textOf(client: Client, path: string): Promise<string> {
  await using file = await client.namespace.open(path);
  const bytes = new Uint8Array(file.size);
  await file.read(0, bytes);
  return new TextDecoder().decode(bytes);
}
/** Rebuilds it, goes on in it, and gives back what was lost. */
async function rebuilt(left: Left, look: (client: Client) => Promise<void>): Promise<readonly string[]> {
  const sick = left.bytes.slice();
  assert.equal(left.repair().mends, [], 'nothing is lost unless that is accepted');
  const dry = left.repair({ acceptLoss: true, dryRun: true });
  assert.ok(Buffer.from(sick).equals(left.bytes), 'a dry run changes nothing');
  const { after, losses, mends, refused } = left.repair({ acceptLoss: true });
  assert.is(refused, undefined);
  assert.equal(damageIn(after.findings), []);
  assert.ok(mends.length > 0);
  assert.equal(losses, dry.losses);
  const [from, to] = [pageOffset(left.geometry, 0), pageOffset(left.geometry, after.image.tables!.userPages)];
  assert.ok(Buffer.from(sick.subarray(from, to)).equals(left.bytes.subarray(from, to)), 'no byte of data is touched');
  assert.equal(left.repair({ acceptLoss: true }).mends, []);
  const client = await left.open();
  try {
    const steward = new Steward(client);
    for (let round = 0; round < 3; round++) await steward.round();
    await client.tidy();
    await look(client);
    await put(client, '/afterwards', 'and goes on');
    await client.snapshot();
  } finally {
    await client.close();
  }
  assert.equal(damageIn(left.repair().after.findings), []);
  return losses.map(({ what, path }) => `${path ?? ''}: ${what}`);
}

test('what is told by other records than the lost one is all there', async () => {
  const { left, marks } = await Left.after(async (client, mark) => {
    await put(client, '/before', 'before');
    mark('lost');
    await client.namespace.mkdir('/lost');
    await put(client, '/behind', 'behind');
    await put(client, '/lost/in it', 'in it');
    await client.namespace.rename('/before', '/renamed');
  });
  left.spoil(marks['lost']!);
  const losses = await rebuilt(left, async (client) => {
    assert.is(await textOf(client, '/renamed'), 'before');
    assert.is(await textOf(client, '/behind'), 'behind');
    const directory = marks['lost']! * 4096;
    assert.is(await textOf(client, `/lost+found/#${directory}/in it`), 'in it');
  });
  assert.match(losses.join('\n'), /the record of index \d+ is lost/);
  assert.match(losses.join('\n'), /lost\+found\/#\d+: it was made by a record that is lost/);
});

test('a file whose first record is lost has what later ones say, and its name if one of them says it', async () => {
  const { left, marks } = await Left.after(async (client, mark) => {
    mark('lost');
    await using file = await client.namespace.open('/new', { create: true });
    await file.write(0, bytesOf('content'));
    await file.flush();
    await client.namespace.rename('/new', '/named');
  });
  left.spoil(marks['lost']!);
  await rebuilt(left, async (client) => assert.is(await textOf(client, '/named'), 'content'));
});

test('pages that only the lost record named are found again without a name', async () => {
  const { left, marks } = await Left.after(async (client, mark) => {
    await client.namespace.open('/a', { create: true }).then((file) => file.close());
    await using file = await client.namespace.open('/a');
    mark('lost');
    await file.write(0, bytesOf('nobody knows my name'));
    await file.flush();
    await put(client, '/b', 'b');
  });
  left.spoil(marks['lost']!);
  await rebuilt(left, async (client) => {
    assert.is(await textOf(client, '/a'), '');
    const [name] = (await client.namespace.list('/lost+found')).map(({ name }) => name);
    assert.match(await textOf(client, `/lost+found/${name}`), /^nobody knows my name\0+$/);
  });
});

test('a file that a lost record removed shows nothing of who has its pages now', async () => {
  const { left, marks } = await Left.after(async (client, mark) => {
    await put(client, '/removed', 'old');
    await put(client, '/stays', 'stays');
    mark('lost');
    await client.namespace.unlink('/removed');
    await client.refresh();
    for (let wait = 0; wait < 100 && (await client.usage()).withheld > client.state.pages; wait++) {
      await client.refresh();
      await client.tidy();
      await surroundings.sleep(20);
    }
    await put(client, '/another', 'new');
  });
  left.spoil(marks['lost']!);
  const losses = await rebuilt(left, async (client) => {
    assert.is(await textOf(client, '/another'), 'new');
    assert.is(await textOf(client, '/stays'), 'stays');
    assert.not.ok((await client.namespace.list('/')).some(({ name }) => name === 'removed'));
  });
  assert.match(losses.join('\n'), /\/removed, has none of its pages any more/);
});

test('a name that was taken again is the later one’s', async () => {
  const { left, marks } = await Left.after(async (client, mark) => {
    await put(client, '/name', 'first');
    mark('lost');
    await client.namespace.rename('/name', '/elsewhere');
    await put(client, '/name', 'second');
  });
  left.spoil(marks['lost']!);
  await rebuilt(left, async (client) => {
    assert.is(await textOf(client, '/name'), 'second');
    const [name] = (await client.namespace.list('/lost+found')).map(({ name }) => name);
    assert.is(await textOf(client, `/lost+found/${name}`), 'first');
  });
});

test('without its snapshot the namespace has what records behind it tell, and pages without names', async () => {
  const { left } = await Left.after(async (client) => {
    await put(client, '/early', 'early');
    await client.snapshot();
    await put(client, '/late', 'late');
  });
  const root = left.view.getBigUint64(left.geometry.controlOffset, true);
  const at = Number(root & 0xf_ffff_ffffn) * 4096;
  left.view.setUint8(at + 4096, left.view.getUint8(at + 4096) ^ 0xff);
  const losses = await rebuilt(left, async (client) => {
    assert.is(await textOf(client, '/late'), 'late');
  });
  assert.match(losses.join('\n'), /the snapshot of the namespace is lost/);
});

test('members who have read what cannot be read any more go on: nothing is rebuilt beside them', async () => {
  const { left, marks } = await Left.after(async (client, mark) => {
    mark('lost');
    await put(client, '/x', 'x');
  });
  const client = await left.open();
  left.spoil(marks['lost']!);
  const { mends, refused, after } = left.repair({ acceptLoss: true });
  assert.equal([mends, after.damaged], [[], true]);
  assert.match(refused ?? '', /members are there/);
  // They can bring it back, since they know what it said.
  await client.snapshot();
  assert.equal(left.repair().before.damaged, false);
  await client.close();
});

test.run();
