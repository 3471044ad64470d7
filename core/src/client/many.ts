import { ExomemError } from '../errors.js';
import { allocateMany, freeMany, type ManyRequest } from '../policy/many.js';
import type { Allocator, Extent } from '../policy/policy.js';
import type { CallOptions } from '../transport/transport.js';
import { type AllocateOptions, Allocation, abandonable, requestOf } from './allocation.js';
import type { Client } from './client.js';

/** Options of many allocations at once: they are anonymous. */
export type ManyOptions = Pick<AllocateOptions, 'alignment' | 'initialise'> & CallOptions;

/** Runs of the policy, for that allocator: as many as asked for, or a typed refusal that holds nothing. */
export async function claimMany(
  client: Client,
  allocator: Allocator,
  count: number,
  bytes: number,
  options: ManyOptions,
): Promise<readonly Extent[]> {
  const { signal } = options;
  if (signal?.aborted) throw new ExomemError('Aborted', 'aborted before it began', { cause: signal.reason });
  const request: ManyRequest = { ...requestOf(client, bytes, options), count };
  const work = client.findRoom(request.pages, allocator, () => allocateMany(allocator, request));
  return abandonable(work, options, (extents) => client.run(freeMany(allocator, extents)));
}

/** See {@link Client.allocateMany}. */
export async function allocateAll(
  client: Client,
  allocator: Allocator,
  count: number,
  bytes: number,
  options: ManyOptions,
): Promise<Allocation[]> {
  const extents = await claimMany(client, allocator, count, bytes, options);
  return extents.map((extent) => Allocation.of(client, allocator, extent, bytes));
}

/** See {@link Client.freeMany}. */
export async function freeAll(client: Client, allocations: readonly Allocation[]): Promise<void> {
  const extents = new Map<Allocator, Extent[]>();
  const units: Allocation[] = [];
  for (const allocation of allocations) {
    if (allocation.client !== client)
      throw new ExomemError('PermissionDenied', 'an allocation of another client cannot be freed by this one');
    if (allocation.reserved) {
      units.push(allocation);
      continue;
    }
    const { allocator, extent } = allocation;
    const own = extents.get(allocator);
    if (own === undefined) extents.set(allocator, [extent]);
    else own.push(extent);
  }
  for (const [allocator, own] of extents) await client.run(freeMany(allocator, own));
  for (const unit of units) unit.freeSync();
}
