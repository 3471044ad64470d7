export { checkHistory, type HistoryOptions, type HistoryReport, type HistoryViolation } from './check.js';
export { type HistoryEvent, type HistoryOp, historyOps, parseHistory } from './event.js';
export { recorded } from './recorded-transport.js';
export { type HistoryCall, HistoryRecorder, type RecordedWords } from './recorder.js';
