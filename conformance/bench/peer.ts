/** The other process of the network benchmarks: an appliance with one clean region, and a bare socket to compare it with. */
import { createServer } from 'node:net';
import { format, RegionMemory, runSync } from '@exomem/core';
import { sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import { Appliance, formatUrl } from '@exomem/transport-tcp';
import { surroundings } from './surroundings.js';

const size = 512 * 1024 * 1024;
const segments = [new SharedArrayBuffer(size)];
const session = await sharedArrayBuffer({ r: segments }).connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
runSync(format(size, { zeroed: true }), { session, surroundings });
const appliance = new Appliance();
appliance.expose('bench', new RegionMemory(segments));
const address = await appliance.listen('127.0.0.1:0');

const payload = Buffer.alloc(1024 * 1024);
/** First byte of a request: 0 echo the 64 bytes; 1 send 1 MiB; 2 take so many bytes, then answer 1. */
const bare = createServer((socket) => {
  socket.setNoDelay();
  let swallow = 0;
  socket.on('data', (chunk: Buffer) => {
    let rest = chunk;
    while (rest.length > 0) {
      if (swallow > 0) {
        const count = Math.min(swallow, rest.length);
        swallow -= count;
        rest = rest.subarray(count);
        if (swallow === 0) socket.write(Buffer.from([1]));
        continue;
      }
      if (rest[0] === 0) {
        socket.write(rest.subarray(0, 64));
        rest = rest.subarray(64);
      } else {
        const length = rest.readUInt32LE(1);
        if (rest[0] === 1) socket.write(payload.subarray(0, length));
        else swallow = length;
        rest = rest.subarray(8);
      }
    }
  });
});
bare.listen(0, '127.0.0.1', () => {
  const port = (bare.address() as { port: number }).port;
  process.send?.({ url: formatUrl(address, 'bench'), port });
});
process.on('disconnect', () => process.exit(0));
