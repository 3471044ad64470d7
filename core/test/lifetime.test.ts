import { faulty } from '@exomem/conformance';
import { assert, code, suite } from '@exomem/testing';
import { createRegion, sharedArrayBuffer } from '@exomem/transport-shared-array-buffer';
import fc from 'fast-check';
import { judge, readImage } from '../src/audit/index.js';
import { fenceAll } from '../src/client/checkpoint-layout.js';
import {
  Client,
  decodeState,
  type ErrorCode,
  encodeState,
  type FileOwner,
  format,
  isExomemError,
  keepForever,
  type LogRecord,
  memberState,
  NamespaceState,
  type Operation,
  principalState,
  runSync,
  Steward,
} from '../src/index.js';
import { ByteReader, ByteWriter } from '../src/namespace/bytes.js';
import { decodeOperation, encodeOperation } from '../src/namespace/operation.js';
import { surroundings } from './surroundings.js';

const test = suite('files that end with their owner');
const pageSize = 4096;
const attributes = { mode: 0o644, uid: 0, gid: 0, time: 5n, target: '', size: 0, extents: [] };

function creates(name: string, owner?: FileOwner, extents = attributes.extents as { at: 0; page: number; pages: 1 }[]) {
  return { op: 'create', parent: 1, name, kind: 'file', ...attributes, extents, owner } as const;
}

// ---- the state machine

const names = ['a', 'b', 'c', 'd', 'e'];
const nameOf = fc.constantFrom(...names);
const principalOf = fc.integer({ min: 1, max: 3 });
/** What somebody does, in words that need no inode numbers. */
const actions = fc.oneof(
  fc.record({ do: fc.constant('create' as const), name: nameOf, owner: fc.option(principalOf) }),
  fc.record({ do: fc.constant('link' as const), name: nameOf, to: nameOf }),
  fc.record({ do: fc.constant('rename' as const), name: nameOf, to: nameOf }),
  fc.record({ do: fc.constant('unlink' as const), name: nameOf }),
  fc.record({ do: fc.constant('die' as const), principal: principalOf }),
  fc.record({ do: fc.constant('adopt' as const), principal: principalOf }),
  fc.record({ do: fc.constant('disown' as const), principal: principalOf }),
  fc.record({ do: fc.constant('snapshot' as const) }),
);

/** The same in one map: which file a name leads to, and with whom that ends. */
class Model {
  readonly names = new Map<string, number>();
  readonly owners = new Map<number, FileOwner>();
  readonly incarnations = [1, 1, 1, 1];
  end(principal: number, next?: number): void {
    for (const [file, owner] of this.owners) {
      if (owner.principal !== principal) continue;
      if (next !== undefined) this.owners.set(file, { principal, incarnation: next });
      else for (const [name, one] of this.names) if (one === file) this.names.delete(name);
    }
  }
}

test('whoever ends, and however: the names that end with it are gone, all others stay, in a snapshot as in the log', () => {
  fc.assert(
    fc.property(fc.array(actions, { maxLength: 60 }), (list) => {
      const model = new Model();
      let state = new NamespaceState(pageSize);
      const held = new Set<number>();
      const listen = (): void => {
        state.listener = {
          released: (page, pages) => {
            for (let at = page; at < page + pages; at++) assert.ok(held.delete(at), 'a page that goes was there');
          },
          kept: () => undefined,
          removed: () => undefined,
        };
      };
      listen();
      let sequence = 0;
      const append = (operation: Operation): void => {
        const record: LogRecord = {
          index: state.index,
          lap: 0,
          author: 9,
          incarnation: 1,
          sequence: ++sequence,
          operations: [operation],
        };
        state.apply(record);
      };
      for (const action of list) {
        const inode = 'name' in action ? model.names.get(action.name) : undefined;
        switch (action.do) {
          case 'create': {
            const number = state.index * 4096;
            const owner =
              action.owner === null
                ? undefined
                : { principal: action.owner, incarnation: model.incarnations[action.owner]! };
            if (inode === undefined) {
              model.names.set(action.name, number);
              if (owner !== undefined) model.owners.set(number, owner);
              held.add(state.index);
            }
            append(creates(action.name, owner, [{ at: 0, page: state.index, pages: 1 }]));
            break;
          }
          case 'link':
            append({ op: 'link', parent: 1, name: action.to, inode: inode ?? 0, time: 6n });
            if (inode !== undefined && !model.names.has(action.to)) model.names.set(action.to, inode);
            break;
          case 'rename': {
            const replaced = model.names.get(action.to) ?? 0;
            append({
              op: 'rename',
              parent: 1,
              name: action.name,
              inode: inode ?? 0,
              newParent: 1,
              newName: action.to,
              replaced,
              time: 7n,
            });
            if (inode === undefined || inode === replaced) break;
            model.names.set(action.to, inode);
            model.names.delete(action.name);
            break;
          }
          case 'unlink':
            append({ op: 'unlink', parent: 1, name: action.name, inode: inode ?? 0, directory: false, time: 8n });
            model.names.delete(action.name);
            break;
          case 'die':
          case 'adopt': {
            const { principal } = action;
            const incarnation = model.incarnations[principal]!++;
            const adopt = action.do === 'adopt';
            append({ op: 'fence', principal, incarnation, adopt });
            model.end(principal, adopt ? incarnation + 1 : undefined);
            break;
          }
          case 'disown':
            append({ op: 'disown', principal: action.principal, incarnation: model.incarnations[action.principal]! });
            model.end(action.principal);
            break;
          case 'snapshot': {
            const bytes = encodeState(state).slice();
            assert.ok(bytes.length <= state.weight + 3 * 20, 'the weight is no less than what a snapshot takes');
            const again = decodeState(bytes, pageSize, state.index);
            assert.is(again.weight, state.weight);
            state = again;
            listen();
          }
        }
        assert.equal(state.directory(1).entries, model.names);
        const files = new Set(model.names.values());
        assert.is(state.inodes.size, files.size + 1);
        assert.is(state.pages, files.size);
        assert.is(held.size, files.size);
        for (const file of files) {
          assert.equal(state.inode(file).owner, model.owners.get(file));
          assert.is(state.inode(file).links, [...model.names.values()].filter((one) => one === file).length);
        }
        const owned = [...files].filter((file) => model.owners.has(file)).length;
        assert.is(
          [...state.owned.values()].reduce((sum, { size }) => sum + size, 0),
          owned,
        );
      }
    }),
    { numRuns: 500 },
  );
});

test('a name that vanishes changes its directory, in whatever directory it is', () => {
  const state = new NamespaceState(pageSize);
  let sequence = 0;
  const append = (...operations: Operation[]): number => {
    state.apply({ index: state.index, lap: 0, author: 9, incarnation: 1, sequence: ++sequence, operations });
    return (state.index - 1) * 4096;
  };
  const owner = { principal: 2, incarnation: 1 };
  const directory = append({ ...creates('d'), kind: 'directory' });
  const file = append(creates('f', owner));
  append({ op: 'link', parent: directory, name: 'g', inode: file, time: 9n });
  append({ op: 'keep', inode: file, principal: 3, incarnation: 1, extents: [] });
  assert.is(state.kept.size, 0, 'nobody keeps what has a name');
  append({ op: 'fence', principal: 2, incarnation: 1, adopt: false });
  assert.equal([...state.inodes.keys()], [1, directory]);
  assert.is(state.directory(directory).entries.size, 0);
  assert.is(state.inode(directory).mtime, 10n);
  assert.is(state.inode(1).mtime, 6n);
  append({ op: 'keep', inode: file, principal: 3, incarnation: 1, extents: [] });
  assert.is(state.kept.size, 1, 'who has it open keeps it');
});

test('only a file ends with its owner, and only with one that has not ended', () => {
  const state = new NamespaceState(pageSize);
  const owner = { principal: 2, incarnation: 1 };
  const refused = (operation: Operation): ErrorCode | undefined => {
    const index = state.index;
    try {
      state.check(operation);
    } catch (error) {
      if (!isExomemError(error)) throw error;
      state.apply({ index, lap: 0, author: 9, incarnation: 1, sequence: index, operations: [operation] });
      assert.is(state.inodes.size, 1, 'it changes nothing');
      return error.code;
    }
    return undefined;
  };
  assert.is(refused({ ...creates('d', owner), kind: 'directory' }), 'InvalidArgument');
  assert.is(refused({ ...creates('s', owner), kind: 'symlink', target: 'x' }), 'InvalidArgument');
  assert.is(refused(creates('f', owner)), undefined);
  state.apply({
    index: state.index,
    lap: 0,
    author: 9,
    incarnation: 1,
    sequence: 99,
    operations: [{ op: 'fence', principal: 2, incarnation: 1, adopt: true }],
  });
  assert.is(refused(creates('f', owner)), 'NotFound');
  assert.is(refused(creates('f', { principal: 2, incarnation: 2 })), undefined);
});

test('the bytes of its records are those of docs/FORMAT.md', () => {
  const bytesOf = (operation: Operation): number[] => {
    const writer = new ByteWriter();
    encodeOperation(writer, operation);
    assert.equal(decodeOperation(new ByteReader(writer.bytes)), operation);
    return [...writer.bytes];
  };
  const create = { ...creates('f'), time: 1n };
  const fields = [1, 1, 1, 102, 0, 0xa4, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
  assert.equal(bytesOf(create), [...fields, 0]);
  assert.equal(bytesOf({ ...create, owner: { principal: 300, incarnation: 2 } }), [...fields, 0xac, 2, 2]);
  assert.equal(bytesOf({ op: 'disown', principal: 258, incarnation: 3 }), [11, 2, 1, 3, 0]);
  const damaged = (owner: readonly number[]): string => {
    try {
      decodeOperation(new ByteReader(Uint8Array.from([...fields, ...owner])));
    } catch (error) {
      return isExomemError(error) ? error.code : String(error);
    }
    return '';
  };
  assert.is(damaged([0x80, 0x80, 4, 1]), 'Damaged');
  assert.is(damaged([1, 0x80, 0x80, 4]), 'Damaged');
  assert.is(damaged([1]), 'Damaged');
});

// ---- clients

/** @param wait milliseconds after which who stands still is declared dead; a test in which nobody dies needs none. */
async function region(wait = 60_000) {
  const inner = sharedArrayBuffer({ r: createRegion(8 * 1024 * 1024) });
  const session = await inner.connect('sab:r', { clientId: new Uint8Array(16), lane: 0 });
  const bench = { session, surroundings };
  runSync(format(session.size, { zeroed: true, lease: wait * 0.8, wait }), bench);
  const transport = faulty(inner, {}, { revoke: true });
  const open = (role: 'member' | 'steward' = 'member') => Client.open({ transport, url: 'sab:r', surroundings, role });
  const keeper = await open('steward');
  const steward = new Steward(keeper, { interval: 20 });
  steward.start();
  const damage = () => judge(runSync(readImage(session.size), bench)).filter(({ severity }) => severity === 'damage');
  const end = async () => {
    assert.equal(damage(), []);
    await steward.stop();
    await keeper.close();
  };
  return { transport, open, keeper, end, damage };
}

async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  for (let wait = 0; wait < 1500; wait++) {
    if (await condition()) return;
    await surroundings.sleep(20);
  }
  assert.unreachable('it did not come about within 30 s');
}

const owned = { lifetime: 'owner' } as const;
const listed = async ({ namespace }: Client) => (await namespace.list('/')).map(({ name }) => name);
/** Nothing is withheld but what files have. */
const settled = (keeper: Client) => until(async () => (await keeper.usage()).withheld === keeper.state.pages);

test('end when it closes: all their names, and nothing else', async () => {
  const { open, keeper, end } = await region();
  const a = await open();
  const memory = await a.allocate(30_000, { name: '/a', ...owned });
  await memory.write(0, new Uint8Array(30_000).fill(3));
  await memory.file!.close();
  await (await a.namespace.open('/b', { create: true, ...owned })).close();
  await (await a.allocate(9000, { name: '/stays' })).file!.close();
  await (await a.allocate(9000, { name: '/replaced' })).file!.close();
  await a.namespace.link('/a', '/linked');
  await a.namespace.rename('/b', '/replaced');
  const { principal, incarnation } = a.identity;
  assert.equal((await keeper.namespace.statPath('/replaced')).owner, { principal, incarnation });
  assert.equal((await keeper.namespace.statPath('/linked')).owner, { principal, incarnation });
  assert.is((await keeper.namespace.statPath('/stays')).owner, undefined);
  const b = await open();
  const file = await b.namespace.open('/linked');
  // Whoever opens it for more than reading does not own it for that.
  await file.write(30_000, new Uint8Array(5000).fill(4));
  await file.flush();
  await a.close();
  assert.is(await code(a.allocate(1, { name: '/late', ...owned })), 'Closed');
  assert.equal(await listed(keeper), ['stays']);
  await b.refresh();
  const bytes = new Uint8Array(35_000);
  assert.is(await file.read(0, bytes), 35_000);
  assert.equal(bytes, new Uint8Array(35_000).fill(3, 0, 30_000).fill(4, 30_000));
  await until(() => keeper.refresh().then(() => keeper.state.kept.size === 1));
  assert.is(keeper.state.pages, 3 + 9, 'those that it has open');
  await file.close();
  await until(() => keeper.refresh().then(() => keeper.state.pages === 3));
  await settled(keeper);
  await b.close();
  await end();
});

test('end when it closes with them open: nobody keeps them', async () => {
  const { open, keeper, end } = await region();
  const a = await open();
  await a.allocate(30_000, { name: '/a', ...owned });
  const b = await open();
  const file = await b.namespace.open('/b', { create: true, ...owned });
  await file.write(0, new Uint8Array(9000));
  await file.flush();
  await b.namespace.link('/b', '/b2');
  await a.close();
  await b.close();
  await keeper.refresh();
  assert.equal(await listed(keeper), []);
  assert.equal([keeper.state.kept.size, keeper.state.pages], [0, 0]);
  await settled(keeper);
  await end();
});

test('end when it dies, once that is sure, and are read by whoever has them open; a snapshot lies between', async () => {
  const { transport, open, keeper, end } = await region(3000);
  const a = await open();
  const b = await open();
  const memory = await a.allocate(100_000, { name: '/a', ...owned });
  await memory.write(0, new Uint8Array(100_000).fill(7));
  await memory.file!.flush();
  await a.namespace.mkdir('/d');
  await (await a.allocate(100, { name: '/d/x', ...owned })).file!.close();
  await (await b.allocate(100, { name: '/d/y', ...owned })).file!.close();
  await keeper.snapshot();
  const file = await b.namespace.open('/a');
  transport.kill(a.session);
  const before = await listed(keeper);
  const { state } = (await keeper.members()).members[a.member.slot]!;
  if (state === memberState.active) assert.equal(before, ['a', 'd'], 'silence is no death');
  await until(async () => (await keeper.members()).members[a.member.slot]?.state === memberState.free);
  assert.equal(await listed(keeper), ['d']);
  assert.equal(
    (await keeper.namespace.list('/d')).map(({ name }) => name),
    ['y'],
  );
  // Whoever comes now, and begins with a snapshot of before or after, sees the same.
  const late = await open();
  assert.equal(await listed(late), ['d']);
  await keeper.snapshot();
  const later = await open();
  assert.is(Buffer.compare(encodeState(later.state), encodeState(late.state)), 0);
  const bytes = new Uint8Array(100_000);
  await b.refresh();
  assert.is(await file.read(0, bytes), 100_000);
  assert.equal(bytes, new Uint8Array(100_000).fill(7));
  await file.close();
  for (const one of [late, later]) await one.close();
  await until(() => keeper.refresh().then(() => keeper.state.pages === 1));
  await settled(keeper);
  await b.close();
  await until(() => keeper.refresh().then(() => keeper.state.pages === 0));
  await settled(keeper);
  assert.is((await keeper.usage()).withheld, 0);
  await a.close().catch(() => undefined);
  await end();
});

test('of an application move with it, stay when it is adopted, and end when it ends', async () => {
  const { transport, open, keeper, end, damage } = await region(3000);
  const a = await open();
  const b = await open();
  const application = await a.register({ keep: 3_600_000 });
  await (await application.allocate(20_000, { name: '/moves', ...owned })).file!.close();
  await (await application.allocate(20_000, { name: '/stays' })).file!.close();
  await a.namespace.create(1, 'also', { kind: 'file', owner: application });
  await (await a.allocate(20_000, { name: '/own', ...owned })).file!.close();
  await application.migrate(b.member);
  assert.is(await code(a.namespace.create(1, 'late', { kind: 'file', owner: application })), 'Closed');
  const moved = await b.adopt(application.principal);
  await a.close();
  assert.equal(await listed(keeper), ['also', 'moves', 'stays']);
  transport.kill(b.session);
  await until(async () => (await keeper.members()).members[b.member.slot]?.state === memberState.free);
  assert.equal(await listed(keeper), ['also', 'moves', 'stays']);
  const c = await open();
  const adopted = await c.adopt(moved.principal);
  assert.equal(damage(), []);
  await (await adopted.allocate(10, { name: '/new', ...owned })).file!.close();
  assert.equal(await listed(keeper), ['also', 'moves', 'new', 'stays']);
  await adopted.end();
  assert.is(await code(adopted.allocate(10, { name: '/too-late', ...owned })), 'Fenced');
  assert.equal(await listed(keeper), ['stays']);
  await settled(keeper);
  await c.close();
  await b.close().catch(() => undefined);
  await end();
});

test('of an application that nobody keeps, or keeps no longer, end with it', async () => {
  const { transport, open, keeper, end } = await region(3000);
  const a = await open();
  const [fleeting, short] = [await a.register(), await a.register({ keep: 1000 })];
  await (await fleeting.allocate(5000, { name: '/fleeting', ...owned })).file!.close();
  await (await short.allocate(5000, { name: '/short', ...owned })).file!.close();
  const leaver = await open();
  const ends = await leaver.register();
  await (await ends.allocate(5000, { name: '/ends', ...owned })).file!.close();
  await leaver.close();
  assert.equal(await listed(keeper), ['fleeting', 'short']);
  transport.kill(a.session);
  await until(async () => (await listed(keeper)).length === 0);
  await settled(keeper);
  await a.close().catch(() => undefined);
  await end();
});

test('what is saved of a region has the files of who is kept, and of nobody who has ended', () => {
  const state = new NamespaceState(pageSize);
  const owners = { gone: [2, 1], again: [3, 1], dies: [4, 2], kept: [5, 3], anew: [6, 1], survives: [9, 1] } as const;
  for (const [name, [principal, incarnation]] of Object.entries(owners)) {
    const operations = [creates(name, { principal, incarnation })];
    state.apply({ index: state.index, lap: 0, author: 9, incarnation: 1, sequence: state.index, operations });
  }
  const { active, free } = principalState;
  const lines = [
    [2, free, 1, 0],
    [3, active, 2, 0],
    [4, active, 2, 0],
    [5, active, 3, keepForever],
    [6, active, 2, keepForever],
    [9, active, 1, 0],
  ].map(([principal, state, incarnation, policy]) => ({
    ...{ principal: principal!, state: state!, incarnation: incarnation!, policy: policy! },
    ...{ member: 1, memberIncarnation: 1, word: 0n },
  }));
  fenceAll(state, lines, { principal: 9, incarnation: 1, word: 0n });
  assert.equal([...state.directory(1).entries.keys()], ['kept', 'survives']);
});

test('an audit sees a file whose owner is no more', async () => {
  const { open, end, damage } = await region();
  const a = await open();
  const b = await open();
  const gone = { principal: b.identity.principal, incarnation: b.identity.incarnation };
  await b.close();
  await a.append(() => [creates('f', gone)]);
  assert.equal(
    damage().map(({ oracle }) => oracle),
    ['owners'],
  );
  await a.append(() => [{ op: 'disown', ...gone }]);
  assert.equal(damage(), []);
  await a.close();
  await end();
});
test.run();
