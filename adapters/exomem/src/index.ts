/**
 * External memory for programs.
 *
 * ```ts
 * import { MiB, open } from 'exomem';
 *
 * await using memory = await open('tcp://127.0.0.1:7070/default');
 * const model = await memory.allocate(64 * MiB, { name: '/model' });   // the file `model` in every mount
 * await model.write(0, new TextEncoder().encode('hello'));
 * ```
 */
export {
  type AllocateOptions,
  Allocation,
  type AllocationPolicy,
  type ClientEvent,
  type ErrorCode,
  ExomemError,
  errorTable,
  isExomemError,
  type ManyOptions,
  type MemberLine,
  Namespace,
  type Placement,
  type PrincipalLine,
  RegionFile,
  Reservation,
  type Stat,
  type Transport,
  type Usage,
} from '@exomem/core';
export { Composition } from './composition/composition.js';
export { loadPlugin, type Plugin, pluginApiVersion } from './composition/plugin.js';
export { Scope } from './composition/scope.js';
export { Memory } from './memory.js';
export { type OpenOptions, open } from './open.js';
export { surroundings } from './surroundings.js';
export { GiB, KiB, MiB, TiB } from './units.js';
