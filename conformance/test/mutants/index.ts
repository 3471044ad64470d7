/**
 * Seeded bugs, and what kills each: `npm run mutants -- [PATTERN ...] [--seeds N] [--seed FIRST] [--quick] [--json]`. A pattern is part
 * of a mutant's name or its ground (transport, policy, protocol, codec, history, mount). It ends with 1 if a mutant lives, or if all
 * are hunted and a law kills none; `--quick` leaves the slow ones out, and hunts with less effort.
 */
import { parseArgs } from 'node:util';
import { hunt, killed, killersOf, mutants, type Row, rowText } from './table.js';

const { values, positionals } = parseArgs({
  options: {
    seeds: { type: 'string', default: '3' },
    seed: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
  allowPositionals: true,
});
const [first, count] = [Number(values.seed), Number(values.seeds)];
const chosen = mutants.filter(
  ({ name, of, slow }) =>
    (positionals.length === 0 || positionals.some((one) => name.includes(one) || of === one)) &&
    !(values.quick && slow === true),
);
if (!Number.isInteger(first) || !(count >= 1) || chosen.length === 0) {
  console.error('npm run mutants -- [PATTERN ...] [--seeds N] [--seed FIRST] [--quick] [--json]');
  console.error(chosen.length === 0 ? 'no mutant has a name like that' : 'seeds are whole numbers, one at least');
  process.exit(2);
}

const seeds = Array.from({ length: count }, (_, at) => first + at);
// What spoiled subjects throw into the void is theirs.
process.on('unhandledRejection', () => undefined);
const rows: Row[] = [];
if (!values.json) console.log('of | mutant | killed by | after | at most');
for (const mutant of chosen) {
  const row = await hunt(mutant, seeds, values.quick);
  rows.push(row);
  if (!values.json) console.log(rowText(row));
}
const laws = killersOf(rows);
const whole = chosen.length === mutants.length;
const idle = whole ? laws.filter((law) => law.killed.length === 0) : [];
const alive = rows.filter((row) => !killed(row));
if (values.json) {
  const table = rows.map(({ mutant: { name, of, law }, attempts }) => ({ name, of, seededFor: law, attempts }));
  console.log(JSON.stringify({ seeds, mutants: table, laws }, undefined, 2));
} else {
  console.log('\nof | law | kills | among them');
  for (const law of laws) {
    if (!whole && law.killed.length === 0) continue;
    console.log(`${law.of} | ${law.id} | ${law.killed.length} | ${law.killed[0] ?? 'NONE'}`);
  }
  console.log(`\n${rows.length - alive.length} of ${rows.length} mutants killed, with seeds ${seeds.join(', ')}`);
  for (const { id } of idle) console.log(`the law ${id} kills none`);
}
process.exitCode = alive.length > 0 || idle.length > 0 ? 1 : 0;
// A subject that is wrong in how it ends may hold on to something.
process.exit();
