import { ExomemError } from '@exomem/core';
import { type Address, formatAddress } from '../address.js';

/** What became of a connection: why it could not be made (`opening`), or that it was lost. */
export function connectionFailure(
  address: Address,
  opening: boolean,
  where: string,
  error?: NodeJS.ErrnoException,
): ExomemError {
  const place = formatAddress(address);
  const known: Record<string, readonly [what: string, advice: string]> = {
    ECONNREFUSED: [`nobody listens at ${place}`, 'start an appliance there, or check host and port'],
    ENOENT: [`there is no socket ${place}`, 'start an appliance there, or check the path'],
    ENOTFOUND: [`the host in ${place} is not known`, 'check its name'],
    EAI_AGAIN: [`the host in ${place} could not be looked up`, 'check its name and the name service'],
    EACCES: [`${place} may not be used`, 'check the rights of the socket'],
    EHOSTUNREACH: [`${place} cannot be reached`, 'check the network'],
    ENETUNREACH: [`${place} cannot be reached`, 'check the network'],
  };
  const found = known[error?.code ?? ''];
  if (found !== undefined) return new ExomemError('Disconnected', found[0], { where, advice: found[1], cause: error });
  const why = error === undefined ? '' : `: ${error.code ?? error.message}`;
  const what = `${opening ? 'no connection to' : 'lost the connection to'} ${place}${why}`;
  return new ExomemError('Disconnected', what, { where, cause: error });
}
