export { FaultyLink } from './link.js';
export {
  checkFaultPlan,
  type FaultKind,
  type FaultPlan,
  faultKinds,
  type PlannedFault,
  rough,
  type Weather,
} from './plan.js';
export { FailedUnderFaults, type FaultSearch, underFaults } from './search.js';
export type { FaultySession } from './session.js';
export { type FaultyOptions, type FaultyTransport, faulty } from './transport.js';
