import { ExomemError } from '@exomem/core';

/** A file or directory of a region. */
export interface Location {
  /** The URL of the region. */
  readonly url: string;
  /** Absolute, as it was given: a slash at its end says that a directory is meant. */
  readonly path: string;
}

/** Where a path comes from that names no region: `EXOMEM_URL`. */
const advice = 'write tcp://HOST:PORT/REGION/PATH, or set EXOMEM_URL=tcp://HOST:PORT/REGION and write /PATH';

/**
 * Reads what commands take for a file:
 *
 * - `SCHEME://HOST:PORT/REGION/PATH`: the first segment is the region, the rest the path in it
 * - `SCHEME:ANYTHING#/PATH`: for URLs without a host, as `unix:/run/exomem.sock?region=scratch#/models/a`
 * - `/PATH`, taken as it is, in the region that `base` (the variable EXOMEM_URL) names
 *
 * Paths in URLs may have %-escapes. Without a path it is the root.
 * @throws `InvalidArgument`
 */
export function parseLocation(text: string | undefined, base: string | undefined): Location {
  if (text === undefined || text.startsWith('/')) {
    if (base === undefined || base === '') {
      throw new ExomemError(
        'InvalidArgument',
        text === undefined ? 'no region is named' : 'this path names no region',
        {
          where: text,
          advice,
        },
      );
    }
    return { url: parseRegion(base), path: text ?? '/' };
  }
  const hosted = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+(?:\/[^/?#]*)?)(\/.*|(?:\?[^#]*)?(?:#\/.*)?)$/is.exec(text);
  if (hosted !== null) {
    const [, region, rest] = hosted;
    if (rest!.startsWith('/')) return { url: region!, path: unescapePath(rest!, text) };
    return split(`${region}${rest}`);
  }
  if (!/^[a-z][a-z0-9+.-]*:./i.test(text)) {
    throw new ExomemError('InvalidArgument', 'this is neither a URL nor a path', { where: text, advice });
  }
  return split(text);
}

/** Reads what commands take for a region. @throws `InvalidArgument` if a path inside follows. */
export function parseRegion(text: string): string {
  const { url, path } = parseLocation(text, undefined);
  if (path !== '/') {
    throw new ExomemError('InvalidArgument', 'this names a file, and a region is wanted', {
      where: text,
      advice: `write ${url}`,
    });
  }
  return url;
}

/** The URL of a file, to be typed again. */
export function formatLocation({ url, path }: Location): string {
  const escaped = path.split('/').map(encodeURIComponent).join('/');
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#]+\/[^/?#]+$/i.test(url) ? `${url}${escaped}` : `${url}#${escaped}`;
}

/** The last name of a path; '' of the root. */
export function baseName(path: string): string {
  return path.split('/').filter(Boolean).at(-1) ?? '';
}

function split(text: string): Location {
  const mark = text.indexOf('#/');
  if (mark === -1) return { url: text, path: '/' };
  return { url: text.slice(0, mark), path: unescapePath(text.slice(mark + 1), text) };
}

function unescapePath(path: string, where: string): string {
  try {
    return decodeURIComponent(path);
  } catch (cause) {
    throw new ExomemError('InvalidArgument', 'its %-escapes are broken', {
      where,
      advice: 'write %25 for a percent sign, or set EXOMEM_URL and write the path alone',
      cause,
    });
  }
}
