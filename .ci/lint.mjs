// `npm run lint` says what is wrong with the sources; `--write` (`npm run format`) mends what can be mended.
import { biome, layers } from './checks.mjs';

const write = process.argv.includes('--write');
const found = write ? [await biome('--write')] : [await biome(), layers()];
for (const output of found) if (output !== undefined) console.error(output);
process.exitCode = found.some((output) => output !== undefined) ? 1 : 0;
