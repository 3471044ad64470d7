// One of the two: allocates until it has as much as it wants, and says what it got. URL NAME.
import { MiB, open } from 'exomem';

const [url, name] = process.argv.slice(2);
await using memory = await open(url!, { label: name });

const mark = new TextEncoder().encode(name);
const found = new Uint8Array(mark.length);
const own: { from: number; to: number }[] = [];
for (let size = 4096; size <= 2 * MiB; size *= 2) {
  const piece = await memory.allocate(size);
  await piece.write(0, mark);
  own.push({ from: piece.offset, to: piece.offset + piece.length });
}

// What the other one wrote lies elsewhere.
for (const { from } of own) {
  await memory.client.readBytes(from, found);
  if (new TextDecoder().decode(found) !== name) throw new Error(`${name}: somebody else wrote at ${from}`);
}
process.send!(own);
// It holds them until it is told to end.
await new Promise((resolve) => process.once('message', resolve));
process.disconnect();
