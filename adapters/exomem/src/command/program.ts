import { Command } from 'commander';
import { Context } from './context.js';
import { exitCodeTable } from './exit-code.js';
import type { Interrupt } from './interrupt.js';
import { Output } from './output.js';
import { version } from './version.js';

const about = `
Where it is: URLs
  tcp://HOST:PORT/REGION/PATH   the first segment is the region, the rest a path in it; %-escapes are decoded
  unix:SOCKET#/PATH             a socket of the file system; unix:SOCKET?region=REGION#/PATH for a region by name
  file:FILE#/PATH               a region that a file keeps, or an image of one: to look at
  /PATH                         a path in the region that EXOMEM_URL names, taken as it is

Environment
  EXOMEM_URL    the region, where none is named
  EXOMEM_TRACE  wire: every frame, on stderr
  EXOMEM_DEBUG  1: errors with their stacks
  NO_COLOR      no colours

Exit codes
${exitCodeTable()}

Try it
  exomem up                                 appliance, steward and mount in one, until Ctrl-C
  exomem serve --size 1G                    an appliance at tcp://127.0.0.1:7070/default
  export EXOMEM_URL=tcp://127.0.0.1:7070/default
  exomem put notes.txt /notes.txt && exomem cat /notes.txt
`;

const collect = (value: string, before: readonly string[] = []): string[] => [...before, value];

/** Options of every command. */
interface Globals {
  readonly json?: boolean;
  readonly plugin?: string[];
  readonly policy?: string;
  readonly placement?: string;
}

/** The command line: what there is, with what options. What a command needs is loaded when it runs. */
export function program(interrupt: Interrupt, exit: (code: number) => void): Command {
  const exomem = new Command('exomem')
    .description('External memory: RAM of another process or machine, shared out by the programs that use it.')
    .version(version(), '-V, --version')
    .option('--json', 'print for programs: one JSON value')
    .option(
      '--plugin <module>',
      'take transports, policies, placements and hosts from a module as well; may be repeated',
      collect,
    )
    .option(
      '--policy <name|module>',
      'how clients coordinate: of a region that is made now, for good; of another it has to be the one that it has',
    )
    .option(
      '--placement <name|module>',
      'where allocations of this command go: low-fragmentation, first-fit, best-fit, aligned or yours',
    )
    .addHelpText('after', about)
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  let current = exomem;
  exomem.configureOutput({
    outputError: (text, write) => {
      let name = current.name();
      for (let above = current.parent; above; above = above.parent) name = `${above.name()} ${name}`;
      write(
        `${text
          .trim()
          .replace(/\.$/, '')
          .replace(/^error: /, 'exomem: ')
          .replace(/\s*\n\s*/g, ' ')}: \`${name} --help\` shows what there is\n`,
      );
    },
  });
  const follow = (_: Command, sub: Command): void => {
    current = sub;
  };
  exomem.hook('preSubcommand', follow);

  /** Declares a command; `run` gets its arguments and options behind the context. */
  const command = <A extends unknown[]>(
    signature: string,
    summary: string,
    examples: readonly string[],
    run: (context: Context, ...args: A) => Promise<number | void>,
    above = exomem,
  ): Command =>
    above
      .command(signature)
      .description(summary)
      .addHelpText('after', `\nExamples\n${examples.map((line) => `  ${line}`).join('\n')}`)
      .action(async (...args: unknown[]) => {
        const { json = false, plugin: plugins = [], policy, placement } = exomem.opts<Globals>();
        const context = new Context(new Output(json), interrupt, { plugins, policy, placement });
        // Behind the arguments and options commander puts the command itself.
        const code = await run(context, ...(args.slice(0, -1) as A));
        if (code !== undefined) exit(code);
      });

  command(
    'up [dir]',
    'Begin: an appliance, its steward and a mounted directory in one, until Ctrl-C.',
    [
      'exomem up',
      'exomem up /mnt/exomem --size 4G',
      'exomem up --no-mount --listen 127.0.0.1:7070',
      'exomem up --policy ./mine.js --placement best-fit     # a policy of yours, another placement',
    ],
    async (context, dir: string | undefined, options: import('../commands/up.js').UpFlags) =>
      (await import('../commands/up.js')).up(context, dir, options),
  )
    .option('--size <size>', 'how much (default: a quarter of the free memory, at most 1G)')
    .option(
      '--listen <address>',
      'HOST:PORT or unix:PATH (default: any free port of 127.0.0.1); may be repeated',
      collect,
    )
    .option('--name <name>', 'the name of the region', 'default')
    .option('--no-mount', 'appliance and steward alone')
    .option('--load <image>', 'begin with the region of an image, which has its size')
    .option(
      '--metadata <place>',
      'keep the metadata in a region of its own: a size, or the URL of one that is set aside',
    )
    .option('--save <image>', 'save the region there when it ends; a file that has the name is replaced then');

  command(
    'serve',
    'Set memory aside and let others use it: an appliance with one region, until Ctrl-C.',
    [
      'exomem serve --size 64G',
      'exomem serve --size 512M --listen 127.0.0.1:0 --name scratch',
      'exomem serve --size 8G --listen unix:/run/exomem.sock',
      'exomem serve --size 8G --file /var/lib/exomem/region     # keeps it when it ends',
      'exomem serve --load yesterday --save today               # from an image, into another',
      'exomem serve --size 64G --metadata 512M                  # the metadata in a region of its own',
      'exomem serve --size 512M --raw --name meta --listen :7071 # that region, on another machine; then here:',
      'exomem serve --size 64G --metadata tcp://other:7071/meta',
    ],
    async (context, options: import('../commands/serve.js').ServeFlags) =>
      (await import('../commands/serve.js')).serve(context, options),
  )
    .option('--size <size>', 'how much, as 512M, 64GiB or 1.5G; may be left out where --file exists')
    .option('--listen <address>', 'HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 is any; may be repeated', collect)
    .option('--name <name>', 'the name of the region', 'default')
    .option('--file <path>', 'keep the region in this file')
    .option('--lease <duration>', 'who is silent for longer than about this counts as dead (default 10s)')
    .option('--format', 'format what --file holds: everything in it is lost')
    .option('--load <image>', 'begin with the region of an image, which has its size')
    .option(
      '--metadata <place>',
      'keep the metadata in a region of its own: a size, or the URL of one that is set aside',
    )
    .option('--raw', 'only set memory aside: for the metadata of a region that another exomem serves')
    .option(
      '--configured',
      'members are numbers that programs are given, for transports that only read and write (with --policy message)',
    )
    .option('--initialise <when>', 'pages become zero lazily, when given out (default), or before, when they are freed')
    .option('--scrub', 'as --initialise before, and zero memory that no file keeps when it ends')
    .option(
      '--clean <size>',
      'zero so much of what is free in a second, in the background (default 16M with before, else 0)',
    )
    .option('--save <image>', 'save the region there when it ends; a file that has the name is replaced then');

  command(
    'destroy <path>',
    'Remove the file of a region that nobody serves.',
    ['exomem destroy /var/lib/exomem/region'],
    async (context, path: string, options: { force?: boolean }) =>
      (await import('../commands/destroy.js')).destroy(context, path, options),
  ).option('-f, --force', 'also a file that does not look like one');

  command(
    'mount <region> <dir>',
    'Show a region as a directory, until Ctrl-C or umount.',
    [
      'exomem mount tcp://127.0.0.1:7070/default /mnt/exomem',
      'exomem mount unix:/run/exomem.sock /mnt/exomem --io-timeout 30s',
    ],
    async (context, region: string, dir: string, options: import('../commands/mount.js').MountFlags) =>
      (await import('../commands/mount.js')).mount(context, region, dir, options),
  )
    .option('--host <name>', 'how requests of the kernel come in (default fuse-native)')
    .option('--io-timeout <duration>', 'what the appliance does not answer for that long fails with EIO (default 10s)')
    .option('--allow-other', 'other users may use it (default where root mounts)');

  command(
    'umount <dir>',
    'Unmount a directory, also one whose server is gone.',
    ['exomem umount /mnt/exomem', 'exomem umount -f /mnt/exomem     # although programs use it'],
    async (context, dir: string, options: { force?: boolean }) =>
      (await import('../commands/mount.js')).umount(context, dir, options),
  ).option('-f, --force', 'although programs use it, or its server does not answer');

  command(
    'ls [location]',
    'List a directory, or show a file.',
    ['exomem ls tcp://127.0.0.1:7070/default', 'exomem ls -l /models', 'exomem ls --json /models'],
    async (context, location: string | undefined, options: { long?: boolean }) =>
      (await import('../commands/ls.js')).ls(context, location, options),
  ).option('-l, --long', 'kind, permissions, links, owner, size and time as well');

  command(
    'stat <location...>',
    'Show what there is to know of a file.',
    ['exomem stat tcp://127.0.0.1:7070/default/models/a.gguf', 'exomem stat --json /models'],
    async (context, locations: string[]) => (await import('../commands/stat.js')).stat(context, locations),
  );

  command(
    'put <file> [location]',
    'Copy a local file, or with -r a directory, into a region. A file appears whole, in place of what had its name.',
    [
      'exomem put a.gguf tcp://127.0.0.1:7070/default/models/a.gguf',
      'exomem put a.gguf /models/                 # keeps its name',
      'tar c . | exomem put - /backup.tar         # from stdin',
      'exomem put -r models /                     # to /models, with links, permissions, owners and times',
      'exomem put -r models/. /other              # what is in it, into /other',
    ],
    async (
      context,
      file: string,
      location: string | undefined,
      options: { clobber: boolean; recursive?: boolean; skip?: boolean },
    ) => (await import('../commands/put.js')).put(context, file, location, options),
  )
    .option('-r, --recursive', 'a directory, with all that is in it; nothing is copied if something cannot be')
    .option('-n, --no-clobber', 'refuse a name that exists')
    .option('--skip', 'leave sockets, pipes, devices and names that are no UTF-8 out of a tree, and name them');

  command(
    'du [location]',
    'Show how many bytes of pages the files below a path really hold: holes take none, further names none.',
    ['exomem du tcp://127.0.0.1:7070/default', 'exomem du -sh /models', 'exomem du --json /models'],
    async (context, location: string | undefined, options: import('../commands/du.js').DuFlags) =>
      (await import('../commands/du.js')).du(context, location, options),
  )
    .option('-s, --summarize', 'the sum alone')
    .option('-h, --human-readable', 'in KiB, MiB, GiB')
    // -h is taken.
    .helpOption('--help', 'display help for command');

  command(
    'get <location> [file]',
    'Copy a file of a region, or with -r a directory, to a local one.',
    [
      'exomem get tcp://127.0.0.1:7070/default/models/a.gguf',
      'exomem get /models/a.gguf /tmp/b.gguf',
      'exomem get /backup.tar - | tar t           # to stdout',
      'exomem get -r /models /tmp                 # to /tmp/models, with links, permissions and times',
    ],
    async (context, location: string, file: string | undefined, options: { recursive?: boolean }) =>
      (await import('../commands/get.js')).get(context, location, file, options),
  ).option('-r, --recursive', 'a directory, with all that is in it');

  command(
    'cat <location...>',
    'Print files of a region.',
    ['exomem cat tcp://127.0.0.1:7070/default/notes.txt', 'exomem cat /part1 /part2 > whole'],
    async (context, locations: string[]) => (await import('../commands/cat.js')).cat(context, locations),
  );

  command(
    'rm <location...>',
    'Remove files; the memory is free when nobody can be reading it any more.',
    ['exomem rm /notes.txt', 'exomem rm -r tcp://127.0.0.1:7070/default/models'],
    async (context, locations: string[], options: { recursive?: boolean; force?: boolean }) =>
      (await import('../commands/rm.js')).rm(context, locations, options),
  )
    .option('-r, --recursive', 'directories, with all that is in them')
    .option('-f, --force', 'what is not there is no error');

  command(
    'mv <from> <to>',
    'Rename a file or directory, within a region and in one step. No byte moves.',
    ['exomem mv /a /b', 'exomem mv tcp://127.0.0.1:7070/default/a /models/'],
    async (context, from: string, to: string) => (await import('../commands/mv.js')).mv(context, from, to),
  );

  command(
    'mkdir <location...>',
    'Make directories.',
    ['exomem mkdir /models', 'exomem mkdir -p tcp://127.0.0.1:7070/default/a/b/c'],
    async (context, locations: string[], options: { parents?: boolean }) =>
      (await import('../commands/mkdir.js')).mkdir(context, locations, options),
  ).option('-p, --parents', 'those above it as well; one that exists is no error');

  command(
    'members [region]',
    'Show who is there, what they hold, and which applications outlive them.',
    ['exomem members tcp://127.0.0.1:7070/default', 'exomem members --check --json'],
    async (context, region: string | undefined, options: { check?: boolean }) =>
      (await import('../commands/members.js')).members(context, region, options),
  ).option('--check', 'look twice, two thirds of a lease apart: whose heart does not beat is silent');

  command(
    'map [region]',
    'Show who holds what, as a picture of the region: a letter for each owner, # for files, . for free.',
    ['exomem map tcp://127.0.0.1:7070/default', 'exomem map --json | jq .fragmentation     # with all runs of pages'],
    async (context, region: string | undefined) => (await import('../commands/map.js')).map(context, region),
  );

  command(
    'top [region]',
    'Show members, rates, pressure and what happens, live on a terminal until q or Ctrl-C.',
    [
      'exomem top tcp://127.0.0.1:7070/default',
      'exomem top --once --interval 5s            # what went on in five seconds',
      'exomem top --json | jq .rates              # a line for each look',
    ],
    async (context, region: string | undefined, options: import('../commands/top.js').TopFlags) =>
      (await import('../commands/top.js')).top(context, region, options),
  )
    .option('--once', 'print one look, and end; so it does where stdout is no terminal')
    .option('--interval <duration>', 'time between two looks', '1s');

  command(
    'watch [path]',
    'Tell what becomes of a file, or of a directory and the names in it, a line each, until Ctrl-C.',
    ['exomem watch /inbox', 'exomem watch --once /ready && ./go', 'exomem watch /inbox --json | jq -r .path'],
    async (context, path: string | undefined, options: { once?: boolean }) =>
      (await import('../commands/watch.js')).watch(context, path, options),
  ).option('--once', 'end with the first change; with 130 or 143 if it is ended before there was one');

  command(
    'migrate <principal> <member> [region]',
    'Move an application to another member: the one that has it is asked, and gives it. No byte of it is copied.',
    [
      'exomem migrate 7 3                          # numbers as `exomem members` shows them',
      'exomem migrate 7 3 --timeout 1m tcp://127.0.0.1:7070/default',
      'exomem migrate 7 3 --force                  # the one that has it is declared dead: it is shown what that frees',
    ],
    async (
      context,
      principal: string,
      member: string,
      region: string | undefined,
      options: import('../commands/migrate.js').MigrateFlags,
    ) => (await import('../commands/migrate.js')).migrate(context, principal, member, region, options),
  )
    .option('--timeout <duration>', 'how long it may take the one that has it (default 10s)')
    .option('--force', 'declare the one that has it dead, with all it acts for')
    .option('-y, --yes', 'do not ask before that');

  command(
    'adopt <principal> [region]',
    'Take an application whose member is dead, for another member or to free it.',
    [
      'exomem adopt 7 --to 3                       # numbers as `exomem members` shows them',
      'exomem adopt 7 --free tcp://127.0.0.1:7070/default',
    ],
    async (
      context,
      principal: string,
      region: string | undefined,
      options: import('../commands/adopt.js').AdoptFlags,
    ) => (await import('../commands/adopt.js')).adopt(context, principal, region, options),
  )
    .option('--to <member>', 'the slot of the member that has it from now on')
    .option('--free', 'its memory becomes free');

  command(
    'kick <member> [region]',
    'Declare a member dead at once. What that frees and what is kept is shown before.',
    [
      'exomem kick 5                               # the slot, as `exomem members` shows it',
      'exomem kick 5 --yes --json tcp://127.0.0.1:7070/default',
    ],
    async (context, member: string, region: string | undefined, options: { yes?: boolean }) =>
      (await import('../commands/kick.js')).kick(context, member, region, options),
  ).option('-y, --yes', 'do not ask');

  command(
    'dump [region]',
    'Show every word and record of a region, decoded; of a served one or of a file. Nothing is written.',
    [
      'exomem dump tcp://127.0.0.1:7070/default',
      'exomem dump /var/lib/exomem/region --log      # root, snapshot and log',
      'exomem dump --member 3 --json',
    ],
    async (context, region: string | undefined, options: import('../commands/dump.js').DumpFlags) =>
      (await import('../commands/dump.js')).dump(context, region, options),
  )
    .option('--log', 'the root, its snapshot, and every slot of the log with its record')
    .option('--groups', 'the table of group words')
    .option('--member <slot>', 'one member: its line, what it owns, and the records in its arena');

  command(
    'fsck [region]',
    'Hold every byte of a region against what must be true of it; of a served one or of a file. Only --repair writes.',
    [
      'exomem fsck tcp://127.0.0.1:7070/default',
      'exomem fsck /var/lib/exomem/region --repair --dry-run     # then without --dry-run',
      'exomem fsck /var/lib/exomem/region --json',
      'exomem fsck --at-rest && echo nothing left over',
    ],
    async (context, region: string | undefined, options: import('../commands/fsck.js').FsckFlags) =>
      (await import('../commands/fsck.js')).fsck(context, region, options),
  )
    .option('--at-rest', 'nothing is under way: what somebody who is there should have tidied up is damage too')
    .option('--repair', 'put right what can be told for certain, word by word, and leave the rest alone')
    .option(
      '--accept-loss',
      'with --repair, when nobody is joined: rebuild a namespace of what can be read of it; names what is lost',
    )
    .option('--dry-run', 'say what --repair would change, and change nothing')
    .addHelpText(
      'after',
      `
--accept-loss is for records and snapshots whose checksum does not fit. What is whole of them makes a new snapshot; what was made
where something is missing, or has lost its name, is in /lost+found. It is not undone by anything: keep a copy before.

It ends with 0 if the region is clean, with 1 if all damage was repaired, and with 7 if there is damage; docs/fsck.md says
what is held against what, what can be repaired, and what is lost with --accept-loss.`,
    );

  const quota = exomem
    .command('quota')
    .hook('preSubcommand', follow)
    .description('How much each principal may have: a member, or an application. Members keep to it by themselves.');
  command(
    'show [region]',
    'Show who may have how much, and has.',
    ['exomem quota show', 'exomem quota show --json | jq .default'],
    async (context, region: string | undefined) => (await import('../commands/quota.js')).showQuotas(context, region),
    quota,
  );
  command(
    'set <whom> <size> [region]',
    'Set the quota of a principal, or the default for all that have none of their own.',
    ['exomem quota set default 4G', 'exomem quota set 3 512M', 'exomem quota set 3 none'],
    async (context, whom: string, size: string, region: string | undefined) =>
      (await import('../commands/quota.js')).setQuota(context, whom, size, region),
    quota,
  ).addHelpText(
    'after',
    `
What counts is what the region's words show: memory and the pages of files that the principal holds. Files of those who have left
count for the steward, which has no quota by default. Whoever is over its quota keeps what it has, and gets no more. It is a
rule among friends: a program that means harm can pass it by, and \`exomem fsck\` tells who is over.`,
  );

  const image = exomem
    .command('image')
    .hook('preSubcommand', follow)
    .description('Save a region as a file, and bring the files of one into another region.')
    .addHelpText(
      'after',
      `
An image has the bytes of the region as docs/FORMAT.md has them, and takes no room for what is free. So \`exomem fsck FILE\`
judges it, \`exomem serve --file FILE\` serves it, and \`exomem ls file:FILE\` (cat, get -r, du, map, members) looks into it.`,
    );
  command(
    'save <region> <file>',
    'Save a region as a file, while others go on using it: names and what was flushed are those of one moment.',
    [
      'exomem image save tcp://127.0.0.1:7070/default region.exomem',
      'exomem fsck region.exomem && exomem serve --load region.exomem',
    ],
    async (context, region: string, file: string, options: { force?: boolean }) =>
      (await import('../commands/image.js')).saveImage(context, region, file, options),
    image,
  )
    .option('-f, --force', 'replace a file that has the name')
    .addHelpText(
      'after',
      `
What is in it: files as the log names them at one moment (of those being written what was flushed; bytes that are overwritten in
their place meanwhile are of before or after), and the memory of applications that are kept for adoption. Who is a member
now is not there when it is loaded: other memory without a name is free in it.`,
    );
  command(
    'load <file> [location]',
    'Bring the files of an image into a region that is in use, of any size and transport; below a path, or in its root.',
    [
      'exomem image load region.exomem tcp://127.0.0.1:7070/default',
      'exomem image load region.exomem /before     # into the directory /before',
      'exomem serve --load region.exomem           # serves it as it is instead, with applications that are kept',
    ],
    async (context, file: string, location: string | undefined, options: { clobber: boolean }) =>
      (await import('../commands/image.js')).loadImage(context, file, location, options),
    image,
  ).option('-n, --no-clobber', 'refuse names that exist; without it their files are replaced');

  command(
    'conform [module]',
    'Hold a transport, an allocation policy, a placement or a file system of yours to the laws that every one has to keep.',
    [
      'exomem conform ./my-transport.js',
      'exomem conform ./my-transport.js --budget 5m --junit laws.xml',
      'exomem conform ./my-policy.js --law exclusive --seed 7 --path 3:0      # as a report says',
      'exomem conform --mount /mnt/a /mnt/b --lacks replace-open      # two mounts of one file system',
    ],
    async (context, module: string | undefined, options: import('../commands/conform.js').ConformFlags) =>
      (await import('../commands/conform.js')).conformModule(context, module, options),
  )
    .option('--mount <dir...>', 'no module: a directory, or the same directory by two mounts')
    .option('--live', 'with --mount: it declares that what stays open shows what the other mount synced')
    .option('--lacks <what>', `with --mount: it declares to lack something; may be repeated`, collect)
    .option('--law <id>', 'this law alone; may be repeated', collect)
    .option('--seed <number>', 'where chance begins')
    .option('--path <path>', 'with --law and --seed: the very case that a report names')
    .option('--budget <duration>', 'go on with other chances for that long; a short one makes each law try less')
    .option('--patience <duration>', 'what takes longer counts as hanging (default 60s)')
    .option('--junit <file>', 'write a JUnit report as well')
    .addHelpText(
      'after',
      '\nThe default that the module exports says how to make a region, or is a policy or a placement: see docs/writing-a-transport.md and' +
        ' docs/writing-a-policy.md.\nIt ends with 0 if all laws are kept, with 10 if one is broken, and with 2 if nothing can be said about the subject:' +
        ' --junit and --json then report one broken law, which says why.',
    );

  command(
    'check-history <file>',
    'Hold what clients did at the same time, a JSON object a line, against linearizability.',
    [
      'exomem check-history history.jsonl',
      'npm run -s hammer -- words --history h.jsonl; exomem check-history h.jsonl',
    ],
    async (context, file: string) => (await import('../commands/check-history.js')).checkHistoryFile(context, file),
  ).addHelpText('after', '\nIt ends with 0 if some order explains everything, and with 10 if none does.');

  command(
    'doctor',
    'Show what this machine can and cannot do, and the line to type for each.',
    ['exomem doctor', 'exomem doctor --json'],
    async (context) => (await import('../commands/doctor.js')).doctor(context),
  );

  return exomem;
}
