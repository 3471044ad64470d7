import {
  answerBodyOffset,
  answerWordOffset,
  crc32c,
  groupWordOffset,
  memberLineOffset,
  pageBits,
  principalWordOffset,
  repeatBits,
  requestBodyOffset,
  requestWordOffset,
  type Step,
  type StepResult,
  userGroups,
} from '@exomem/core';
import type { Actor } from './actor.js';
import type { Mutant } from './mutants.js';

const nothing: { readonly answer: StepResult } = { answer: undefined };

function isGroup({ plot: { geometry } }: Actor, offset: number): boolean {
  return offset >= geometry.groupOffset && offset < groupWordOffset(geometry, userGroups(geometry));
}
/** The slot whose answer a batch looks at first, and the member behind it: whoever has the seat is about to grant something. */
function looksAt(step: Step, { plot: { geometry } }: Actor): number | undefined {
  if (step.op !== 'batch' || step.steps.length < 2) return undefined;
  const [answer, member] = step.steps;
  for (let slot = 0; slot < geometry.memberSlots; slot++) {
    if (answer!.offset === answerWordOffset(geometry, slot) && member!.offset === memberLineOffset(geometry, slot))
      return slot;
  }
  return undefined;
}
function isAnswer({ plot: { geometry } }: Actor, offset: number): boolean {
  const first = answerWordOffset(geometry, 0);
  return offset >= first && offset < first + 8 * geometry.memberSlots;
}
/** The slot whose request a step is about, by the offset of its body. */
function bodyOf(step: Step, { plot: { geometry } }: Actor): number | undefined {
  if (step.op !== 'read') return undefined;
  for (let slot = 0; slot < geometry.memberSlots; slot++) {
    if (step.offset === requestBodyOffset(geometry, slot)) return slot;
  }
  return undefined;
}
/** The request words that whoever has the seat saw last. */
const requestsSeen = new WeakMap<Actor, BigUint64Array>();

/** Faults in how groups are granted over mailboxes. */
export const messageMutants: readonly Mutant[] = [
  {
    name: 'a grant that was made already is taken for somebody else having the group',
    search: 'message-successor',
    invariant: 'I3',
    answer: (step, result, actor) => {
      const slot = looksAt(step, actor);
      if (slot === undefined || step.op !== 'batch' || !Array.isArray(result)) return result;
      const owner = BigInt(slot + 1);
      return result.map((word, at) =>
        isGroup(actor, step.steps[at]!.offset) && (word as bigint) >> 48n === owner ? (word as bigint) ^ 1n : word,
      );
    },
  },
  {
    name: 'a request is answered before its words are written',
    search: 'message-late',
    invariant: 'I2',
    step: (step, actor) => {
      if (step.op !== 'batch') return step;
      const last = step.steps.at(-1);
      if (last?.op !== 'write' || !isAnswer(actor, last.offset) || step.steps.length < 3) return step;
      return { ...step, steps: [...step.steps.slice(-2), ...step.steps.slice(0, -2)] };
    },
  },
  {
    name: 'who takes the seat does not shut out who had it',
    search: 'message-late',
    invariant: 'R1',
    slow: true,
    step: (step) => (step.op === 'revoke' ? nothing : step),
  },
  {
    name: 'a request is announced before it is written, and its head is believed',
    search: 'message-torn',
    invariant: 'I2',
    step: (step, { plot: { geometry } }) => {
      if (step.op !== 'batch' || step.steps.length !== 2) return step;
      const [body, word] = step.steps;
      const first = requestWordOffset(geometry, 0);
      const announces =
        word!.op === 'write' && word!.offset >= first && word!.offset < first + 8 * geometry.memberSlots;
      return announces ? { ...step, steps: [word!, body!] } : step;
    },
    answer: (step, result, actor) => {
      const { geometry } = actor.plot;
      if (step.op === 'batch' && step.steps[0]?.op === 'read') {
        const [words] = step.steps;
        if (words.offset === requestWordOffset(geometry, 0))
          requestsSeen.set(actor, new BigUint64Array(words.bytes.slice().buffer));
      }
      const slot = bodyOf(step, actor);
      if (slot === undefined || step.op !== 'read') return result;
      const view = new DataView(step.bytes.buffer, step.bytes.byteOffset, step.bytes.byteLength);
      view.setBigUint64(8, requestsSeen.get(actor)![slot]!, true);
      view.setUint32(0, crc32c(step.bytes.subarray(4)), true);
      return result;
    },
  },
  {
    name: 'who was granted a group has read its own principal before',
    search: 'message-taken',
    invariant: 'I4',
    answer: (step, result, actor) => {
      if (step.op !== 'batch' || !Array.isArray(result)) return result;
      const { principal, word } = actor.identity;
      const fence = principalWordOffset(actor.plot.geometry, principal);
      const own = step.steps.at(-1)!;
      if (own.op !== 'load' || own.offset !== fence || looksAt(step, actor) !== undefined) return result;
      return [...result.slice(0, -1), word];
    },
  },
  {
    name: 'an answer that shows somebody else in a group is taken for a grant',
    search: 'message-held',
    invariant: 'I16',
    answer: (step, result, actor) => {
      const { geometry } = actor.plot;
      if (step.op !== 'batch' || step.steps.length !== 2) return result;
      const [, body] = step.steps;
      const { slot } = actor.member;
      if (body!.op !== 'read' || body!.offset !== answerBodyOffset(geometry, slot)) return result;
      const view = new DataView(body!.bytes.buffer, body!.bytes.byteOffset, body!.bytes.byteLength);
      // With a second page in use: whoever has it was told so.
      if (view.getUint32(0, true) !== repeatBits(geometry.groupPages, pageBits.head)) return result;
      view.setBigUint64(0, BigInt(repeatBits(geometry.groupPages, pageBits.clean)), true);
      return result;
    },
  },
  {
    name: 'who has the seat grants on while what it has given up itself is still under way',
    search: 'message-given-up',
    invariant: 'R1',
    step: (step) => (step.op === 'renew' ? nothing : step),
  },
  {
    name: 'a group that was given to whoever asks for it is taken for granted to it',
    search: 'message-gift-alike',
    invariant: 'I12',
    slow: true,
    answer: (step, result, actor) => {
      const slot = looksAt(step, actor);
      if (slot === undefined || step.op !== 'batch' || !Array.isArray(result)) return result;
      const { groupPages } = actor.plot.geometry;
      const given = (BigInt(slot + 1) << 48n) | (1n << 32n) | 0xc000_0000n;
      const nobodys = BigInt(repeatBits(groupPages, pageBits.clean));
      return result.map((word, at) => (isGroup(actor, step.steps[at]!.offset) && word === given ? nobodys : word));
    },
  },
  {
    name: 'who joins again as a number does not shut out who had it',
    search: 'message-again',
    invariant: 'I2',
    slow: true,
    step: (step) => (step.op === 'revoke' ? nothing : step),
  },
];
