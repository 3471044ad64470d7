#!/usr/bin/env node
import * as nodeModule from 'node:module';

// Where Node can keep what it has compiled (22.8 and later), the second start is quicker.
(nodeModule as { enableCompileCache?: () => void }).enableCompileCache?.();
// Every command pays for what is imported here: nothing that not all of them need.
if (process.argv.length === 3 && (process.argv[2] === '--version' || process.argv[2] === '-V')) {
  const { version } = await import('./command/version.js');
  console.log(version());
} else {
  const { main } = await import('./command/main.js');
  process.exitCode = await main(process.argv.slice(2));
}
