import { type ControlStep, isExomemError } from '@exomem/core';
import type { Outcome } from './client.js';
import type { Effect } from './execution.js';

/** Names what lies at an offset of the region: `group 3`. */
export type Namer = (offset: number) => string;

/** Who does something, and in which operation. */
export interface Speaker {
  readonly client: { readonly name: string };
  readonly operation: { readonly name: string };
}

/** What happened, in words: a line for each time that somebody else acts. */
export class Chronicle {
  readonly #lines: string[] = [];
  readonly #namer: Namer;
  #who: string | undefined;
  #line: string[] = [];

  constructor(namer: Namer = (offset) => `offset ${offset}`) {
    this.#namer = namer;
  }

  effect(task: Speaker, effect: Effect): void {
    this.#add(speaker(task), this.#describe(effect));
  }

  late(client: Speaker['client'], effect: Effect): void {
    this.#add(`${client.name}, late`, this.#describe(effect));
  }

  control(task: Speaker, step: ControlStep): void {
    this.#add(speaker(task), step.op === 'renew' ? 'begins a new epoch' : step.op);
  }

  event(client: Speaker['client'], what: string): void {
    this.#add(client.name, what);
  }

  ended(task: Speaker, { error }: Outcome): void {
    this.#add(
      speaker(task),
      error === undefined ? 'done' : `fails: ${isExomemError(error) ? error.code : String(error)}`,
    );
  }

  toString(): string {
    this.#flush();
    return this.#lines.join('\n');
  }

  #add(who: string, what: string): void {
    if (who !== this.#who) this.#flush();
    this.#who = who;
    this.#line.push(what);
  }

  #flush(): void {
    if (this.#line.length > 0) this.#lines.push(`  ${this.#who}: ${this.#line.join(' · ')}`);
    this.#line = [];
  }

  #describe({ step, offset, length, answer }: Effect): string {
    const where = this.#namer(offset);
    switch (step.op) {
      case 'load':
        return `reads ${where} (${hex(answer)})`;
      case 'fetchAdd':
        return `adds to ${where} (${hex(answer)})`;
      case 'compareExchange':
        if (answer === step.expected) return `${where} ${hex(step.expected)} -> ${hex(step.desired)}`;
        return `${where} ${hex(step.expected)} -> ${hex(step.desired)} refused: ${hex(answer)}`;
      case 'read':
        return `reads ${length} bytes from ${where} on`;
      case 'write':
        if (step.bytes.byteLength === 8) return `${where} := ${hex(wordOf(step.bytes))}`;
        return `writes ${length} bytes from ${where} on`;
    }
  }
}

function speaker(task: Speaker): string {
  return `${task.client.name} ${task.operation.name}`;
}

function wordOf(bytes: Uint8Array): bigint {
  return new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
}

function hex(word: bigint | undefined): string {
  return `0x${(word ?? 0n).toString(16)}`;
}
