import { ruleOf } from './rules.js';
import { allLaws, mutants } from './table.js';

/** A page of laws of one kind. */
export interface LawPage {
  readonly file: string;
  readonly title: string;
  readonly of: readonly string[];
  readonly says: string;
}

export const lawPages: readonly LawPage[] = [
  {
    file: 'transports.md',
    title: 'Laws of transports',
    of: ['transport'],
    says: '`transportLaws(subject)`. What is named as its rule is a part of `core/src/transport/transport.ts`.',
  },
  {
    file: 'policies.md',
    title: 'Laws of allocation policies',
    of: ['policy'],
    says: '`policyLaws({ name, policy })`. What is named as its rule is an invariant of [searches.md](searches.md), or a part of\n`core/src/policy/policy.ts`.',
  },
  {
    file: 'file-systems.md',
    title: 'Laws of file systems',
    of: ['mount'],
    says: '`mountLaws(dir, dir2)`. The rule is what POSIX says, and between two mounts what [guarantees.md](../guarantees.md) says.',
  },
  {
    file: 'searches.md',
    title: 'What searches and checkers hold',
    of: ['search', 'codec', 'history'],
    says: 'The invariants that `npm run hunt -- exhaustive` holds every moment to (see [proofs.md](../proofs.md)), what the readers of bytes are\nheld to, and what `checkHistory` says.',
  },
];

/** Lines of a counter-example that are shown. */
const most = 24;
/** Characters of a line. */
const widest = 200;

/** A counter-example as it stands on a page. */
export function shownOf(what: string): string {
  const lines = what
    .split('\n')
    .filter((line) => !/^ {2}(the law|corpus): /.test(line))
    .map((line) => (line.length > widest ? `${line.slice(0, widest)} ...` : line).trimEnd());
  return [...lines.slice(0, most), ...(lines.length > most ? ['  ...'] : [])].join('\n');
}

/** What stands between three of these is what a run printed; all else follows from the laws and the mutants. */
const fence = '```';

/** A page. @param shown the counter-example of each law, by `of id` */
export function pageText({ title, of, says }: LawPage, shown: ReadonlyMap<string, string>): string {
  const lines = [`# ${title}`, '', '<!-- made by `npm run laws-pages` -->', '', says];
  for (const law of allLaws().filter((one) => of.includes(one.of))) {
    const { purpose } = law;
    const rule = ruleOf(law.of, law.id);
    const own = mutants.filter((one) => one.law === law.id && (one.of === 'protocol' ? 'search' : one.of) === law.of);
    lines.push('', `## ${law.id}`, '', `${capital(law.sentence).replace(/\.$/, '')}.`, '');
    if (purpose) lines.push(`- What it is good for: ${purpose}.`);
    if (rule !== undefined) lines.push(`- Rule: ${rule}.`);
    lines.push(`- Broken by: ${own.map(({ name }) => name).join('; ')}.`, '');
    lines.push(`${fence}text`, shown.get(`${law.of} ${law.id}`) ?? '', fence);
  }
  return `${lines.join('\n')}\n`;
}

/** The page without what runs printed. */
export const skeletonOf = (page: string): string => page.replace(/^```text\n(.*?)^```$/gms, '```text\n```');

/** What runs printed, by the order of the laws. */
export const examplesOf = (page: string): string[] =>
  [...page.matchAll(/^```text\n(.*?)^```$/gms)].map(([, text]) => text!);

const capital = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
