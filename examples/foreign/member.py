"""A member of a region: it wins a slot, beats in it, and leaves it in order (docs/FORMAT.md, "Members")."""

import os
import random
import struct
import threading
import time

from allocator import Allocator
from log import Replica, Writer
from records import operation
from region import (
    ACTIVE, APPLIED, FENCED, FREE, JOINING, MEMBER, PRINCIPAL, PRINCIPAL_ACTIVE, REGISTERING, WANTED, Superblock, crc32c,
)  # fmt: skip
from snapshot import Cutter
from wire import Connection, Fenced

IDENTITY = struct.Struct("<II16sII32s")  # incarnation, CRC, client id, flags, process id, label: 64 bytes
STEWARD = 1
LAST_MEMBER_INCARNATION = 1_048_575  # retires the slot
LAST_PRINCIPAL_INCARNATION = 65_279


class NoRoom(Exception):
    """All member slots, or all principals, are taken."""


class Member:
    """Joins on construction. `files.py` and the command line work with what it has: connection, replica, writer, allocator."""

    def __init__(self, url, label="python"):
        self.connection = Connection(url)
        self.superblock = Superblock(self.connection.read(0, 4096), self.connection.region_bytes)
        self._beats = threading.Lock()
        self._pins = {}
        self.failure = None  # why this member counts as dead, once it does
        self._win_a_slot()
        self.connection.bind(self.slot, self.incarnation, self.superblock.member(self.slot))
        self._write_identity(label)
        self._write_applied(0)
        # We beat from here on: to replay a long log may take longer than the lease.
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._beat_until_the_end, name="beat", daemon=True)
        self.replica = None
        self._thread.start()
        half = self.superblock.arena_bytes // 2
        start = self.superblock.arena_offset + self.slot * self.superblock.arena_bytes + (self.incarnation & 1) * half
        replica = Replica(self.connection, self.superblock, (start, start + half))
        replica.follow()
        self._swap_word(ACTIVE)
        self._register()
        self.cutter = Cutter(replica, self.principal, self.principal_incarnation, self.principal_word)
        self.writer = Writer(replica, self.principal, self.principal_incarnation, self.cutter)
        self.allocator = Allocator(
            self.connection, self.superblock, self.principal, self.principal_incarnation, self.principal_word
        )
        self.replica = replica  # from here on the beating thread publishes what is applied

    # -- joining -------------------------------------------------------------------------------------------------------

    def _win_a_slot(self):
        block = self.superblock
        slots = list(range(block.member_slots))
        random.shuffle(slots)
        for slot in slots:
            word = self.connection.load(block.member(slot))
            member = MEMBER.unpack(word)
            if member.state != FREE or member.incarnation >= LAST_MEMBER_INCARNATION:
                continue
            ours = MEMBER.pack(JOINING, member.incarnation + 1, random.getrandbits(40))
            if self.connection.compare_exchange(block.member(slot), word, ours) == word:
                self.slot, self.incarnation, self._word = slot, member.incarnation + 1, ours
                return
        raise NoRoom("all member slots are taken")

    def _write_identity(self, label):
        fields = [self.incarnation, 0, self.connection.client_id, 0, os.getpid(), label.encode()[:32]]
        fields[1] = crc32c(IDENTITY.pack(*fields))
        self.connection.write(self.superblock.member(self.slot) + 128, IDENTITY.pack(*fields))

    def _register(self):
        """Makes one of the free principals ours: in its name we own pages and write records."""
        block = self.superblock
        words = self.connection.read(block.principal(0), 8 * (block.principal_slots + 1))
        for number in random.sample(range(1, block.principal_slots + 1), block.principal_slots):
            word = int.from_bytes(words[8 * number : 8 * number + 8], "little")
            seen = PRINCIPAL.unpack(word)
            if seen.state != FREE or seen.incarnation >= LAST_PRINCIPAL_INCARNATION:
                continue
            incarnation = seen.incarnation + 1
            registering = PRINCIPAL.pack(REGISTERING, incarnation, self.slot, self.incarnation, 0)
            active = PRINCIPAL.pack(PRINCIPAL_ACTIVE, incarnation, self.slot, self.incarnation, 0)
            at = block.principal(number)
            if self.connection.compare_exchange(at, word, registering) != word:
                continue
            if self.connection.compare_exchange(at, registering, active) != registering:
                raise Fenced("the principal was taken while it was registered")
            self.principal, self.principal_incarnation, self.principal_word = number, incarnation, active
            return
        raise NoRoom("all principals are taken")

    # -- beating -------------------------------------------------------------------------------------------------------

    def check(self):
        """Raises why this member counts as dead, if it does."""
        if self.failure is not None:
            raise self.failure

    def pin(self):
        """Until it is unpinned, nothing that the log names at the index we have reached is reused."""
        with self.replica.lock:
            pin = object()
            self._pins[pin] = self.replica.next
            return pin

    def unpin(self, pin):
        with self.replica.lock:
            del self._pins[pin]

    def _beat_until_the_end(self):
        interval = self.superblock.lease_ms / 1000 / 4
        try:
            while not self._ending.wait(interval):
                self._swap_word(MEMBER.unpack(self._word).state)
                # The next beat does not wait for who is at the log or at the words just now: then that is left to it.
                if self.replica is not None and self.replica.lock.acquire(timeout=interval / 2):
                    try:
                        if self.allocator.lock.acquire(timeout=interval / 2):
                            try:
                                self.tidy()
                            finally:
                                self.allocator.lock.release()
                    finally:
                        self.replica.lock.release()
        except Exception as error:  # noqa: BLE001 whatever it is: without beats this member is dead
            self.failure = error

    def _swap_word(self, state):
        with self._beats:
            beat = MEMBER.unpack(self._word).beat
            ours = MEMBER.pack(state, self.incarnation, (beat + 1) % 2**40)
            if self.connection.compare_exchange(self.superblock.member(self.slot), self._word, ours) != self._word:
                raise Fenced("this member was declared dead")
            self._word = ours

    def _write_applied(self, index):
        word = APPLIED.pack(self.incarnation, index)
        self.connection.write(self.superblock.member(self.slot) + 64, word.to_bytes(8, "little"))

    # -- what a member owes the others ---------------------------------------------------------------------------------

    def tidy(self):
        """Follows the log, publishes how far, frees pages of ours that no file has any more, takes what was handed over."""
        replica = self.replica
        with replica.lock, self.allocator.lock:
            self._take_what_was_handed_over()
            # In this order: our words, what everybody has published, the log to its end.
            ours = self.allocator.withheld()
            published = self._published()
            replica.follow()
            self._write_applied(min([replica.next, *self._pins.values()]))
            state = replica.state
            for page in ours - state.named:
                # Since when it has no name we may not know: it came from another, or a snapshot has passed us.
                state.dismissed.setdefault(page, replica.next - 1)
            gone = {page for page, index in state.dismissed.items() if index < published}
            self.allocator.release(ours & gone)
            self.cutter.sweep()
            for page in gone:
                del state.dismissed[page]

    def _members(self):
        """Slot, w0 and w1 of all members."""
        block = self.superblock
        table = self.connection.read(block.member_offset, 256 * block.member_slots)
        for slot in range(block.member_slots):
            word, applied = (int.from_bytes(table[256 * slot + at :][:8], "little") for at in (0, 64))
            yield slot, MEMBER.unpack(word), APPLIED.unpack(applied)

    def _published(self):
        """The lowest index that a member has published: pages whose name went before that are looked at by nobody."""
        lowest = 2**44
        for slot, member, applied in self._members():
            if member.state in (JOINING, ACTIVE) and slot != self.slot:
                lowest = min(lowest, applied.applied if applied.incarnation == member.incarnation else 0)
            elif member.state == FENCED:
                self.connection.revoke(slot, member.incarnation)  # it counts no more once it is shut out
        return min([lowest, self.replica.next, *self._pins.values()])

    def _take_what_was_handed_over(self):
        """Merges principals that somebody who left has given to us."""
        at = self.superblock.member(self.slot) + 192
        word = self.connection.load(at)
        if word == 0 or self.connection.compare_exchange(at, word, 0) != word:
            return
        wanted = WANTED.unpack(word)
        if wanted.kind != 0 or wanted.pages != 0:
            return  # somebody looks for pages, and we hoard none; or wants an application to move, and we have none
        block = self.superblock
        words = self.connection.read(block.principal(0), 8 * (block.principal_slots + 1))
        for number in range(1, block.principal_slots + 1):
            word = int.from_bytes(words[8 * number : 8 * number + 8], "little")
            seen = PRINCIPAL.unpack(word)
            if number == self.principal or seen.state != PRINCIPAL_ACTIVE or seen.policy != 0:
                continue
            if (seen.member, seen.member_incarnation) == (self.slot, self.incarnation):
                self.allocator.take_over(number, seen.incarnation)
                self.cutter.take_over(number, seen.incarnation)
                self._free_principal(number, word)

    # -- leaving -------------------------------------------------------------------------------------------------------

    def leave(self):
        """Frees what is anonymous, frees the principal or hands it over, and ends the session."""
        self._ending.set()
        self._thread.join()
        self.check()
        self.allocator.free_all()
        self._take_back_what_was_lent()
        self.tidy()
        if not self.allocator.words and not self.cutter.own:
            self._free_principal(self.principal, self.principal_word)
        else:
            self._hand_over()
        self._swap_word(FENCED)
        self.connection.close()

    def _take_back_what_was_lent(self):
        """Removes the names of files that end with us, before our principal may become another's."""
        ours = {"principal": self.principal, "incarnation": self.principal_incarnation}
        self.replica.follow()
        if self.replica.state.owned_by(**ours):
            self.writer.append(lambda state: [operation("disown", **ours)])

    def _free_principal(self, number, word):
        free = PRINCIPAL.pack(FREE, PRINCIPAL.unpack(word).incarnation, 0, 0, 0)
        if self.connection.compare_exchange(self.superblock.principal(number), word, free) != word:
            raise Fenced(f"principal {number} is not ours any more")

    def _hand_over(self):
        """Gives the principal, with the pages of our files, to another member: to a steward if there is one. If nobody is
        there it stays as it is, and whoever comes next recovers it."""
        block = self.superblock
        others = []
        for slot, member, _ in self._members():
            if member.state == ACTIVE and slot != self.slot:
                identity = IDENTITY.unpack(self.connection.read(block.member(slot) + 128, 64))
                others.append((identity[3] & STEWARD, slot, member))
        if not others:
            return
        _, slot, member = max(others)
        theirs = PRINCIPAL.pack(PRINCIPAL_ACTIVE, self.principal_incarnation, slot, member.incarnation, 0)
        if self.connection.compare_exchange(block.principal(self.principal), self.principal_word, theirs) != self.principal_word:
            raise Fenced("the principal is not ours any more")
        hint = WANTED.pack(self.principal, self.principal_incarnation, 0, 0)
        self.connection.compare_exchange(block.member(slot) + 192, 0, hint)

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if self.failure is None and not isinstance(error, Fenced):
            self.leave()
