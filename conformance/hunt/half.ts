/**
 * An appliance in a process of its own, with one region that a file keeps: half of one whose metadata lies apart. FILE BYTES ADDRESS. It
 * ends with its parent.
 */
import { Appliance, formatUrl, setAside } from '@exomem/transport-tcp';

const [file, size, listen] = process.argv.slice(2) as [string, string, string];
const { memory } = await setAside({ file, size: Number(size) });
const appliance = new Appliance();
appliance.expose('half', memory);
const address = await appliance.listen(listen);
process.on('disconnect', () => process.exit());
process.send!({ url: formatUrl(address, 'half') });
