#!/usr/bin/env python3
"""A client of exomem that knows nothing of exomem but docs/FORMAT.md and docs/WIRE.md.

  exomem_client.py tcp://HOST:PORT/REGION COMMAND ...

  put FILE PATH           a file of this machine into the region, in place of what has the name (- is the standard input)
  lend FILE PATH          the same until the standard input ends, or we do: then the name goes
  append FILE PATH        bytes at the end of what is there
  get PATH                a file of the region to the standard output
  ls [DIRECTORY]
  mkdir PATH, rm PATH, mv PATH PATH
  sums                    SHA-256 of every file, as sha256sum prints them
  hold BYTES              anonymous memory, until the standard input ends
  churn DIRECTORY [SEED]  all of it at random, until the standard input ends

The exit code is 1 if it cannot be done, 3 if this client was declared dead or lost its connection: others free what it held.
"""

import hashlib
import random
import sys

sys.dont_write_bytecode = True

from allocator import RegionFull  # noqa: E402
from churn import Churn, say  # noqa: E402
from files import Exists, Files, NotAFile, NotFound  # noqa: E402
from member import Member, NoRoom  # noqa: E402
from region import Damaged  # noqa: E402
from state import DIRECTORY, FILE  # noqa: E402
from wire import ConnectionLost, Fenced, Refused  # noqa: E402


def put(member, source, path):
    Files(member).put(path, bytes_of(source))


def lend(member, source, path):
    Files(member).put(path, bytes_of(source), lent=True)
    say(lent=path)
    sys.stdin.read()


def append(member, source, path):
    Files(member).append(path, bytes_of(source))


def get(member, path):
    sys.stdout.buffer.write(Files(member).get(path))


def ls(member, path="/"):
    for name, inode in sorted(Files(member).ls(path).items()):
        print(f"{inode.size:>12}  {name}{'/' if inode.kind == DIRECTORY else ''}")


def mkdir(member, path):
    Files(member).mkdir(path)


def rm(member, path):
    Files(member).rm(path)


def mv(member, old, new):
    Files(member).rename(old, new)


def sums(member, directory=""):
    files = Files(member)
    for name, inode in sorted(files.ls(directory or "/").items()):
        path = f"{directory}/{name}"
        if inode.kind == DIRECTORY:
            sums(member, path)
        elif inode.kind == FILE:
            print(f"{hashlib.sha256(files.get(path)).hexdigest()}  {path}")


def hold(member, length):
    """Anonymous memory: it is zero, then it has what we wrote, and at the end it has that still."""
    size = member.superblock.page_size
    pages = -(-int(length) // size)
    first = member.allocator.allocate(pages)
    at = member.superblock.page(first)
    if any(member.connection.read(at, pages * size)):
        raise AssertionError("somebody else's bytes")
    pattern = random.randbytes(pages * size)
    member.connection.write(at, pattern)
    say(pages=pages, first=first)
    sys.stdin.read()
    if member.connection.read(at, pages * size) != pattern:
        raise AssertionError("our bytes were changed")
    member.allocator.free(first)


def churn(member, directory, seed="1"):
    Churn(member, directory, int(seed)).run()


def bytes_of(source):
    if source == "-":
        return sys.stdin.buffer.read()
    with open(source, "rb") as file:
        return file.read()


COMMANDS = {"put": (put, 2, 2), "lend": (lend, 2, 2), "append": (append, 2, 2), "get": (get, 1, 1), "ls": (ls, 0, 1), "mkdir": (mkdir, 1, 1),
            "rm": (rm, 1, 1), "mv": (mv, 2, 2), "sums": (sums, 0, 0), "hold": (hold, 1, 1), "churn": (churn, 1, 2)}  # fmt: skip


def main(arguments):
    url, name, rest = (*arguments, "", "")[0], "".join(arguments[1:2]), arguments[2:]
    run, least, most = COMMANDS.get(name, (None, 0, 0))
    if run is None or not least <= len(rest) <= most:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        with Member(url) as member:
            run(member, *rest)
    except (Fenced, ConnectionLost) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 3
    except (NotFound, Exists, NotAFile, RegionFull, NoRoom, Refused, Damaged, ValueError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
