import type { Operation } from '../namespace/operation.js';
import type { Fate } from './fate.js';

/** What a client tells of the region. For people and for control, never for data. */
export type ClientEvent =
  | { readonly type: 'joined'; readonly slot: number; readonly incarnation: number; readonly label: string }
  | { readonly type: 'left'; readonly slot: number; readonly incarnation: number; readonly label: string }
  /** A member's heartbeat stands still. */
  | {
      readonly type: 'silent';
      readonly slot: number;
      readonly incarnation: number;
      readonly label: string;
      readonly milliseconds: number;
    }
  /** Pages that a principal holds became more or fewer. */
  | { readonly type: 'usage'; readonly principal: number; readonly before: number; readonly after: number }
  /** A record of the namespace. */
  | {
      readonly type: 'record';
      readonly index: number;
      readonly author: number;
      readonly operations: readonly Operation[];
    }
  /** An application was handed to this client: `adopt` it. */
  | { readonly type: 'handed'; readonly principal: number }
  /** Less than a twentieth of the pages is free. */
  | { readonly type: 'pressure'; readonly free: number; readonly total: number }
  | { readonly type: 'snapshot'; readonly index: number }
  /** This client was declared dead by another. */
  | { readonly type: 'fenced'; readonly fate: Fate | undefined }
  /** The thread that beat for this client is no more: from now on it must not block its own for long. */
  | { readonly type: 'inline'; readonly reason: unknown }
  | { readonly type: 'disconnected' }
  | { readonly type: 'reconnected' };
