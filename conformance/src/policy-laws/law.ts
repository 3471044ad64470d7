/** What a policy promises, a sentence for each promise. */
export const policyLawTable = {
  exclusive: 'no page is ever held by two live owners',
  shown: 'the word of a live allocation shows its owner and its bounds, at every step',
  whole: 'a run that the bytes show as committed is one that was asked for, with all its pages',
  named: 'a page that a name refers to is withheld at every step: never free, never part of an allocation',
  conserved: 'when all is quiet the bytes count what the clients were told, and it sums up to the region',
  valid: 'the table agrees with the format and with what an idle client knows',
  placed: 'an allocation has the pages and the alignment that were asked for, and lies in the region',
  fresh: 'a fresh page shows no byte that another principal wrote',
  full: 'RegionFull and Fragmented are said only if at some instant nothing fitted that the caller could claim',
  typed: 'what is refused, is refused with a typed error that fits',
  stale: 'freeing twice is refused as StaleHandle and changes nothing',
  foreign: 'freeing what another client holds is refused as PermissionDenied and changes nothing',
  fenced: 'nothing is handed out that was claimed after the principal had been taken over',
  explained: 'explain() says something about the allocation it is asked about',
  returned: 'when all is freed and all clients have left, all is free',
  ends: 'every operation ends, whatever others do',
} as const;

/** The id of a law. */
export type PolicyLawId = keyof typeof policyLawTable;

/** A policy broke a law, in some run. */
export class Breach extends Error {
  override readonly name = 'Breach';
  constructor(
    readonly law: PolicyLawId,
    what: string,
  ) {
    super(what);
  }
}
