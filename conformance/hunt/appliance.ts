/**
 * The appliance of the hunt, in a process of its own: regions that are asked for over the channel to its parent, each with
 * a steward if that is wanted. Ends with its parent.
 */
import { Client, format, type MemberLine, RegionMemory, run, Steward, shippedPolicies } from '@exomem/core';
import { Appliance, tcp } from '@exomem/transport-tcp';
import { surroundings } from 'exomem';
import { formatApart, transportTo } from './reach.js';

/** What its parent asks. */
export type Ask =
  | {
      readonly id: number;
      readonly ask: 'open';
      readonly size: number;
      readonly lease: number;
      readonly steward: boolean;
      /** Whose coordination rules it; `atomic` unless given. */
      readonly policy?: string | undefined;
      /** Its metadata lies in a region of its own. */
      readonly apart?: boolean | undefined;
    }
  | { readonly id: number; readonly ask: 'close'; readonly name: string };
/** What it answers. */
export interface Answer {
  readonly id: number;
  readonly name: string;
  readonly url: string;
  /** The member that the steward is. */
  readonly steward?: Pick<MemberLine, 'slot' | 'incarnation'>;
  readonly error?: string;
}

interface Kept {
  readonly client: Client;
  readonly steward: Steward;
}

const appliance = new Appliance({ limits: { connections: 1024 } });
const stewards = new Map<string, Kept>();
/** Names of what was exposed for each region. */
const exposed = new Map<string, string[]>();
let regions = 0;

async function open({ id, size, lease, steward, policy, apart }: Extract<Ask, { ask: 'open' }>): Promise<Answer> {
  const name = `r${++regions}`;
  const rule = shippedPolicies.find((one) => one.name === (policy ?? 'atomic'));
  if (rule === undefined) throw new Error(`there is no policy ${policy}`);
  const options = { zeroed: true, lease, wait: Math.ceil(lease * 1.3), policy: rule };
  const names = [name];
  exposed.set(name, names);
  const data = expose(name, size);
  let url = data;
  if (apart) {
    names.push(`${name}.metadata`);
    // Tables, records and two snapshots of what fits into the data.
    url = await formatApart(data, expose(names[1]!, size / 2 + 2 ** 21), options);
  }
  if (!apart) {
    const session = await tcp().connect(url, { clientId: new Uint8Array(16), lane: 0 });
    await run(format(size, options), { session, surroundings });
    await session.close();
  }
  if (!steward) return { id, name, url };
  const client = await Client.open({
    transport: transportTo(url),
    url,
    surroundings,
    role: 'steward',
    label: 'steward',
  });
  const kept = { client, steward: new Steward(client, { interval: 100 }) };
  kept.steward.start();
  stewards.set(name, kept);
  const { slot, incarnation } = client.member;
  return { id, name, url, steward: { slot, incarnation } };
}

function expose(name: string, size: number): string {
  appliance.expose(name, new RegionMemory([new SharedArrayBuffer(size)]));
  return appliance.url(name);
}

async function close({ id, name }: Extract<Ask, { ask: 'close' }>): Promise<Answer> {
  const kept = stewards.get(name);
  stewards.delete(name);
  await kept?.steward.stop();
  await kept?.client.close();
  for (const one of exposed.get(name) ?? []) appliance.withdraw(one);
  exposed.delete(name);
  return { id, name, url: '' };
}

await appliance.listen('127.0.0.1:0');
process.on('message', (ask: Ask) => {
  const work = ask.ask === 'open' ? open(ask) : close(ask);
  work
    .catch((error) => ({ id: ask.id, name: '', url: '', error: String(error) }))
    .then((answer) => process.send!(answer, () => undefined));
});
process.on('disconnect', () => process.exit());
process.send!({ id: 0 });
