import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createInterface } from 'node:readline';
import { LawBroken } from '../transport-laws/expect.js';
import { soon } from '../transport-laws/patience.js';

/** Node cannot map a file, Python can: a process that maps files as it is told, a line at a time. */
const program = `
import errno, json, mmap, os, sys
maps = {}
for line in sys.stdin:
    name, key, *rest = json.loads(line)
    value = None
    try:
        if name == 'map':
            f = os.open(rest[0], os.O_RDWR)
            try: maps[key] = mmap.mmap(f, 0)
            finally: os.close(f)
        elif name == 'read': value = maps[key][rest[0]:rest[0] + rest[1]].hex()
        elif name == 'write': maps[key][rest[0]:rest[0] + len(rest[1]) // 2] = bytes.fromhex(rest[1])
        elif name == 'sync': maps[key].flush()
        elif name == 'unmap': maps.pop(key).close()
        answer = {'value': value}
    except OSError as e:
        answer = {'error': errno.errorcode.get(e.errno, str(e))}
    print(json.dumps(answer), flush=True)
`;

let lacking: string | false | undefined;
/** Why no file can be mapped here; undefined if that is possible. */
export function mapperObstacle(): string | undefined {
  lacking ??=
    spawnSync('python3', ['-c', 'import mmap'], { stdio: 'ignore' }).status !== 0 &&
    'there is no python3, which maps files here';
  return lacking === false ? undefined : lacking;
}

type MapCall =
  | readonly ['map', key: number, path: string]
  | readonly ['read', key: number, at: number, length: number]
  | readonly ['write', key: number, at: number, hex: string]
  | readonly ['sync' | 'unmap', key: number];

/** A process that has files mapped. */
export class Mapper {
  readonly #process: ChildProcess;
  readonly #patience: number;
  #waiting: ((answer: { value?: string; error?: string }) => void) | undefined;
  #ended = false;
  #complaint = '';

  constructor(patience: number) {
    this.#patience = patience;
    this.#process = spawn('python3', ['-u', '-c', program], { stdio: ['pipe', 'pipe', 'pipe'] });
    this.#process.stdin!.on('error', () => undefined);
    this.#process.stderr!.on('data', (bytes) => {
      this.#complaint += bytes;
    });
    createInterface({ input: this.#process.stdout! }).on('line', (line) => this.#waiting?.(JSON.parse(line)));
    this.#process.once('close', (status, signal) => {
      this.#ended = true;
      this.#waiting?.({ error: `its end by ${signal ?? status} ${this.#complaint}` });
    });
    // Before the first call, too, there is somebody to hear of a program that cannot be started.
    this.#process.once('error', (error) => {
      this.#ended = true;
      this.#complaint = error.message;
    });
  }

  async #call(...call: MapCall): Promise<string | undefined> {
    if (this.#ended) throw new LawBroken(`the process that maps files has ended: ${this.#complaint}`);
    const answer = new Promise<{ value?: string; error?: string }>((resolve) => {
      this.#waiting = resolve;
    });
    this.#process.stdin!.write(`${JSON.stringify(call)}\n`);
    const { value, error } = await soon(answer, this.#patience, `${call[0]} of a mapping`);
    if (error !== undefined) throw new LawBroken(`${call[0]} of a mapping fails with ${error}`);
    return value;
  }

  /** Maps the whole of a file that is not empty. */
  map = (key: number, path: string): Promise<unknown> => this.#call('map', key, path);
  read = async (key: number, at: number, length: number): Promise<Uint8Array> =>
    Buffer.from((await this.#call('read', key, at, length))!, 'hex');
  write = (key: number, at: number, bytes: Uint8Array): Promise<unknown> =>
    this.#call('write', key, at, Buffer.from(bytes).toString('hex'));
  sync = (key: number): Promise<unknown> => this.#call('sync', key);
  unmap = (key: number): Promise<unknown> => this.#call('unmap', key);

  async kill(): Promise<void> {
    if (this.#ended) return;
    const gone = new Promise<void>((resolve) => this.#process.once('close', () => resolve()));
    this.#process.kill('SIGKILL');
    await soon(gone, 5_000, 'the end of the process that maps files').catch(() => this.#process.unref());
  }
}
