"""Snapshots of the namespace: what a newcomer reads instead of the whole log, and how one is cut (docs/FORMAT.md, "Snapshots
and the root")."""

import struct
import time
from itertools import groupby

from region import GROUP, PRINCIPAL, ROOT, SLOT, WITHHELD, Damaged, crc32c, with_bits
from wire import Fenced, compare_exchange, load

HEADER = struct.Struct("<4sIQQII16x")  # magic, CRC, next index, length of the body, CRC of it, number of runs
HEADER_BYTES = 4096
SLOTS_AT_ONCE = 512


class NoRoomForSnapshot(Exception):
    """The reserve has no free groups, although we waited."""


def decode_header(page):
    """Next index, length and CRC of the body, and the runs (group, groups), from the first 4,096 bytes of a snapshot."""
    magic, crc, index, length, body_crc, runs = HEADER.unpack_from(page)
    if magic != b"esnp" or crc != crc32c(page[8:HEADER_BYTES]) or HEADER.size + 16 * runs > HEADER_BYTES:
        raise Damaged("the root points at no snapshot")
    return index, length, body_crc, [struct.unpack_from("<QQ", page, HEADER.size + 16 * n) for n in range(runs)]


def encode_header(index, body, runs):
    head = HEADER.pack(b"esnp", 0, index, len(body), crc32c(body), len(runs))
    page = head + b"".join(struct.pack("<QQ", *run) for run in runs)
    page += bytes(HEADER_BYTES - len(page))
    return page[:4] + struct.pack("<I", crc32c(page[8:])) + page[8:]


def pieces(block, runs, length):
    """Where the parts of a body lie: offset in the region and bytes, behind the header and then run after run."""
    skip = HEADER_BYTES
    for group, groups in runs:
        start = block.page(group * block.group_pages) + skip
        part = min(length, groups * block.group_pages * block.page_size - skip)
        yield start, part
        length -= part
        skip = 0
    if length:
        raise Damaged("the snapshot is longer than its runs")


def read_root(connection, block):
    """The root word, and the header of the snapshot it points at, or None."""
    while True:
        word = connection.load(block.root)
        page = ROOT.unpack(word).page
        if page == 0:
            return word, None
        try:
            return word, decode_header(connection.read(page * 4096, HEADER_BYTES))
        except Damaged:
            # Its groups may have been used again while we read: then the root has moved on.
            if connection.load(block.root) == word:
                raise


class Cutter:
    """Cuts snapshots under one principal, and owns the groups of the reserve that they lie in."""

    def __init__(self, replica, principal, incarnation, principal_word):
        self.replica = replica
        self.connection = replica.connection
        self.block = replica.superblock
        self.principal = principal
        self.incarnation = incarnation
        self.principal_word = principal_word
        self.own = set()  # groups of the reserve that are ours
        self.cuts = 0  # snapshots of ours that became the root's
        self._full = GROUP.pack(principal, incarnation, with_bits([WITHHELD] * self.block.group_pages))

    def make_room(self):
        """Room in the log and in our arena: by a snapshot that somebody has cut since we looked, or by one of ours."""
        replica = self.replica
        word, header = read_root(self.connection, self.block)
        if header is None or header[0] <= replica.first:
            replica.follow()
            header = self._cut(word, header)
        replica.passed(header[0])
        self._truncate(header[0])
        self.sweep()

    def sweep(self):
        """Frees groups of ours that no snapshot lies in any more."""
        if self.own:
            in_use = self._in_use()
            for group in self.own - in_use:
                self._exchange(group, self._full, 0)
            self.own &= in_use

    def take_over(self, principal, incarnation):
        """The reserve of a principal that was handed to us: the newest snapshot's groups become ours, others free."""
        in_use = self._in_use()
        for group, word in self._words():
            owner = GROUP.unpack(word)
            if (owner.principal, owner.incarnation) != (principal, incarnation):
                continue
            self._exchange(group, word, self._full if group in in_use else 0)
            if group in in_use:
                self.own.add(group)

    # -- steps of it ---------------------------------------------------------------------------------------------------

    def _cut(self, word, header):
        """Writes the state as it is now, and swings the root to it, unless somebody was faster with one as new."""
        block = self.block
        index, body = self.replica.next, self.replica.state.dump()
        groups = self._claim(-(-(HEADER_BYTES + len(body)) // (block.group_pages * block.page_size)))
        runs = runs_of(groups)
        at = 0
        for start, length in pieces(block, runs, len(body)):
            self.connection.write(start, body[at : at + length])
            at += length
        start = block.page(groups[0] * block.group_pages)
        ours = encode_header(index, body, runs)
        self.connection.write(start, ours)
        while header is None or header[0] < index:
            self._check_principal(self.connection.load(block.principal(self.principal)))
            root = ROOT.pack(ROOT.unpack(word).version + 1, start // 4096)
            if self.connection.compare_exchange(block.root, word, root) == word:
                self.cuts += 1
                return decode_header(ours)
            word, header = read_root(self.connection, block)
        return header

    def _truncate(self, index):
        """Makes the slots below the snapshot ready for the next lap."""
        block = self.block
        at = max(0, index - block.log_slots)
        while at < index:
            count = min(SLOTS_AT_ONCE, index - at, block.log_slots - at % block.log_slots)
            lap = at // block.log_slots
            words = struct.unpack(f"<{count}Q", self.connection.read(block.slot(at), 8 * count))
            steps = [
                compare_exchange(block.slot(at + number), word, SLOT.pack(lap + 1, 0))
                for number, word in enumerate(words)
                if SLOT.unpack(word).lap == lap
            ]
            if steps:
                self.connection.batch(*steps)
            at += count

    def _claim(self, count):
        claimed = []
        for _ in range(100):
            for group, word in self._words():
                if len(claimed) < count and GROUP.unpack(word).principal == 0 and self._claim_one(group, word):
                    claimed.append(group)
            if len(claimed) == count:
                return sorted(claimed)
            # The snapshot before the newest belongs to whoever cut it, who frees it at the next heartbeat.
            time.sleep(0.05)
        for group in claimed:
            self.own.discard(group)
            self._exchange(group, self._full, 0)
        raise NoRoomForSnapshot(f"{count} groups of the reserve")

    def _claim_one(self, group, word):
        seen, principal = self.connection.batch(
            compare_exchange(self.block.group(group), word, self._full),
            load(self.block.principal(self.principal)),
        )
        self._check_principal(principal)
        if seen == word:
            self.own.add(group)
        return seen == word

    def _check_principal(self, word):
        if word != self.principal_word:
            raise Fenced(f"principal {self.principal} is not ours any more: {PRINCIPAL.unpack(word)}")

    def _exchange(self, group, word, desired):
        if self.connection.compare_exchange(self.block.group(group), word, desired) != word:
            raise Fenced(f"the word of group {group} was taken from us")

    def _words(self):
        """The groups of the reserve, and their words."""
        block = self.block
        data = self.connection.read(block.group(block.data_groups), 8 * block.reserve_groups)
        return [(block.data_groups + number, word) for number, (word,) in enumerate(struct.iter_unpack("<Q", data))]

    def _in_use(self):
        """The groups that the newest snapshot lies in."""
        _, header = read_root(self.connection, self.block)
        return {group + n for group, groups in header[3] for n in range(groups)} if header else set()


def runs_of(groups):
    """Groups in ascending order, as runs (group, groups)."""
    found = []
    for _, run in groupby(enumerate(groups), lambda pair: pair[1] - pair[0]):
        run = [group for _, group in run]
        found.append((run[0], len(run)))
    return found
