import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { assert } from '@exomem/testing';
import { mountSuite, needing, run, World } from './fixtures/world.js';

const test = await mountSuite('programs on a mount');
const MiB = 1024 * 1024;
/** Of a package that nobody changes meanwhile: its sources, its symbolic links to others, and one it depends on. */
const core = fileURLToPath(new URL('../../../core', import.meta.url));
const parts = [join(core, 'src'), join(core, 'node_modules'), dirname(createRequire(import.meta.url).resolve('koffi'))];
let world: World;
let a: string;
let b: string;

test.before(async () => {
  world = new World();
  const { url } = await world.appliance(128 * MiB);
  [a, b] = [(await world.mount(url)).dir, (await world.mount(url)).dir];
});
test.after(async () => world[Symbol.asyncDispose]());

const shell = (script: string, ...parameters: string[]): Promise<string> =>
  run('sh', ['-euc', script, 'sh', ...parameters]);
const count = async (dir: string): Promise<number> => (await shell('find "$1" | wc -l', dir).then(Number)) - 1;

test('trees with symbolic links are copied, and are the same from a second mount', async () => {
  let files = 0;
  for (const [number, tree] of parts.entries()) {
    await run('cp', ['-a', tree, join(a, `tree${number}`)]);
    for (const dir of [a, b]) await run('diff', ['-r', '--no-dereference', tree, join(dir, `tree${number}`)]);
    assert.is(await count(join(b, `tree${number}`)), await count(tree));
    files += await count(tree);
  }
  assert.ok(files > 100, `${files} files`);
});

needing(test, 'git')('git keeps a repository there, whole from a second mount too', async () => {
  await shell(
    `cp -a "$1/src" "$2/repository"; cd "$2/repository"
     git init -q .; git add -A
     git -c user.name=a -c user.email=a@example.org commit -q -m first
     git mv index.ts other.ts; git -c user.name=a -c user.email=a@example.org commit -q -am second
     git gc -q; git fsck --full --strict 2>&1
     test -z "$(git status --porcelain)"
     test "$(git log --oneline | wc -l)" = 2`,
    core,
    a,
  );
  await shell('git -c safe.directory="*" -C "$1/repository" fsck --full --strict', b);
});

for (const mode of ['delete', 'wal']) {
  needing(test, 'sqlite3')(`SQLite keeps a database there, journal mode ${mode}`, async () => {
    const file = join(a, `${mode}.db`);
    const sql = `
pragma journal_mode = ${mode};
create table t (n integer primary key, b blob);
begin; with recursive c(n) as (select 1 union all select n + 1 from c where n < 3000)
insert into t select n, randomblob(400) from c; commit;
delete from t where n % 3 = 0;
begin; delete from t; rollback;
update t set b = zeroblob(500) where n % 5 = 0;
vacuum;
pragma integrity_check;
select count(*), sum(length(b)) from t;
`;
    const said = (await run('sqlite3', [file, sql])).trim().split('\n');
    assert.equal(said, [mode, 'ok', '2000|840000']);
    const there = await run('sqlite3', [join(b, `${mode}.db`), 'pragma integrity_check; select count(*) from t;']);
    assert.is(there, 'ok\n2000\n');
  });
}

test('large files go in and come out whole, through pipes, dd and checksums', async () => {
  const sums = await shell(
    `head -c 40000000 /dev/urandom | tee "$1/random" | sha256sum
     sha256sum < "$1/random"; sha256sum < "$2/random"
     dd if="$2/random" bs=1000003 2>/dev/null | sha256sum
     dd if="$1/random" of="$1/again" bs=64k conv=fsync 2>/dev/null; sha256sum < "$2/again"`,
    a,
    b,
  );
  assert.is(new Set(sums.trim().split('\n')).size, 1, sums);
});
test.run();
