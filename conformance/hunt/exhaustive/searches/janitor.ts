import { encodeApplied, memberFields, memberLineOffset } from '@exomem/core';
import type { Actor } from '../actor.js';
import type { Plot } from '../plot.js';

/** Who does nothing until the end, and then recovers everybody and looks at what is left. It holds nobody up. */
export function janitor(plot: Plot): Actor {
  const actor = plot.actor('Z');
  const line = memberLineOffset(plot.geometry, actor.member.slot);
  plot.memory.store(line + memberFields.w1, encodeApplied(1, 2 ** 40));
  return actor;
}
