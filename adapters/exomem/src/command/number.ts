import { ExomemError } from '@exomem/core';

/** Reads the slot of a member, as `exomem members` shows it. @throws `OutOfRange` */
export function parseMember(text: string): number {
  if (/^\d{1,5}$/.test(text)) return Number(text);
  throw noNumber(text, 'member slot');
}

/** Reads the number of a principal, from 1. @throws `OutOfRange` */
export function parsePrincipal(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) > 0) return Number(text);
  throw noNumber(text, 'number of a principal');
}

function noNumber(text: string, what: string): ExomemError {
  return new ExomemError('OutOfRange', `"${text}" is no ${what}`, {
    advice: '`exomem members` shows which there are',
  });
}
