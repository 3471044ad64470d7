import { ExomemError } from '@exomem/core';
import { limits, protocolVersion, readNumber, writeNumber } from './format.js';

/** The first eight bytes in each direction: "exomem", carriage return, line feed. */
export const magic = Uint8Array.of(0x65, 0x78, 0x6f, 0x6d, 0x65, 0x6d, 0x0d, 0x0a);

/** Bytes of a HELLO before the name, and of a WELCOME before the text. */
export const helloBytes = 64;
export const welcomeBytes = 88;

/** What a client says first. */
export interface Hello {
  /** The versions that it speaks, first to last. */
  readonly versions: readonly [number, number];
  readonly features: bigint;
  readonly clientId: Uint8Array;
  readonly lane: number;
  readonly epoch: number;
  readonly region: string;
}

/** What the appliance answers: the terms, or a status other than 0 and a text that says why not. */
export interface Welcome {
  readonly version: number;
  readonly status: number;
  readonly features: bigint;
  /** Drawn at each start of an appliance. */
  readonly instance: Uint8Array;
  /** The epoch of the lane that is open now: the one asked for, or where that was too low, the one in its way. */
  readonly epoch: number;
  readonly size: number;
  readonly maxTransfer: number;
  readonly maxBatch: number;
  /** Bytes of a batch request, and of the answer to one. */
  readonly maxBatchBytes: number;
  readonly maxBatchAnswer: number;
  /** Milliseconds without a byte after which the appliance closes a connection. */
  readonly idle: number;
  readonly text: string;
}

export function encodeHello(hello: Hello): Uint8Array {
  const name = new TextEncoder().encode(hello.region);
  if (name.byteLength === 0 || name.byteLength > limits.name) {
    throw new ExomemError(
      'InvalidArgument',
      `a region's name has 1 to ${limits.name} bytes, "${hello.region}" has ${name.byteLength}`,
    );
  }
  if (hello.clientId.byteLength !== 16) {
    throw new ExomemError('InvalidArgument', `a client id has 16 bytes, not ${hello.clientId.byteLength}`);
  }
  const bytes = new Uint8Array(helloBytes + name.byteLength);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setUint16(8, hello.versions[0], true);
  view.setUint16(10, hello.versions[1], true);
  view.setUint32(12, bytes.byteLength, true);
  view.setBigUint64(16, hello.features, true);
  bytes.set(hello.clientId, 24);
  view.setUint32(40, hello.lane, true);
  writeNumber(view, 48, hello.epoch);
  view.setUint16(56, name.byteLength, true);
  bytes.set(name, helloBytes);
  return bytes;
}

/** Bytes of the name that follows, from the fixed part of a HELLO. @throws `ProtocolError` if it is no HELLO. */
export function helloName(bytes: Uint8Array, view: DataView, at: number): number {
  checkMagic(bytes, at);
  const name = view.getUint16(at + 56, true);
  if (name === 0 || name > limits.name || view.getUint32(at + 12, true) !== helloBytes + name) {
    throw new ExomemError('ProtocolError', `a HELLO of ${view.getUint32(at + 12, true)} bytes with a name of ${name}`);
  }
  return name;
}

/** @throws `ProtocolError`, `Incompatible` */
export function decodeHello(bytes: Uint8Array, view: DataView, at: number): Hello {
  const name = helloName(bytes, view, at);
  const epoch = readNumber(view, at + 48);
  if (!Number.isSafeInteger(epoch)) throw new ExomemError('ProtocolError', 'the epoch in the HELLO is over 2^53');
  const versions = [view.getUint16(at + 8, true), view.getUint16(at + 10, true)] as const;
  if (versions[0] > protocolVersion || versions[1] < protocolVersion) {
    throw new ExomemError(
      'Incompatible',
      `the client speaks versions ${versions[0]} to ${versions[1]} of the protocol, this appliance ${protocolVersion}`,
    );
  }
  let region: string;
  try {
    region = new TextDecoder('utf-8', { fatal: true }).decode(bytes.slice(at + helloBytes, at + helloBytes + name));
  } catch (cause) {
    throw new ExomemError('ProtocolError', "the region's name is no UTF-8", { cause });
  }
  return {
    versions,
    features: view.getBigUint64(at + 16, true),
    clientId: bytes.slice(at + 24, at + 40),
    lane: view.getUint32(at + 40, true),
    epoch,
    region,
  };
}

export function encodeWelcome(welcome: Welcome): Uint8Array {
  const text = new TextEncoder().encode(welcome.text).subarray(0, limits.text);
  const bytes = new Uint8Array(welcomeBytes + text.byteLength);
  const view = new DataView(bytes.buffer);
  bytes.set(magic, 0);
  view.setUint16(8, welcome.version, true);
  view.setUint16(10, welcome.status, true);
  view.setUint32(12, bytes.byteLength, true);
  view.setBigUint64(16, welcome.features, true);
  bytes.set(welcome.instance, 24);
  writeNumber(view, 40, welcome.epoch);
  writeNumber(view, 48, welcome.size);
  view.setUint32(56, welcome.maxTransfer, true);
  view.setUint32(60, welcome.maxBatch, true);
  view.setUint32(64, welcome.maxBatchBytes, true);
  view.setUint32(68, welcome.maxBatchAnswer, true);
  view.setUint32(72, welcome.idle, true);
  bytes.set(text, welcomeBytes);
  return bytes;
}

/** Bytes of the text that follows, from the fixed part of a WELCOME. @throws `ProtocolError` if it is no WELCOME. */
export function welcomeText(bytes: Uint8Array, view: DataView, at: number): number {
  checkMagic(bytes, at);
  const text = view.getUint32(at + 12, true) - welcomeBytes;
  if (text < 0 || text > limits.text) throw new ExomemError('ProtocolError', `a WELCOME with a text of ${text} bytes`);
  return text;
}

/** @throws `ProtocolError` */
export function decodeWelcome(bytes: Uint8Array, view: DataView, at: number): Welcome {
  const text = welcomeText(bytes, view, at);
  const welcome: Welcome = {
    version: view.getUint16(at + 8, true),
    status: view.getUint16(at + 10, true),
    features: view.getBigUint64(at + 16, true),
    instance: bytes.slice(at + 24, at + 40),
    epoch: readNumber(view, at + 40),
    size: readNumber(view, at + 48),
    maxTransfer: view.getUint32(at + 56, true),
    maxBatch: view.getUint32(at + 60, true),
    maxBatchBytes: view.getUint32(at + 64, true),
    maxBatchAnswer: view.getUint32(at + 68, true),
    idle: view.getUint32(at + 72, true),
    text: new TextDecoder().decode(bytes.slice(at + welcomeBytes, at + welcomeBytes + text)),
  };
  if (welcome.status !== 0) return welcome;
  const sound =
    welcome.version === protocolVersion &&
    Number.isSafeInteger(welcome.epoch) &&
    Number.isSafeInteger(welcome.size) &&
    welcome.maxTransfer >= 8 &&
    welcome.maxTransfer % 8 === 0 &&
    welcome.maxBatch >= 1 &&
    welcome.maxBatchBytes >= 64 &&
    welcome.maxBatchAnswer >= 64;
  if (!sound) throw new ExomemError('ProtocolError', 'a WELCOME with terms that make no sense');
  return welcome;
}

function checkMagic(bytes: Uint8Array, at: number): void {
  for (let index = 0; index < magic.byteLength; index += 1) {
    if (bytes[at + index] !== magic[index]) {
      throw new ExomemError('ProtocolError', 'the peer does not speak the exomem protocol', {
        advice: 'check that host and port are those of an exomem appliance',
      });
    }
  }
}
