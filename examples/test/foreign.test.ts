// deadline: 300s
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open as openFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, suite } from '@exomem/testing';
import { type Memory, MiB, open } from 'exomem';
import { Churn, fsck, Lent, obstacle, python, Served, scan, type Verdict } from './fixtures/foreign-client.js';
import { OwnChurn } from './fixtures/own-churn.js';

const test = suite('a client in another language');
const missing = obstacle();
const cases: readonly (readonly [string, () => Promise<void>])[] = [
  ['each reads what the other writes, whoever removes, extends or cuts it', eachReadsTheOther],
  ['its memory is zero, its own, and free when it leaves', itsMemory],
  ['a file that ends with its owner, lent by either', endsWithItsOwner],
  ['alone it cuts the snapshots itself, and ours begin with them', cutsSnapshots],
  ['beside ours and killed half way again and again: no acknowledged byte is lost, no page leaks', mixedAndKilled],
  ['the scan that was written from the document finds what is wrong', scanFindsDamage],
];

let folder = '';
let served: Served;
/** Members that are there when no client is: who serves the region is one. */
let residents = 0;
if (missing === undefined) {
  test.before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'exomem-foreign-'));
    served = await Served.start('--size', '32M', '--lease', '3s', '--file', join(folder, 'region'));
    while (residents === 0) residents = (await scan(served.url)).counts.members!;
  });
  test.after(async () => {
    await served.stop();
    await rm(folder, { recursive: true });
  });
  for (const [name, body] of cases) test(name, body);
} else {
  for (const [name] of cases) test.skip(name, missing);
}

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

async function eachReadsTheOther(): Promise<void> {
  const { url } = served;
  const lengths = [0, 1, 4095, 4096, 4097, 70_000, 1_500_000];
  await using memory = await open(url);
  await python(url, ['mkdir', '/theirs']);
  await memory.files.mkdir('/ours');
  for (const length of lengths) {
    const bytes = randomBytes(length);
    await python(url, ['put', '-', `/theirs/${length}`], bytes);
    assert.is(sha256(await memory.readFile(`/theirs/${length}`)), sha256(bytes), `${length} bytes of theirs`);
    await memory.writeFile(`/ours/${length}`, bytes);
    assert.is(sha256(await python(url, ['get', `/ours/${length}`])), sha256(bytes), `${length} bytes of ours`);
  }

  // A file that both extend, in and beyond its last page, and that is cut in a page and grows again.
  let expected = randomBytes(5000);
  await memory.writeFile('/ours/both', expected);
  for (const length of [10, 4000, 9000, 3]) {
    const more = randomBytes(length);
    await python(url, ['append', '-', '/ours/both'], more);
    const evenMore = randomBytes(length);
    await using file = await memory.open('/ours/both');
    await file.write(expected.length + length, evenMore);
    await file.flush();
    expected = Buffer.concat([expected, more, evenMore]);
    assert.is(sha256(await python(url, ['get', '/ours/both'])), sha256(expected));
  }
  {
    await using file = await memory.open('/ours/both');
    await file.truncate(6001);
    await file.truncate(8000);
  }
  expected = Buffer.concat([expected.subarray(0, 6001), Buffer.alloc(1999)]);
  assert.is(sha256(await python(url, ['get', '/ours/both'])), sha256(expected), 'what was cut off reads as zero');
  const tail = randomBytes(5000);
  await python(url, ['append', '-', '/ours/both'], tail);
  expected = Buffer.concat([expected, tail]);
  assert.is(sha256(await memory.readFile('/ours/both')), sha256(expected));

  // A file with holes.
  {
    await using file = await memory.open('/ours/holes', { create: true });
    await file.write(20_000, Buffer.from('far out'));
  }
  const holes = Buffer.concat([Buffer.alloc(20_000), Buffer.from('far out')]);
  assert.is(sha256(await python(url, ['get', '/ours/holes'])), sha256(holes));

  // Names: theirs of ours, ours of theirs; a file that is open here while it goes there.
  await using held = await memory.open('/ours/70000');
  const before = await memory.readFile('/ours/70000');
  await python(url, ['mv', '/ours/4096', '/ours/70000']);
  assert.is((await memory.readFile('/ours/70000')).length, 4096);
  const bytes = new Uint8Array(70_000);
  assert.is(await held.read(0, bytes), 70_000);
  assert.is(sha256(bytes), sha256(before), 'open here, replaced there');
  await memory.files.rename('/theirs/4097', '/ours/moved');
  await memory.files.link('/ours/moved', '/ours/link');
  await python(url, ['rm', '/ours/moved']);
  assert.is((await python(url, ['get', '/ours/link'])).length, 4097);
  await memory.files.symlink('/ours/link', '/ours/symlink');
  assert.is(await sumsOf(memory), (await python(url, ['sums'])).toString());
  assert.match((await python(url, ['ls', '/ours'])).toString(), /^ +4097 {2}link$/m);
}

async function itsMemory(): Promise<void> {
  // The client itself says if its memory is not zero or does not stay its own.
  for (const pages of [1, 16, 17, 100]) await python(served.url, ['hold', `${pages * 4096}`]);
  await settled(served.url, 0);
}

async function endsWithItsOwner(): Promise<void> {
  const { url } = served;
  const source = join(folder, 'source');
  const bytes = randomBytes(20_000);
  await writeFile(source, bytes);
  await using memory = await open(url);
  const is = async (path: string) =>
    (await memory.files.list('/')).some(({ name }) => `/${name}` === path)
      ? sha256(await memory.readFile(path))
      : undefined;
  {
    const lent = await Lent.start(url, source, '/lent');
    assert.is(await is('/lent'), sha256(bytes));
    assert.is(await lent.finish(), 0);
    assert.is(await is('/lent'), undefined, 'it left');
  }
  {
    const lent = await Lent.start(url, source, '/lent');
    await memory.files.link('/lent', '/another name');
    assert.is(await is('/another name'), sha256(bytes));
    await lent.kill();
    // At rest it is recovered, and both names are gone.
    await settled(url, 1);
    assert.is(await is('/lent'), undefined, 'it died');
    assert.is(await is('/another name'), undefined, 'it died');
  }
  {
    await using ours = await open(url);
    const allocation = await ours.allocate(20_000, { name: '/lent', lifetime: 'owner' });
    await allocation.write(0, bytes);
    assert.is(sha256(await python(url, ['get', '/lent'])), sha256(bytes));
  }
  assert.is((await python(url, ['ls'])).includes('lent'), false, 'ours left');
}

async function cutsSnapshots(): Promise<void> {
  const { url } = served;
  await python(url, ['mkdir', '/alone']);
  const churn = new Churn(url, '/alone', 1);
  await churn.acknowledged(600);
  assert.is(await churn.finish(), 0, churn.complaints);
  assert.ok(churn.cuts > 0, 'the log has 512 slots');
  await using memory = await open(url);
  for (const [path, [digest]] of churn.own()) {
    if (digest !== undefined) assert.is(sha256(await memory.readFile(path)), digest, path);
  }
  assert.is(await sumsOf(memory), (await python(url, ['sums'])).toString());
  await settled(url, 1);
}

async function mixedAndKilled(): Promise<void> {
  const { url } = served;
  await using memory = await open(url);
  await removeAll(memory);
  const before = await settled(url, 1);
  await memory.files.mkdir('/mixed');

  const ours = [1, 2].map((seed) => new OwnChurn(url, '/mixed', seed));
  let seed = 10;
  const theirs = [new Churn(url, '/mixed', seed++), new Churn(url, '/mixed', seed++)];
  const all = [...theirs];
  for (let kill = 0; kill < 5; kill++) {
    // After 5 to 150 acknowledged operations, wherever it is just then.
    const victim = theirs[kill % 2]!;
    await victim.acknowledged(5 + ((kill * 83) % 150));
    await victim.kill();
    theirs[kill % 2] = new Churn(url, '/mixed', seed++);
    all.push(theirs[kill % 2]!);
  }
  for (const churn of theirs) await churn.acknowledged(40);
  for (const churn of theirs) {
    const code = await churn.finish();
    assert.ok(code === 0 || (await churn.fenced()), `it ended with ${code}: ${churn.complaints}`);
  }
  for (const churn of ours) await churn.finish();

  const after = await settled(url, 1);
  assert.is(after.counts.held, 0);
  // What was acknowledged is there, and whole; what is in the names that all fought for is whole.
  const files = new Map<string, Uint8Array>();
  for (const path of await pathsOf(memory)) files.set(path, await memory.readFile(path));
  const names = [...all, ...ours].flatMap((churn) => [...churn.own()]);
  assert.ok(names.length > 20, `${names.length} names`);
  for (const [path, allowed] of names) {
    const found = files.get(path);
    const digest = found === undefined ? undefined : sha256(found);
    assert.ok(allowed.includes(digest), `${path} is ${digest ?? 'not there'}, not ${allowed.join(' or ')}`);
  }
  for (const [path, bytes] of files) {
    assert.is(Buffer.from(bytes.subarray(0, 32)).toString('hex'), sha256(bytes.subarray(32)), `${path} is whole`);
  }
  assert.is(await sumsOf(memory), (await python(url, ['sums'])).toString(), 'both languages read the same');

  await removeAll(memory);
  const empty = await settled(url, 1);
  assert.is(empty.counts.files, 0);
  assert.is(empty.counts.free, before.counts.free, 'every page came back');
}

async function scanFindsDamage(): Promise<void> {
  const region = join(folder, 'region');
  {
    await using memory = await open(served.url);
    await memory.writeFile('/a', randomBytes(20_000));
    await memory.writeFile('/b', randomBytes(20_000));
  }
  await settled(served.url, 0);
  assert.is(await served.stop(), 0);
  assert.equal((await scan(region)).findings, []);
  assert.equal((await fsck(region)).findings, []);

  const file = await openFile(region, 'r+');
  try {
    const block = Buffer.alloc(4096);
    await file.read(block, 0, 4096, 0);
    const groupOffset = Number(block.readBigUInt64LE(160));
    const words = new BigUint64Array(Number(block.readBigUInt64LE(88)));
    await file.read(new Uint8Array(words.buffer), 0, words.byteLength, groupOffset);
    const withheld = words.findIndex((word) => word >> 48n !== 0n && (word & 0xc000_0000n) === 0xc000_0000n);
    const damages: readonly (readonly [string, bigint])[] = [
      ['a page of a file that shows 01', words[withheld]! ^ 0x8000_0000n],
      ['a group of a file that is free', 0n],
      ['an owner that was never there', words[withheld]! | (0xffffn << 32n)],
    ];
    for (const [what, word] of damages) {
      await file.write(new Uint8Array(BigUint64Array.of(word).buffer), 0, 8, groupOffset + 8 * withheld);
      const verdict = await scan(region);
      assert.is(verdict.code, 7, what);
      assert.is((await fsck(region)).code, 7, `${what}, says fsck`);
    }
    await file.write(new Uint8Array(words.buffer), 0, words.byteLength, groupOffset);
    assert.is((await scan(region)).code, 0, 'as it was');
    // A file whose pages are another's: the first data word of its record, found by its bytes.
    await file.write(Buffer.of(1), 0, 1, 216);
    assert.is((await scan(region)).code, 7, 'a superblock whose checksum does not fit');
  } finally {
    await file.close();
  }
  assert.ok((await stat(region)).size >= 32 * MiB - 4096);
}

/** Waits until that many clients are left and nothing is under way, and both oracles find the region as it must be. */
async function settled(url: string, clients: number): Promise<Verdict> {
  let theirs = await scan(url, '--at-rest');
  // One that was killed is a member until the others have noticed, and is gone once it is recovered.
  while (theirs.code !== 0 || theirs.counts.members !== residents + clients) {
    // Only what somebody has yet to finish may be wrong.
    assert.equal((await scan(url)).findings, []);
    theirs = await scan(url, '--at-rest');
  }
  const ours = await fsck(url, '--at-rest');
  assert.equal(ours.findings, []);
  assert.is(theirs.counts.free, ours.counts.free! + ours.counts.room!, 'free pages, by both');
  assert.is(theirs.counts.held, ours.counts.held, 'held pages, by both');
  assert.is(theirs.counts.files, ours.counts.named, 'named pages, by both');
  return theirs;
}

/** All files, in the order in which the Python client lists them. */
async function pathsOf(memory: Memory, directory = ''): Promise<string[]> {
  const paths: string[] = [];
  for (const { name, stat } of await memory.files.list(directory || '/')) {
    const path = `${directory}/${name}`;
    if (stat.kind === 'directory') paths.push(...(await pathsOf(memory, path)));
    else if (stat.kind === 'file') paths.push(path);
  }
  return paths;
}

async function sumsOf(memory: Memory): Promise<string> {
  const lines: string[] = [];
  for (const path of await pathsOf(memory)) lines.push(`${sha256(await memory.readFile(path))}  ${path}\n`);
  return lines.join('');
}

async function removeAll(memory: Memory, directory = ''): Promise<void> {
  for (const { name, stat } of await memory.files.list(directory || '/')) {
    const path = `${directory}/${name}`;
    if (stat.kind === 'directory') {
      await removeAll(memory, path);
      await memory.files.rmdir(path);
    } else {
      await memory.files.unlink(path);
    }
  }
}

test.run();
