import type { Report, Verdict } from './report.js';

/** One law in one line. */
export function verdictLine({ id, sentence, status, reason, milliseconds }: Verdict): string {
  if (status === 'skipped') return `skip  ${id}: ${reason}`;
  return `${status === 'passed' ? 'ok  ' : 'FAIL'}  ${id}: ${sentence}  (${seconds(milliseconds)})`;
}

/** What is wrong, law by law, and the line to type for each. */
export function failureText({ id, sentence, purpose, failure }: Verdict): string {
  if (failure === undefined) return '';
  const lines = [`${id}: ${sentence}`, indent(failure.message)];
  if (failure.counterexample !== undefined)
    lines.push(`  the simplest case found: ${indent(failure.counterexample).trim()}`);
  if (purpose !== '') lines.push(`  what the law is for: ${purpose}`);
  lines.push(`  again: ${failure.again}`);
  return lines.join('\n');
}

/** The whole of a report for people: what was excused, what failed and how, and the sum. */
export function reportText(report: Report): string {
  const lines: string[] = [];
  const skipped = report.laws.filter(({ status }) => status === 'skipped');
  const failed = report.laws.filter(({ status }) => status === 'failed');
  if (skipped.length > 0) {
    lines.push('Skipped, for what it declares:');
    for (const reason of new Set(skipped.map((verdict) => verdict.reason))) {
      const ids = skipped.filter((verdict) => verdict.reason === reason).map(({ id }) => id);
      lines.push(`  ${reason} (${ids.join(', ')})`);
    }
    lines.push('');
  }
  for (const { id, note } of report.laws) if (note !== undefined) lines.push(`${id} came so far: ${note}`, '');
  if (failed.length > 0) lines.push('Broken:', '', ...failed.flatMap((verdict) => [failureText(verdict), '']));
  lines.push(summary(report));
  return lines.join('\n');
}

/** The sum in one line. */
export function summary({ subject, passed, failed, skipped, rounds, seed, milliseconds }: Report): string {
  const often = rounds > 1 ? `, ${rounds} rounds` : '';
  return `${subject}: ${passed} laws kept, ${failed} broken, ${skipped} skipped; seed ${seed}${often}, ${seconds(milliseconds)}`;
}

const indent = (text: string): string => text.replace(/^/gm, '  ');
const seconds = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(1)} s`;
