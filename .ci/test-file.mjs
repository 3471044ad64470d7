// Runs one compiled test file in a process of its own and judges it by its ledger (conformance/testing/src/ledger.ts):
// exit codes alone say too little.
import { spawn } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';

/** How long a process may stay after its last suite. It ends itself a little earlier and says what kept it. */
const grace = 7_000;
const running = new Set();

/** Ends every test process with what it started. SIGTERM lets a runner that is itself under test do the same. */
export function killAll(signal = 'SIGKILL') {
  for (const group of running) kill(-group, signal);
}

/**
 * @param {{ compiled: string, deadline: number }} file
 * @param {string} scratch folder for output and ledgers
 * @returns {Promise<{ passed: string[], failed: { name: string, reason: string }[], skipped: { name: string, reason: string }[], output: string, milliseconds: number }>}
 */
export async function runTestFile(file, scratch) {
  const name = `${basename(scratch)}-${process.hrtime.bigint()}`;
  // A runner that a test starts is found by the mark of its test, too, with all that it began.
  const mark = [process.env.EXOMEM_TEST_MARK, name].filter(Boolean).join('/');
  const ledgerPath = join(scratch, `${name}.ledger`);
  const outputPath = join(scratch, `${name}.output`);
  // Into a file: a pipe stays open for as long as any grandchild holds it.
  const output = openSync(outputPath, 'w');
  closeSync(openSync(ledgerPath, 'w'));
  const began = performance.now();
  const child = spawn(process.execPath, ['--enable-source-maps', file.compiled], {
    detached: true,
    stdio: ['ignore', output, output],
    env: { ...process.env, EXOMEM_TEST_LEDGER: ledgerPath, EXOMEM_TEST_MARK: mark },
  });
  closeSync(output);
  const group = child.pid;
  if (group !== undefined) running.add(group);
  const { exit, killedFor } = await watch(child, ledgerPath, file.deadline);
  const left = group === undefined ? [] : await leftBehind(group, mark);
  if (group !== undefined) {
    kill(-group);
    running.delete(group);
  }
  for (const { pid } of left) kill(pid);
  const verdict = judge(read(ledgerPath), exit, killedFor, left);
  return { ...verdict, output: readFileSync(outputPath, 'utf8'), milliseconds: performance.now() - began };
}

function watch(child, ledgerPath, deadline) {
  return new Promise((resolve) => {
    let killedFor;
    let settledAt;
    const end = (reason) => {
      killedFor = reason;
      kill(-child.pid);
    };
    const began = performance.now();
    const timer = setInterval(() => {
      if (killedFor !== undefined) return;
      const now = performance.now();
      if (now - began > deadline) return end(`did not end within its deadline of ${deadline / 1000} s`);
      if (read(ledgerPath).at(-1)?.event !== 'settled') settledAt = undefined;
      else settledAt ??= now;
      if (now - settledAt > grace) end('leaked handle: its suites have ended, its process stays');
    }, 200);
    const done = (exit) => {
      clearInterval(timer);
      resolve({ exit, killedFor });
    };
    child.once('error', (error) => done(error.message));
    child.once('exit', (code, signal) => done(code === 0 ? undefined : signal === null ? `exit code ${code}` : signal));
  });
}

/** Turns a ledger into results. Everything that does not add up is a failure of its own. */
function judge(ledger, exit, killedFor, left) {
  const passed = [];
  const failed = [];
  const skipped = [];
  const suites = new Map();
  let current;
  let leaked;
  for (const entry of ledger) {
    const suite = suites.get(entry.suite);
    if (entry.event === 'suite') suites.set(entry.suite, { name: entry.name, results: 0 });
    else if (entry.event === 'declared') suite.tests = entry.tests;
    else if (entry.event === 'ended') suite.ended = true;
    else if (entry.event === 'begin') current = entry.name;
    else if (entry.event === 'leaked') leaked = entry.resources;
    else if (entry.event === 'settled') current = undefined;
    else {
      if (entry.event !== 'hook') suite.results += 1;
      if (entry.event === 'passed') passed.push(entry.name);
      else if (entry.event === 'skipped') skipped.push({ name: `${suite.name}: ${entry.name}`, reason: entry.reason });
      else failed.push({ name: `${suite.name}: ${entry.name}`, reason: entry.reason });
    }
  }
  const fail = (reason) => failed.push({ name: 'the file', reason });
  if (killedFor !== undefined) fail(current === undefined ? killedFor : `${killedFor}; it was at "${current}"`);
  if (leaked !== undefined) fail(`leaked handle: its suites have ended, its process is kept by ${leaked.join(', ')}`);
  if (left.length > 0) fail(`left processes behind: ${left.map(({ pid, name }) => `${name} (${pid})`).join(', ')}`);
  if (suites.size === 0) fail(`declares no suite${exit === undefined ? '' : ` (${exit})`}`);
  for (const { name, tests, results, ended } of suites.values()) {
    if (killedFor !== undefined) break;
    if (tests === undefined) fail(`suite "${name}" was not run: is its run() missing?`);
    else if (results !== tests) fail(`suite "${name}" declares ${tests} tests and has results of ${results}`);
    else if (!ended) fail(`suite "${name}" did not come to its end`);
  }
  if (exit !== undefined && failed.length === 0) fail(`every test passed, yet its process ended with ${exit}`);
  return { passed, failed, skipped };
}

function read(ledgerPath) {
  const text = readFileSync(ledgerPath, 'utf8');
  // A process that was killed may have left half a line.
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  return whole
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));
}

/** Processes that outlive their test: of its group, or anywhere with its mark in the environment. Linux alone tells. */
async function leftBehind(group, mark) {
  for (let attempt = 0; ; attempt++) {
    const left = processes().filter((one) => one.group === group || one.marked(mark));
    if (left.length === 0 || attempt === 10) return left;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function processes() {
  const found = [];
  for (const entry of entries('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    // pid (name) state parent group ...; a zombie has ended, its parent has only not asked yet.
    const match = /^\d+ \((.*)\) (\S) \d+ (\d+) /s.exec(text(`/proc/${entry}/stat`));
    if (match === null || match[2] === 'Z' || match[2] === 'X') continue;
    const marked = (mark) => text(`/proc/${entry}/environ`).includes(`EXOMEM_TEST_MARK=${mark}`);
    found.push({ pid: Number(entry), name: match[1], group: Number(match[3]), marked });
  }
  return found;
}

function entries(directory) {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function text(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

function kill(target, signal = 'SIGKILL') {
  try {
    process.kill(target, signal);
  } catch {
    // It has ended by itself.
  }
}
