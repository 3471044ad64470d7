import { ExomemError } from '@exomem/core';
import { limits } from './wire/format.js';

export const defaultPort = 7070;
export const defaultHost = '127.0.0.1';
export const defaultRegion = 'default';

/** Where an appliance is: a port of a host, or a socket in the file system. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string };

/** What a URL names. */
export interface RegionAddress {
  readonly address: Address;
  readonly region: string;
}

/**
 * Reads `tcp://HOST[:PORT][/REGION]` or `unix:PATH[?region=REGION]`. An IPv6 address stands in brackets. Without them
 * the port is 7070 and the region `default`.
 * @throws `InvalidArgument`
 */
export function parseUrl(url: string): RegionAddress {
  if (url.startsWith('unix:')) return parseUnix(url);
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch (cause) {
    throw notUrl(url, 'it is no URL', cause);
  }
  if (parsed.protocol !== 'tcp:') throw notUrl(url, `its scheme is ${parsed.protocol}`);
  if (parsed.hostname === '') throw notUrl(url, 'the host is missing');
  if (parsed.username !== '' || parsed.password !== '') throw notUrl(url, 'it has a user');
  if (parsed.search !== '' || parsed.hash !== '') throw notUrl(url, 'nothing may follow the region');
  const region = decode(url, parsed.pathname.slice(1));
  if (region.includes('/')) throw notUrl(url, `a region's name has no slash, and "${region}" has`);
  const port = parsed.port === '' ? defaultPort : Number(parsed.port);
  if (port === 0) throw notUrl(url, 'nobody listens on port 0');
  return { address: { host: unbracketed(parsed.hostname), port }, region: region || defaultRegion };
}

/**
 * Reads what `--listen` takes: `HOST:PORT`, `[::1]:PORT`, `:PORT`, `PORT`, `HOST` or `unix:PATH`. The host is
 * 127.0.0.1 unless given, the port 7070; port 0 lets the system choose.
 * @throws `InvalidArgument`
 */
export function parseListen(listen: string): Address {
  if (listen.startsWith('unix:')) {
    const path = listen.slice('unix:'.length);
    return { path: checkPath(path.startsWith('//') ? path.slice(2) : path, listen) };
  }
  const match = /^(?:\[([0-9a-fA-F:.%\w]+)\]|([^:[\]/\s]*))?(?::(\d{1,5}))?$/.exec(
    /^\d{1,5}$/.test(listen) ? `:${listen}` : listen,
  );
  const port = match?.[3] === undefined ? defaultPort : Number(match[3]);
  if (match === null || port > 65_535 || listen === '') {
    throw new ExomemError('InvalidArgument', `"${listen}" is no address to listen on`, {
      advice: 'write HOST:PORT, [IPV6]:PORT or unix:PATH',
    });
  }
  return { host: match[1] ?? (match[2] || defaultHost), port };
}

/** The URL of a region at an address. */
export function formatUrl(address: Address, region: string): string {
  const name = encodeURIComponent(region);
  if ('path' in address) {
    const path = address.path.split('/').map(encodeURIComponent).join('/');
    return region === defaultRegion ? `unix:${path}` : `unix:${path}?region=${name}`;
  }
  const host = address.host.includes(':') ? `[${address.host}]` : address.host;
  return `tcp://${host}:${address.port}/${name}`;
}

/** @throws `InvalidArgument` if a region cannot have that name. */
export function checkRegionName(name: string): void {
  const length = Buffer.byteLength(name);
  if (length === 0 || length > limits.name || name.includes('/')) {
    throw new ExomemError('InvalidArgument', `"${name}" is no name for a region`, {
      advice: `use 1 to ${limits.name} bytes without a slash`,
    });
  }
}

/** How an address is written in messages. */
export function formatAddress(address: Address): string {
  if ('path' in address) return `unix:${address.path}`;
  return address.host.includes(':') ? `[${address.host}]:${address.port}` : `${address.host}:${address.port}`;
}

function parseUnix(url: string): RegionAddress {
  const rest = url.slice('unix:'.length);
  const mark = rest.indexOf('?');
  const path = decode(url, mark === -1 ? rest : rest.slice(0, mark));
  let region = defaultRegion;
  if (mark !== -1) {
    const query = new URLSearchParams(rest.slice(mark + 1));
    for (const key of query.keys()) if (key !== 'region') throw notUrl(url, `it has an unknown "${key}"`);
    region = query.get('region') || defaultRegion;
  }
  return { address: { path: checkPath(path.startsWith('//') ? path.slice(2) : path, url) }, region };
}

function checkPath(path: string, where: string): string {
  // sun_path of a socket address has 108 bytes, the last one zero.
  if (path === '' || path.includes('\0') || Buffer.byteLength(path) > 107) {
    throw new ExomemError('InvalidArgument', `"${where}" has no path of 1 to 107 bytes`, {
      advice: 'write unix:/PATH/OF/SOCKET',
    });
  }
  return path;
}

function unbracketed(host: string): string {
  return host.startsWith('[') ? host.slice(1, -1) : host;
}

function decode(url: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (cause) {
    throw notUrl(url, 'its escapes are broken', cause);
  }
}

function notUrl(url: string, why: string, cause?: unknown): ExomemError {
  return new ExomemError('InvalidArgument', `"${url}" names no region: ${why}`, {
    where: url,
    advice: 'write tcp://HOST:PORT/REGION or unix:/PATH?region=REGION',
    cause,
  });
}
