import type { ErrorCode } from '@exomem/core';

/** An error on its way from one process to another. */
export interface ToldError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly where: string | undefined;
  readonly advice: string;
}

/** What a child that serves a mount tells its parent. The parent says `'stop'`. */
export type FromChild =
  | { readonly type: 'ready'; readonly dir: string }
  | { readonly type: 'failed'; readonly error: ToldError };
