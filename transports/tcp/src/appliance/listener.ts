import { existsSync, lstatSync, unlinkSync } from 'node:fs';
import type { Server, Socket } from 'node:net';
import { connect, createServer } from 'node:net';
import { dirname } from 'node:path';
import type { ErrorCode } from '@exomem/core';
import { ExomemError } from '@exomem/core';
import { type Address, formatAddress } from '../address.js';

/** A listening socket. */
export interface Listener {
  /** Where it listens; the port that the system chose where 0 was asked for. */
  readonly address: Address;
  close(): Promise<void>;
}

/** @throws `Busy`, `PermissionDenied`, `Unavailable` */
export async function listen(address: Address, accept: (socket: Socket) => void): Promise<Listener> {
  const server = createServer({ noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000 }, accept);
  try {
    await bind(server, address);
  } catch (error) {
    // A socket that nobody listens on any more is what a killed appliance leaves behind.
    if ('path' in address && codeOf(error) === 'EADDRINUSE' && (await isLeft(address.path))) {
      unlinkSync(address.path);
      await bind(server, address).catch((again) => {
        throw failed(again, address);
      });
    } else throw failed(error, address);
  }
  // Running out of descriptors is told by a failing accept: those who are connected are served on.
  server.on('error', () => undefined);
  const bound = server.address();
  return {
    address: typeof bound === 'object' && bound !== null ? { host: bound.address, port: bound.port } : address,
    close: () => new Promise<void>((resolve) => void server.close(() => resolve())),
  };
}

function bind(server: Server, address: Address): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const onError = (error: Error): void => reject(error);
    server.once('error', onError);
    server.listen('path' in address ? { path: address.path } : { host: address.host, port: address.port }, () => {
      server.off('error', onError);
      resolve();
    });
  });
}

/** Whether a path is a socket, and nobody accepts connections on it. */
async function isLeft(path: string): Promise<boolean> {
  if (!lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return false;
  return new Promise<boolean>((resolve) => {
    const socket = connect({ path });
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', (error) => resolve(codeOf(error) === 'ECONNREFUSED'));
  });
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

function failed(error: unknown, address: Address): ExomemError {
  const where = formatAddress(address);
  // For a socket in a folder that is not there the system's answer arrives as a lack of rights.
  const code = 'path' in address && !existsSync(dirname(address.path)) ? 'ENOENT' : codeOf(error);
  const known: Record<string, readonly [ErrorCode, string, string]> = {
    EADDRINUSE: ['Busy', `${where} is in use`, 'choose another address, or port 0 for any that is free'],
    EACCES: ['PermissionDenied', `${where} may not be listened on`, 'choose a port over 1023, or a folder of your own'],
    EADDRNOTAVAIL: [
      'Unavailable',
      `${where} is no address of this machine`,
      '127.0.0.1 always is one; `ip addr` shows the others',
    ],
    ENOTFOUND: ['Unavailable', `the name in ${where} is not known`, 'give an address of this machine'],
    ENOENT: ['NotFound', `there is no folder for ${where}`, 'make it first'],
  };
  const [kind, what, advice] = known[code ?? ''] ?? [
    'Unavailable',
    `cannot listen on ${where}: ${String(error)}`,
    'choose another address',
  ];
  return new ExomemError(kind, what, { where, advice, cause: error });
}
