export { type ConformOptions, conform } from './conform.js';
export { reportJUnit } from './junit.js';
export { type Failure, type Report, unfitReport, type Verdict } from './report.js';
export { type ConformModule, type Subject, subjectOf } from './subject.js';
export { failureText, reportText, summary, verdictLine } from './text.js';
