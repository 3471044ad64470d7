// Allocates memory of a region, gives it a name, and reads it back as another client does. First, in another terminal:
//   exomem serve --size 256M
// then: node examples/dist/src/quickstart/quickstart.js [URL]
import { MiB, open } from 'exomem';

const url = process.argv[2] ?? process.env['EXOMEM_URL'] ?? 'tcp://127.0.0.1:7070/default';

await using memory = await open(url, { label: 'quickstart' });
console.log(`joined ${url} as member ${memory.client.member.slot}`);

// Memory of this program alone: nobody was asked for it, and it is gone when the program is.
await using scratch = await memory.allocate(MiB);
await scratch.write(0, new TextEncoder().encode('nobody else sees this'));
console.log(`1 MiB at offset ${scratch.offset} of the region: ${scratch.explain()}`);

// With a name it is a file, in every mount and for every client, and stays.
const model = await memory.allocate(4 * MiB, { name: '/model' });
await model.write(0, new TextEncoder().encode('weights'));

await using other = await open(url, { label: 'another client' });
const file = await other.open('/model');
const bytes = new Uint8Array(7);
await file.read(0, bytes);
await file.close();
console.log(`another client reads /model, ${file.size} bytes: ${new TextDecoder().decode(bytes)} ...`);

const { free, total } = await memory.usage();
console.log(`${free} of ${total} pages of the region are free`);
await model.free();
