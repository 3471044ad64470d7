import { ExomemError } from '../errors.js';

/** The two URLs of a region whose metadata lies in a region of its own. */
export interface PairUrls {
  readonly data: string;
  readonly metadata: string;
}

const parameter = 'metadata=';

/**
 * Reads `DATA?metadata=METADATA`: the URL of the data region, with that of the metadata region as a parameter, in which
 * `%`, `&` and `#` are escaped. Undefined: it is the URL of a region of one piece.
 * @throws `InvalidArgument`
 */
export function splitPairUrl(url: string): PairUrls | undefined {
  const mark = url.indexOf('?');
  if (mark === -1) return undefined;
  const parameters = url.slice(mark + 1).split('&');
  const found = parameters.filter((text) => text.startsWith(parameter));
  if (found.length === 0) return undefined;
  const others = parameters.filter((text) => !text.startsWith(parameter));
  const data = url.slice(0, mark) + (others.length === 0 ? '' : `?${others.join('&')}`);
  let metadata: string;
  try {
    metadata = decodeURIComponent(found[0]!.slice(parameter.length));
  } catch (cause) {
    throw new ExomemError('InvalidArgument', 'its %-escapes are broken', { where: url, cause });
  }
  if (found.length > 1 || metadata === '' || metadata === data || splitPairUrl(metadata) !== undefined) {
    throw new ExomemError('InvalidArgument', 'a region has one metadata region, which is another one', {
      where: url,
      advice: 'write tcp://HOST:PORT/DATA?metadata=tcp://HOST:PORT/METADATA',
    });
  }
  return { data, metadata };
}

/** The URL of both as one. */
export function formatPairUrl({ data, metadata }: PairUrls): string {
  return `${data}${data.includes('?') ? '&' : '?'}${parameter}${metadata.replace(/[%&#\s]/g, encodeURIComponent)}`;
}
