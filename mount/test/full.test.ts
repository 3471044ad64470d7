import * as fs from 'node:fs/promises';
import { assert } from '@exomem/testing';
import { mountSuite, needing, python, World } from './fixtures/world.js';

const test = await mountSuite('mount of a full region');
const program = needing(test, 'python3');
const MiB = 1024 * 1024;
let world: World;
let dir: string;

test.before.each(async () => {
  world = new World();
  dir = (await world.mounted(24 * MiB)).dir;
});
test.after.each(async () => world[Symbol.asyncDispose]());

/** Writes until nothing more fits, in large pieces and then in pages; answers how many bytes went in. */
const fill = `
def fill(path):
    f = os.open(path, os.O_CREAT | os.O_WRONLY)
    total = 0
    for piece in (1 << 20, 4096):
        while True:
            try: n = os.write(f, bytes([(total >> 12) & 255]) * piece)
            except OSError as e:
                assert e.errno == errno.ENOSPC, e
                break
            total += n
            if n < piece: os.lseek(f, total, 0)
    os.close(f)
    assert os.stat(path).st_size == total
    return total
`;

program('ENOSPC, then rm works, then the same number of bytes fits', async () => {
  const output = await python(
    `${fill}
first = fill(d + '/a')
try:
    f = os.open(d + '/b', os.O_CREAT | os.O_WRONLY)
    os.write(f, b'x')
    raise AssertionError('there was room')
except OSError as e: assert e.errno == errno.ENOSPC, e
os.close(f)
os.rename(d + '/a', d + '/c')
os.unlink(d + '/b')
os.unlink(d + '/c')
second = fill(d + '/a')
os.truncate(d + '/a', 1 << 20)
with open(d + '/b', 'wb') as f: f.write(bytes(1 << 20))
print(first, second)
`,
    dir,
  );
  const [first, second] = output.trim().split(' ').map(Number);
  assert.is(second, first);
  assert.ok(first! > 20 * MiB, `${first} bytes`);
});

program('a hole that finds no room is told by msync and by fsync, and no earlier byte is lost', async () => {
  await python(
    `${fill}
f = os.open(d + '/map', os.O_CREAT | os.O_RDWR)
os.write(f, b'early' * 1000)
os.ftruncate(f, 8 << 20)
m = mmap.mmap(f, 8 << 20)
fill(d + '/rest')
m[:4] = b'EARL'
m.flush()
m[5 << 20:(5 << 20) + 4] = b'late'
try:
    m.flush()
    raise AssertionError('msync was content')
except OSError as e: assert e.errno in (errno.ENOSPC, errno.EIO), e
m[6 << 20:(6 << 20) + 4] = b'late'
try:
    os.fsync(f)
    raise AssertionError('fsync was content')
except OSError as e: assert e.errno in (errno.ENOSPC, errno.EIO), e
m.close()
try: os.close(f)
except OSError: pass
with open(d + '/map', 'rb') as again: assert again.read(5000) == b'EARLy' + b'early' * 999
os.unlink(d + '/rest')
with open(d + '/map', 'r+b') as again:
    again.seek(5 << 20)
    again.write(b'now')
with open(d + '/map', 'rb') as again:
    b = again.read()
    assert len(b) == 8 << 20 and b[:5] == b'EARLy' and b[5 << 20:(5 << 20) + 3] == b'now'
`,
    dir,
  );
});

program('two files that grow side by side, one fails: the other is whole', async () => {
  await python(
    `
fs = [os.open(d + '/%d' % n, os.O_CREAT | os.O_WRONLY) for n in range(2)]
done = [0, 0]
full = False
while not full:
    for n in range(2):
        try: done[n] += os.write(fs[n], bytes([65 + n]) * 100000)
        except OSError as e:
            assert e.errno == errno.ENOSPC
            full = True
for f in fs: os.close(f)
for n in range(2):
    with open(d + '/%d' % n, 'rb') as f: assert f.read(done[n]) == bytes([65 + n]) * done[n], n
`,
    dir,
  );
  assert.equal((await fs.readdir(dir)).sort(), ['0', '1']);
});
test.run();
