import type { Report, Verdict } from './report.js';
import { failureText } from './text.js';

const suites = {
  transport: 'laws of transports',
  policy: 'laws of policies',
  mount: 'laws of file systems',
  unfit: 'laws',
} as const;

/** A report as a JUnit file: one test suite, a case for each law. */
export function reportJUnit(report: Report): string {
  const { subject, passed, failed, skipped, milliseconds, seed } = report;
  const counts = `tests="${passed + failed + skipped}" failures="${failed}" errors="0" skipped="${skipped}"`;
  const time = seconds(milliseconds);
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts} time="${time}">`,
    `  <testsuite name="${quote(`${suites[report.kind]}: ${subject}`)}" ${counts} time="${time}">`,
    `    <properties><property name="seed" value="${seed}"/></properties>`,
    ...report.laws.map((verdict) => testCase(subject, verdict)),
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

function testCase(subject: string, verdict: Verdict): string {
  const { id, sentence, status, reason, failure, milliseconds } = verdict;
  const head = `    <testcase classname="${quote(subject)}" name="${quote(`${id}: ${sentence}`)}" time="${seconds(milliseconds)}"`;
  if (status === 'passed') return `${head}/>`;
  if (status === 'skipped') return `${head}><skipped message="${quote(reason ?? '')}"/></testcase>`;
  const [first] = (failure?.message ?? '').split('\n');
  return `${head}><failure message="${quote(first ?? '')}">${quote(failureText(verdict))}</failure></testcase>`;
}

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\n': '&#10;' };

/** Beside the five signs, XML 1.0 has no place for control characters, and a subject may say anything. */
function quote(text: string): string {
  return text.replace(/[&<>"\n]/g, (sign) => entities[sign]!).replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, '?');
}
const seconds = (milliseconds: number): string => (milliseconds / 1000).toFixed(3);
