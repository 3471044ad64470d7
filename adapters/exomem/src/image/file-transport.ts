import { fileURLToPath } from 'node:url';
import { ExomemError, type Session, type Transport } from '@exomem/core';
import { localFailure } from '../commands/local.js';
import { FileSession } from './file-session.js';
import { fileImage } from './region-image.js';

/** Looks at a region that a file keeps, as `file:PATH`. It cannot be joined: nobody would see what one does there. */
export function fileTransport(): Transport {
  return {
    name: 'file',
    schemes: ['file'],
    apiVersion: 1,
    async connect(url): Promise<Session> {
      const path = pathOf(url);
      try {
        return new FileSession(await fileImage(path));
      } catch (error) {
        throw localFailure(error, path);
      }
    },
  };
}

function pathOf(url: string): string {
  if (/^file:\/\//i.test(url)) {
    try {
      return fileURLToPath(url);
    } catch (cause) {
      throw new ExomemError('InvalidArgument', 'this names no file of this machine', { where: url, cause });
    }
  }
  return url.slice('file:'.length);
}
