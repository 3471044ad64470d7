// Brings a clone to where its programs and tests can start: installs what the lockfile names, then compiles. Does
// next to nothing when both are up to date. `--install` stops before the compilation.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { packages, root } from './workspace.mjs';

const stamp = join(root, 'node_modules/.exomem-installed');
const lock = join(root, '.ci/dist/bootstrap.lock');

/** Changes whenever an installation may have become stale. */
function fingerprint() {
  const hash = createHash('sha256');
  const manifests = packages().map((directory) => `${directory}/package.json`);
  for (const path of ['package.json', 'pnpm-workspace.yaml', 'pnpm-lock.yaml', ...manifests]) {
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  }
  return hash.digest('hex');
}

function run(what, command, args) {
  const { status, signal, error, stdout, stderr } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (status === 0) return;
  process.stderr.write(`${stdout ?? ''}${stderr ?? ''}`);
  throw new Error(`${what} failed: ${error?.message ?? signal ?? `exit code ${status}`}`);
}

function install() {
  const wanted = fingerprint();
  const whole = packages().every(
    (directory) => !needsModules(directory) || existsSync(join(root, directory, 'node_modules')),
  );
  if (whole && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return;
  console.error('exomem: installing dependencies ...');
  const { packageManager } = manifest('.');
  try {
    run('the installation', 'npx', ['--yes', packageManager, 'install', '--frozen-lockfile']);
  } catch (error) {
    error.message += `\nWho has changed dependencies brings the lockfile up to date: npx ${packageManager} install --no-frozen-lockfile`;
    throw error;
  }
  writeFileSync(stamp, wanted);
}

const manifest = (directory) => JSON.parse(readFileSync(join(root, directory, 'package.json'), 'utf8'));

function needsModules(directory) {
  const { dependencies, devDependencies } = manifest(directory);
  return Object.keys({ ...dependencies, ...devDependencies }).length > 0;
}

function compile() {
  if (!existsSync(join(root, 'adapters/exomem/dist'))) console.error('exomem: compiling ...');
  run('the compilation', process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-b', '--pretty', 'false']);
}

/** Two commands may be started at once in one clone: the second waits for the first. */
async function exclusively(action) {
  mkdirSync(dirname(lock), { recursive: true });
  for (let told = false; ; ) {
    try {
      writeFileSync(lock, String(process.pid), { flag: 'wx' });
      break;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    if (!alive(holder())) {
      rmSync(lock, { force: true });
      continue;
    }
    if (!told) console.error('exomem: waiting for another build of this clone ...');
    told = true;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  try {
    action();
  } finally {
    rmSync(lock, { force: true });
  }
}

function holder() {
  try {
    return Number(readFileSync(lock, 'utf8'));
  } catch {
    return 0;
  }
}

function alive(pid) {
  if (!pid) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

try {
  const [major] = process.versions.node.split('.');
  if (Number(major) < 20) throw new Error(`Node 20 or later is needed, this is ${process.versions.node}`);
  await exclusively(() => {
    install();
    if (!process.argv.includes('--install')) compile();
  });
} catch (error) {
  console.error(`exomem: ${error.message}`);
  process.exitCode = 1;
}
