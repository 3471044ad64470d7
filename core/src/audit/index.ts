/**
 * An independent reading of a region's bytes, and what must be true of them.
 *
 * ```ts
 * const { findings, damaged } = await run(auditRegion(session.size), { session, surroundings });
 * for (const { oracle, severity, what, where } of findings) console.log(severity, oracle, where, what);
 * ```
 *
 * A simulator, which knows what its clients were told, reads an image between two steps and judges both:
 * `judge(imageOf(memory), { handles, appends }, { atRest: true })`.
 */
export * from './audit.js';
export type { Counts } from './counts.js';
export type { Finding, Place, Severity } from './finding.js';
export { imageOf, type ReadableMemory, type RegionImage, readImage, type Tables } from './image.js';
export type { LogEntry, LogImage } from './log-image.js';
export type { MemberImage } from './member-image.js';
export type { JudgeOptions, Oracle } from './oracle.js';
export { fits } from './oracles/refusals.js';
export * from './repair/repair.js';
export type { Standing } from './standing.js';
export * from './told.js';
