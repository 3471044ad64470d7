import type { MessagePort } from 'node:worker_threads';
import { ExomemError, type Geometry, type HeartbeatLane, isExomemError, type Member, type Pulse } from '@exomem/core';

/** A client's heart, on its way to the thread that is to beat for it. */
export interface Terms {
  readonly port: MessagePort;
  /** See `Shared`. */
  readonly shared: SharedArrayBuffer;
  readonly lane: HeartbeatLane;
  /** What brings the transport of the URL; undefined: it is one of ours. */
  readonly plugin: string | undefined;
  readonly member: Member;
  readonly geometry: Geometry;
  readonly lease: number;
  readonly interval: number;
}

/** The client asks for a beat now, with a number of its own, or for the end. */
export type Request = { readonly ask: number } | 'end';

/** What the thread tells: what a beat found or failed with, and of which request; or that it has ended. */
export type News =
  | { readonly ask: number | undefined; readonly pulse: Pulse }
  | { readonly ask: number | undefined; readonly error: ToldError }
  /** `word`: the member's, if that is known. `why`: it was not told to. */
  | { readonly ended: true; readonly word: bigint | undefined; readonly why?: string };

type ToldError = Pick<ExomemError, 'code' | 'message' | 'where' | 'advice'>;

/** An error that another thread can hear of. */
export function toldOf(error: unknown): ToldError {
  if (!isExomemError(error)) throw error;
  const { code, message, where, advice } = error;
  return { code, message, where, advice };
}
export function heardOf({ code, message, where, advice }: ToldError): ExomemError {
  return new ExomemError(code, message, { where, advice });
}
