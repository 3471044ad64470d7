"""Everything at random, beside other clients that do the same: what is begun and what is done is said as JSON, a line each, so
that whoever kills this program half way knows what must be there."""

import hashlib
import json
import random
import sys
import threading
import time

from allocator import RegionFull
from files import Exists, Files, NotFound


def say(**what):
    print(json.dumps(what), flush=True)


def sealed(chance):
    """Bytes that say themselves whether they are whole: the digest of the rest, then the rest."""
    rest = chance.randbytes(chance.choice([0, 100, 4096, 20_000, 150_000]))
    return hashlib.sha256(rest).digest() + rest


def is_whole(data):
    return hashlib.sha256(data[32:]).digest() == data[:32]


class Churn:
    """Names of its own, which nobody else touches, names that everybody fights for, and anonymous memory."""

    def __init__(self, member, directory, seed):
        self.member = member
        self.files = Files(member)
        self.chance = random.Random(seed)
        self.shared = directory
        self.own = f"{directory}/python-{member.slot}-{member.incarnation}"
        self.held = {}
        self.counts = {}

    def run(self):
        ended = threading.Event()
        threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
        self.files.mkdir(self.own)
        say(joined=self.own, principal=self.member.principal)
        acts = [self.put, self.put, self.lend, self.rm, self.rename, self.read, self.read, self.allocate, self.free]
        while not ended.is_set():
            self.member.check()
            act = self.chance.choice(acts)
            try:
                act()
            except (NotFound, Exists):
                act = self.lost  # somebody was faster
            except RegionFull:
                act = self.full
                self.member.tidy()  # what is dismissed comes back when everybody has seen that it is
                time.sleep(0.02)
            self.counts[act.__name__] = self.counts.get(act.__name__, 0) + 1
        for first in list(self.held):
            self.free_one(first)
        say(done=self.counts, cuts=self.member.cutter.cuts)

    def a_name(self):
        return f"{self.chance.choice([self.own, self.shared])}/f{self.chance.randrange(12)}"

    def put(self):
        path, data = self.a_name(), sealed(self.chance)
        digest = hashlib.sha256(data).hexdigest()
        say(begin="put", path=path, digest=digest)
        self.files.put(path, data)
        say(end="put", path=path, digest=digest)

    def lend(self):
        path, data = f"{self.own}/lent{self.chance.randrange(3)}", sealed(self.chance)
        say(begin="lend", path=path)
        self.files.put(path, data, lent=True)
        if self.files.get(path) != data:
            raise AssertionError(f"{path} is not what was put there")
        say(end="lend", path=path)

    def rm(self):
        path = self.a_name()
        say(begin="rm", path=path)
        self.files.rm(path)
        say(end="rm", path=path)

    def rename(self):
        old, new = (f"{self.shared}/f{self.chance.randrange(12)}" for _ in range(2))
        if old != new:
            self.files.rename(old, new)

    def read(self):
        path = self.a_name()
        if not is_whole(self.files.get(path)):
            raise AssertionError(f"{path} is not whole")

    def allocate(self):
        size = self.member.superblock.page_size
        if len(self.held) > 8:
            return
        pages = self.chance.choice([1, 2, 5, 16, 40])
        first = self.member.allocator.allocate(pages)
        data = self.member.connection.read(self.member.superblock.page(first), pages * size)
        if any(data):
            raise AssertionError(f"page {first} is not zero")
        pattern = self.chance.randbytes(64) * (size // 64) * pages
        self.member.connection.write(self.member.superblock.page(first), pattern)
        self.held[first] = pattern

    def free(self):
        if self.held:
            self.free_one(self.chance.choice(list(self.held)))

    def free_one(self, first):
        pattern = self.held.pop(first)
        if self.member.connection.read(self.member.superblock.page(first), len(pattern)) != pattern:
            raise AssertionError(f"the bytes of page {first} were changed")
        self.member.allocator.free(first)

    def lost(self):
        """Counts what others were faster at."""

    def full(self):
        """Counts what there was no room for."""
