export { type ConformOptions, conform } from './conform.js';
export { reportJUnit, unfitJUnit } from './junit.js';
export type { Failure, Report, Verdict } from './report.js';
export { type ConformModule, type Subject, subjectOf } from './subject.js';
export { failureText, reportText, summary, verdictLine } from './text.js';
