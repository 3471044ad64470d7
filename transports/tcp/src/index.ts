export {
  type Address,
  checkRegionName,
  defaultHost,
  defaultPort,
  defaultRegion,
  formatAddress,
  formatUrl,
  parseListen,
  parseUrl,
  type RegionAddress,
} from './address.js';
export {
  Appliance,
  type ApplianceEvent,
  type ApplianceOptions,
  type ServeOptions,
  serveTcp,
} from './appliance/appliance.js';
export { type ApplianceLimits, defaultLimits } from './appliance/limits.js';
export { TcpSession } from './client/session.js';
export { type TcpOptions, tcp } from './client/transport.js';
export { destroyFile } from './memory/kept-file.js';
export { loadLibc } from './memory/libc.js';
export { memoryRoom, type Room, type SystemPaths } from './memory/room.js';
export { type BackingMemory, type SetAsideOptions, setAside } from './memory/set-aside.js';
export type { FrameTrace } from './wire/trace.js';
