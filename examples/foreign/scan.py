#!/usr/bin/env python3
"""Is a region as it must be? A judgement from docs/FORMAT.md alone, that joins nothing and writes nothing.

  scan.py tcp://HOST:PORT/REGION [--at-rest] [--json]
  scan.py FILE [--at-rest] [--json]                     what `exomem serve --file FILE` keeps

A region in use is read several times, and damage is what every reading shows. --at-rest says that nothing is under way:
then whatever somebody should have finished is damage too. The exit code is 0, or 7 for damage.
"""

import json
import struct
import sys
import time
from collections import Counter

sys.dont_write_bytecode = True

from log import Replica  # noqa: E402
from region import (  # noqa: E402
    ACTIVE, ADOPTING, CONTINUATION, DYING, EMPTY, FREE, GROUP, HEAD, JOINING, MEMBER, PRINCIPAL, PRINCIPAL_ACTIVE, REGISTERING, WITHHELD,
    Damaged, Superblock, bits_of,
)  # fmt: skip
from snapshot import read_root  # noqa: E402
from state import DIRECTORY  # noqa: E402
from state import ROOT as ROOT_INODE  # noqa: E402
from wire import Connection  # noqa: E402

READINGS = 5


class Image:
    """The bytes of a region in a file, looked at as through a connection."""

    def __init__(self, path):
        self._file = open(path, "rb")
        self.region_bytes = self._file.seek(0, 2)

    def read(self, offset, length):
        self._file.seek(offset)
        return self._file.read(length)

    def load(self, offset):
        return int.from_bytes(self.read(offset, 8), "little")

    def batch(self, *reads):
        return [self.read(offset, length) for _, length, offset in map(struct.Struct("<IIQ").unpack, reads)]


class Reading:
    """One look at everything: the words first, then the log to its end."""

    def __init__(self, source, at_rest):
        self.block = block = Superblock(source.read(0, 4096), source.region_bytes, changes=False)
        self.source = source
        self.findings = set()
        self.counts = Counter(free=0, held=0, files=0, kept=0, snapshots=0, pending=0, members=0)
        self.at_rest = at_rest
        self.words = words_of(source.read(block.group_offset, 8 * block.group_count))
        principals = source.read(block.principal_offset, 8 * (block.principal_slots + 1))
        self.principals = [PRINCIPAL.unpack(word) for word in words_of(principals)]
        self.members = [MEMBER.unpack(source.load(block.member(slot))) for slot in range(block.member_slots)]
        self.replica = Replica(source, block)
        self.replica.follow()
        self.state = self.replica.state

    def judge(self):
        copy = self.source.read(self.block.copy_offset, 4096)
        first = self.source.read(0, 4096)
        if copy[:16] + copy[24:] != first[:16] + first[24:]:
            self.damage("the copy of the superblock says something else")
        self.judge_groups()
        self.judge_files()
        self.judge_tree()
        self.judge_reserve()
        self.judge_members()
        return self

    def damage(self, what):
        self.findings.add(what)

    def unfinished(self, what):
        if self.at_rest:
            self.damage(what)

    def bits(self, group):
        return bits_of(self.words[group], self.block.group_pages)

    def owner_lives(self, owner):
        """Whether a word is somebody's. Of a principal that is ADOPTING or DYING words are re-tagged or taken over one by one."""
        if not 1 <= owner.principal <= self.block.principal_slots:
            return False
        now = self.principals[owner.principal]
        if now.state in (ADOPTING, DYING):
            return owner.incarnation <= now.incarnation
        return now.state != FREE and now.incarnation == owner.incarnation

    def judge_groups(self):
        block = self.block
        for group, word in enumerate(self.words):
            owner, bits = GROUP.unpack(word), self.bits(group)
            beyond = owner.bits & (1 << 32 - 2 * block.group_pages) - 1
            if beyond:
                self.damage(f"group {group} shows pages that it does not have")
            if owner.principal == 0:
                if owner.incarnation or set(bits) - {EMPTY, HEAD}:
                    self.damage(f"group {group} is free and shows {word:#018x}")
                self.counts["free"] += len(bits) if group < block.data_groups else 0
                continue
            if owner.principal > block.principal_slots or self.principals[owner.principal].incarnation < owner.incarnation:
                self.damage(f"group {group} belongs to a principal that was never there: {word:#018x}")
            elif not self.owner_lives(owner):
                self.unfinished(f"group {group} belongs to one who is no more")
            self.judge_runs(group, owner, bits)
            if group < block.data_groups:
                seen = Counter(bits)
                self.counts["free"] += seen[EMPTY]
                self.counts["held"] += seen[HEAD] + seen[CONTINUATION]

    def judge_runs(self, group, owner, bits):
        before = EMPTY
        if group > 0 and GROUP.unpack(self.words[group - 1])[:2] == owner[:2]:
            # What goes on from the group before takes all of that.
            whole = self.bits(group - 1)
            if set(whole[1:]) <= {CONTINUATION}:
                before = CONTINUATION if whole[0] != EMPTY else EMPTY
        for page, state in enumerate(bits):
            if state == CONTINUATION and before == EMPTY:
                self.damage(f"page {page} of group {group} continues nothing")
                return
            before = state

    def judge_files(self):
        block, state = self.block, self.state
        owners = {}
        everything = [(f"inode {inode.number}", inode.pages, "files") for inode in state.inodes.values()]
        everything += [(f"the kept inode {number}", pages, "kept") for number, (pages, _) in state.kept.items()]
        for name, pages, kind in everything:
            for page in pages.values():
                if page in owners:
                    self.damage(f"page {page} is {name}'s and {owners[page]}'s")
                owners[page] = name
                self.counts[kind] += 1
                group, place = divmod(page, block.group_pages)
                if group >= block.data_groups:
                    self.damage(f"page {page} of {name} lies where snapshots lie, or nowhere")
                    continue
                if self.bits(group)[place] != WITHHELD:
                    self.damage(f"page {page} of {name} is not withheld: it shows {self.bits(group)[place]:02b}")
                if not self.owner_lives(GROUP.unpack(self.words[group])):
                    self.damage(f"page {page} of {name} has no custodian")
        for group in range(block.data_groups):
            if GROUP.unpack(self.words[group]).principal == 0:
                continue
            for place, bits in enumerate(self.bits(group)):
                page = group * block.group_pages + place
                if bits == WITHHELD and page not in owners:
                    self.counts["pending"] += 1
                    self.unfinished(f"page {page} is withheld, and no file has it")

    def judge_tree(self):
        inodes = self.state.inodes
        names = Counter({ROOT_INODE: 1})
        for inode in inodes.values():
            if inode.kind != DIRECTORY:
                continue
            below = 0
            for name, number in inode.entries.items():
                names[number] += 1
                if number not in inodes:
                    self.damage(f"the name {name} in inode {inode.number} is of no inode")
                elif inodes[number].kind == DIRECTORY:
                    below += 1
                    if inodes[number].parent != inode.number:
                        self.damage(f"directory {number} lies in {inode.number} and says {inodes[number].parent}")
            if inode.links != 2 + below:
                self.damage(f"directory {inode.number} counts {inode.links} links; it has {2 + below}")
        for inode in inodes.values():
            expected = 1 if inode.kind == DIRECTORY else inode.links
            if names[inode.number] != expected or expected == 0:
                self.damage(f"inode {inode.number} has {names[inode.number]} names and counts {expected}")

    def judge_reserve(self):
        block = self.block
        _, header = read_root(self.source, block)
        named = {group + n for group, groups in header[3] for n in range(groups)} if header else set()
        for group in sorted(named):
            if not block.data_groups <= group < block.group_count:
                self.damage(f"the snapshot lies in group {group}, which is not of the reserve")
        for group in range(block.data_groups, block.group_count):
            word, bits = GROUP.unpack(self.words[group]), self.bits(group)
            if word.principal and set(bits) != {WITHHELD}:
                self.damage(f"group {group} of the reserve is in use in part")
            if group in named and not self.owner_lives(word):
                self.damage(f"group {group}, in which the snapshot lies, has no owner")
            if word.principal:
                self.counts["snapshots"] += len(bits)
                if group not in named:
                    self.unfinished(f"group {group} of the reserve holds an old snapshot")

    def judge_members(self):
        self.counts["members"] = sum(member.state != FREE for member in self.members)
        for number, principal in enumerate(self.principals):
            if principal.state == FREE or number == 0:
                continue
            member = self.members[principal.member] if principal.member < len(self.members) else None
            there = member is not None and member.incarnation >= principal.member_incarnation
            if not there:
                self.damage(f"principal {number} belongs to a member that was never there")
            lives = there and member.incarnation == principal.member_incarnation and member.state in (JOINING, ACTIVE)
            if principal.state not in (REGISTERING, PRINCIPAL_ACTIVE) or (not lives and principal.policy == 0):
                self.unfinished(f"principal {number} waits for somebody to recover it")
            if self.state.fences.get(number, -1) >= principal.incarnation and principal.state in (REGISTERING, PRINCIPAL_ACTIVE):
                self.damage(f"principal {number} is fenced in the log and lives")


def words_of(data):
    return [word for (word,) in struct.iter_unpack("<Q", data)]


def scan(where, at_rest=False):
    """Findings that every reading shows, and the counts of the last."""
    source = Connection(where) if where.startswith("tcp://") else Image(where)
    findings = None
    for reading in range(READINGS):
        if reading:
            time.sleep(0.2)
        try:
            look = Reading(source, at_rest).judge()
            found, counts = look.findings, look.counts
        except Damaged as error:
            found, counts = {str(error)}, Counter()
        findings = found if findings is None else findings & found
        if not found or (not findings and not at_rest):
            return [], counts
    # At rest nothing changes: one of the readings would have to be without any.
    return sorted(findings or found), counts


def main(where, *options):
    findings, counts = scan(where, "--at-rest" in options)
    if "--json" in options:
        print(json.dumps({"findings": findings, "counts": counts}))
    else:
        for finding in findings:
            print(f"damage: {finding}")
        print(", ".join(f"{count} {what}" for what, count in counts.items()))
    return 7 if findings else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        raise SystemExit(__doc__)
    sys.exit(main(*sys.argv[1:]))
