import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliDecompressSync } from 'node:zlib';
import { formatVersion, run } from '@exomem/core';
import { auditRegion } from '@exomem/core/audit';
import { assert, suite } from '@exomem/testing';
import { open } from 'exomem';
import { metadataFile } from '../src/serving/metadata.js';
import { Service } from '../src/serving/service.js';
import { surroundings } from '../src/surroundings.js';
import { Folder } from './fixtures/command.js';
import { type Account, accountOf } from './golden/account.js';
import { fileUrl, goldenFolder } from './golden/make.js';

const test = suite('images of each version of the format');

/** For whoever sees one of these fail. */
const hint =
  'today’s code reads these bytes otherwise than the code that wrote them. If docs/FORMAT.md changes on purpose, in this commit: npm run golden -- --the-format-has-changed';

async function damage(url: string, atRest: boolean): Promise<string[]> {
  await using memory = await open(url, { role: 'observer' });
  const { session } = memory.client;
  const { findings } = await run(auditRegion(session.size, { atRest }), { session, surroundings });
  return findings.filter(({ severity }) => severity === 'damage').map(({ oracle, what }) => `${oracle}: ${what}`);
}

const versions = readdirSync(goldenFolder).filter((name) => /^v\d+$/.test(name));

test('the present version is among them', () => {
  assert.ok(versions.includes(`v${formatVersion}`), 'npm run golden makes them');
});

/** Unpacks an image, and its metadata beside it where that is apart. */
function unpack(folder: string, name: string, path: string): void {
  writeFileSync(path, brotliDecompressSync(readFileSync(join(folder, `${name}.br`))));
  const metadata = join(folder, `${metadataFile(name)}.br`);
  if (existsSync(metadata)) writeFileSync(metadataFile(path), brotliDecompressSync(readFileSync(metadata)));
}

test('in one piece, and with the metadata apart', () => {
  const files = readdirSync(join(goldenFolder, `v${formatVersion}`));
  for (const name of ['in-use', 'apart-in-use', 'apart-in-use.metadata']) assert.ok(files.includes(`${name}.br`), name);
});

for (const version of versions) {
  const kept = join(goldenFolder, version);
  const images = readdirSync(kept).filter((name) => name.endsWith('.json'));
  for (const file of images) {
    const name = file.slice(0, -'.json'.length);
    const account = JSON.parse(readFileSync(join(kept, file), 'utf8')) as Account;

    test(`${version}/${name}: what was in it is read from it, and it is clean`, async () => {
      using folder = new Folder();
      unpack(kept, name, folder.at('image'));
      const url = fileUrl(folder.at('image'));
      assert.ok(Object.keys(account.names).length > 5);
      assert.equal(await accountOf(url), account, hint);
      assert.equal(await damage(url, false), [], hint);
    });

    test(`${version}/${name}: served again it is recovered, and nothing that stays is lost`, async () => {
      using folder = new Folder();
      const image = folder.at('image');
      unpack(kept, name, image);
      const how = existsSync(metadataFile(image)) ? { file: image } : { load: image };
      await using service = await Service.start({ ...how, listen: '127.0.0.1:0' });
      const { url } = service;
      const nobodyElse = async (): Promise<boolean> => {
        await using memory = await open(url, { role: 'observer' });
        const { members, principals } = await memory.members();
        const there = members.filter(({ state }) => state !== 0).length;
        return there === 1 && principals.filter(({ state, policy }) => state !== 0 && policy === 0).length === 1;
      };
      // Who was there is declared dead after its lease, and recovered.
      while (!(await nobodyElse())) await surroundings.sleep(50);
      while ((await damage(url, true)).length > 0) await surroundings.sleep(50);
      const now = await accountOf(url);
      const stays = Object.entries(account.names).filter(([, { endsWith }]) => endsWith === undefined);
      const timeless = (names: readonly (readonly [string, Account['names'][string]])[]) =>
        // Of the root something was removed: a file that ended with its owner.
        names.map(([path, { times, ...about }]) => [path, path === '/' ? about : { ...about, times }]);
      assert.equal(timeless(Object.entries(now.names)), timeless(stays));
      assert.equal(
        now.applications,
        account.applications.filter(({ policy }) => policy !== 254),
      );
    });
  }
}

test.run();
