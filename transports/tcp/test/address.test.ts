import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { RegionMemory } from '@exomem/core';
import { assert, suite } from '@exomem/testing';
import { Appliance, formatAddress, formatUrl, parseListen, parseUrl, serveTcp, tcp } from '@exomem/transport-tcp';
import { failsWith } from './fixtures/served.js';

const test = suite('addresses');
const folder = mkdtempSync(join(tmpdir(), 'exomem-address-'));
test.after(() => rmSync(folder, { recursive: true }));

test('URLs name an address and a region', () => {
  const urls: [string, unknown][] = [
    ['tcp://127.0.0.1:7071/scratch', { address: { host: '127.0.0.1', port: 7071 }, region: 'scratch' }],
    ['tcp://memory.example', { address: { host: 'memory.example', port: 7070 }, region: 'default' }],
    ['tcp://memory.example/', { address: { host: 'memory.example', port: 7070 }, region: 'default' }],
    ['tcp://[::1]:1/a%20b', { address: { host: '::1', port: 1 }, region: 'a b' }],
    ['tcp://[fe80::1]/x', { address: { host: 'fe80::1', port: 7070 }, region: 'x' }],
    ['unix:/run/exomem.sock', { address: { path: '/run/exomem.sock' }, region: 'default' }],
    ['unix:///run/exomem.sock?region=scratch', { address: { path: '/run/exomem.sock' }, region: 'scratch' }],
    ['unix:relative/socket?region=a%2Bb', { address: { path: 'relative/socket' }, region: 'a+b' }],
    ['unix:/with%20space', { address: { path: '/with space' }, region: 'default' }],
  ];
  for (const [url, expected] of urls) {
    assert.equal(parseUrl(url), expected, url);
    const { address, region } = parseUrl(url);
    assert.equal(parseUrl(formatUrl(address, region)), expected, formatUrl(address, region));
  }
});

test('what names none is refused with what to write', async () => {
  const none = ['', 'scratch', 'tcp:', 'tcp://', 'tcp:///region', 'tcp://host:0', 'tcp://host:70000', 'tcp://host/a/b'];
  none.push(
    'tcp://user@host/a',
    'tcp://host/a?b=c',
    'tcp://host/a#b',
    'tcp://host/%zz',
    'http://host',
    'unix:',
    'unix:?region=a',
  );
  none.push('unix:/a?name=b', `unix:/${'x'.repeat(120)}`, 'unix:/a%00b');
  for (const url of none) {
    const error = await failsWith('InvalidArgument', () => parseUrl(url), url);
    assert.match(error.advice, /unix:\/|tcp:\/\//);
  }
});

test('places to listen', async () => {
  const places: [string, unknown][] = [
    ['127.0.0.1:0', { host: '127.0.0.1', port: 0 }],
    ['0.0.0.0:7071', { host: '0.0.0.0', port: 7071 }],
    ['[::1]:7071', { host: '::1', port: 7071 }],
    ['[::]', { host: '::', port: 7070 }],
    ['localhost', { host: 'localhost', port: 7070 }],
    [':8000', { host: '127.0.0.1', port: 8000 }],
    ['8000', { host: '127.0.0.1', port: 8000 }],
    ['unix:/run/x', { path: '/run/x' }],
  ];
  for (const [place, expected] of places) assert.equal(parseListen(place), expected, place);
  for (const place of ['', '::1', 'a:b', 'host:70000', 'a b:1', 'unix:', '[::1]x', 'tcp://host:1']) {
    await failsWith('InvalidArgument', () => parseListen(place), place);
  }
  assert.is(formatAddress({ host: '::1', port: 5 }), '[::1]:5');
  assert.is(formatAddress({ path: '/x' }), 'unix:/x');
});

const regions = (): Record<string, RegionMemory> => ({ 'a region': new RegionMemory([new SharedArrayBuffer(4096)]) });
const clientId = new Uint8Array(16);

test('an appliance listens in several places and tells where', async () => {
  await using appliance = await serveTcp({ listen: ['127.0.0.1:0', `unix:${folder}/a b`], regions: regions() });
  const [first, second] = appliance.addresses;
  assert.ok(first !== undefined && 'port' in first && first.port > 0);
  for (const address of [first, second!]) {
    const session = await tcp().connect(formatUrl(address, 'a region'), { clientId, lane: 0 });
    assert.is(await session.load(0), 0n);
    await session.close();
  }
  const busy = await failsWith('Busy', () => serveTcp({ listen: `127.0.0.1:${first.port}`, regions: regions() }));
  assert.match(busy.message, new RegExp(`127\\.0\\.0\\.1:${first.port} is in use`));
  await failsWith('Busy', () => serveTcp({ listen: `unix:${folder}/a b`, regions: regions() }));
  await failsWith('Unavailable', () => serveTcp({ listen: '192.0.2.1:0', regions: regions() }));
  await failsWith('NotFound', () => serveTcp({ listen: `unix:${folder}/no/socket`, regions: regions() }));
  await failsWith('Exists', () => appliance.expose('a region', new RegionMemory([new SharedArrayBuffer(8)])));
  for (const name of ['', 'a/b', 'x'.repeat(256)]) {
    await failsWith('InvalidArgument', () => appliance.expose(name, new RegionMemory([new SharedArrayBuffer(8)])));
  }
  await failsWith('NotFound', () => appliance.withdraw('another'));
  await failsWith('InvalidArgument', () => new Appliance({ limits: { connections: 0 } }));
  await appliance.close();
  await appliance.close();
  assert.not(existsSync(join(folder, 'a b')), 'the socket is gone with it');
  await failsWith('Closed', () => appliance.listen('127.0.0.1:0'));
});

test('a socket that a killed appliance left is replaced, another file is not', async () => {
  const path = join(folder, 'left');
  const program = `
    const { serveTcp } = await import(${JSON.stringify(import.meta.resolve('@exomem/transport-tcp'))});
    await serveTcp({ listen: ${JSON.stringify(`unix:${path}`)}, regions: {} });
    console.log('ready');`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  child.kill('SIGKILL');
  await once(child, 'exit');
  assert.ok(existsSync(path));
  await using appliance = await serveTcp({ listen: `unix:${path}`, regions: regions() });
  await (await tcp().connect(appliance.url('a region'), { clientId, lane: 0 })).close();
  const file = join(folder, 'file');
  writeFileSync(file, 'precious');
  await failsWith('Busy', () => serveTcp({ listen: `unix:${file}`, regions: regions() }));
  assert.ok(existsSync(file));
});

test.run();
