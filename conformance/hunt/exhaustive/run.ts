import { exhaustive } from './main.js';

process.exitCode = exhaustive(process.argv.slice(2)) ? 0 : 1;
