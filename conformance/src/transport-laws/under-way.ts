import type { Session } from '@exomem/core';

const waits = [
  ...(['load', 'read', 'write', 'compareExchange', 'fetchAdd', 'batch', 'bind', 'renew', 'revoke', 'close'] as const),
] satisfies readonly (keyof Session)[];

/** Calls of sessions that have no answer so far: what is told of a law that hangs. */
export class UnderWay {
  readonly #calls = new Set<string[]>();

  /** Follows what a session is asked from now on. */
  follow(session: Session): Session {
    if (!Object.isExtensible(session)) return session;
    for (const name of waits) {
      const call = session[name] as (...args: unknown[]) => unknown;
      const followed = (...args: unknown[]): unknown => {
        const answer = call.apply(session, args);
        if (!(answer instanceof Promise)) return answer;
        const told = [name, ...args.flatMap(textOf)];
        this.#calls.add(told);
        const done = (): boolean => this.#calls.delete(told);
        answer.then(done, done);
        return answer;
      };
      Object.defineProperty(session, name, { value: followed, configurable: true, writable: true });
    }
    return session;
  }

  /** As the end of a sentence; nothing if nothing is under way. */
  toString(): string {
    const [first, second, ...more] = [...this.#calls].map((call) => call.join(' '));
    if (first === undefined) return '';
    const others = second === undefined ? '' : more.length === 0 ? `, ${second}` : `, and ${more.length + 1} more`;
    return `; no answer to ${first}${others}`;
  }
}

function textOf(value: unknown): string[] {
  if (value instanceof Uint8Array) return [`${value.length} bytes`];
  if (Array.isArray(value)) return [`of ${value.length} steps`];
  return typeof value === 'number' || typeof value === 'bigint' ? [String(value)] : [];
}
