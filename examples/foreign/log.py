"""A client's replica of the namespace: it replays the log, from the newest snapshot on, and appends to it."""

import threading

from records import MAX_RECORD, decode_record, encode_record
from region import SLOT, Damaged, crc32c
from snapshot import pieces, read_root
from state import State
from wire import Fenced, compare_exchange, read, write

UNIT = 64  # bytes that an address in a slot counts
SLOTS_AHEAD = 15  # so many records of 4,096 bytes fit the answer to a batch


class Replica:
    def __init__(self, connection, superblock, arena=(0, 0)):
        self.connection = connection
        self.superblock = superblock
        self.arena = arena  # where our own records go: from, to
        self.lock = threading.RLock()  # the thread that beats follows the log too
        self.load()

    # -- reading -------------------------------------------------------------------------------------------------------

    def load(self):
        """Begins again at the root: with its snapshot, or with the empty tree and the first record."""
        while True:
            word, header = read_root(self.connection, self.superblock)
            self.state = State(self.superblock.page_size)
            self.next = self.first = 1  # of the next record; of the first that the snapshot does not hold
            self.in_use = {}  # address in our arena that a slot from `first` on points at -> index and length
            if header is None:
                return
            try:
                index, length, crc, runs = header
                body = b"".join(self.connection.read(*piece) for piece in pieces(self.superblock, runs, length))
                if crc32c(body) != crc:
                    raise Damaged("the checksum of the snapshot is wrong")
                self.state.restore(body)
                self.next = self.first = index
                return
            except Damaged:
                # Its groups may have been used again while we read: then the root has moved on.
                if self.connection.load(self.superblock.root) == word:
                    raise

    def passed(self, index):
        """There is a snapshot that holds everything below this index: of our arena, what it holds is free again."""
        self.first = max(self.first, index)
        self.in_use = {address: use for address, use in self.in_use.items() if use[0] >= self.first}

    def follow(self):
        """Replays the log to its end. Afterwards `next` is the index of the first record that is not there yet."""
        with self.lock:
            while self._follow_some():
                pass

    def _follow_some(self):
        """Replays some records. Answers whether there may be more."""
        block = self.superblock
        lap = self.next // block.log_slots
        ahead = min(SLOTS_AHEAD, block.log_slots - self.next % block.log_slots)
        words = self.connection.read(block.slot(self.next), 8 * ahead)
        addresses = []
        for at in range(0, len(words), 8):
            slot = SLOT.unpack(int.from_bytes(words[at : at + 8], "little"))
            if slot.lap > lap:
                self.load()  # a snapshot has passed us
                return True
            if slot.lap < lap or slot.address == 0:
                break
            addresses.append(slot.address * UNIT)
        if not addresses:
            return False
        for address, data in zip(addresses, self.connection.batch(*[read(a, MAX_RECORD) for a in addresses]), strict=True):
            record = decode_record(data, self.next, lap)
            if record is None:
                # Overwritten, which is done only once a snapshot has passed it.
                before = self.first
                self.load()
                if self.first == before:
                    raise Damaged(f"record {self.next} is not what its slot says")
                return True
            self.state.apply(record)
            if self.arena[0] <= address < self.arena[1]:
                self.in_use[address] = (self.next, record.length)
            self.next += 1
        return len(addresses) == ahead


class Writer:
    """Appends records under one principal, from the replica's arena."""

    def __init__(self, replica, principal, incarnation, cutter):
        self.replica = replica
        self.principal = principal
        self.incarnation = incarnation
        self.cutter = cutter
        self.sequence = 0
        self.at = replica.arena[0]

    def append(self, plan):
        """Appends the operations that `plan(state)` answers, which looks at the state and may raise instead. Where another
        was faster, its record is applied and `plan` is asked again: what it has seen is what the record will meet.
        Answers the index of the record."""
        replica = self.replica
        block = replica.superblock
        with replica.lock:
            while True:
                replica.follow()
                operations = plan(replica.state)
                index, lap = replica.next, replica.next // block.log_slots
                sequence = self.sequence + 1
                data = encode_record(index, lap, self.principal, self.incarnation, sequence, operations)
                if len(data) > MAX_RECORD:
                    raise ValueError(f"a record of {len(data)} bytes; {MAX_RECORD} are allowed")
                place = self._place(len(data))
                if place is None:
                    self.cutter.make_room()
                    continue
                empty = SLOT.pack(lap, 0)
                _, seen = replica.connection.batch(
                    write(place, data), compare_exchange(block.slot(index), empty, SLOT.pack(lap, place // UNIT))
                )
                if seen == empty:
                    break
                if SLOT.unpack(seen).lap < lap:
                    self.cutter.make_room()
            self.sequence = sequence
            self.at = place + -(-len(data) // UNIT) * UNIT
            replica.follow()  # applies our own record, as everybody does
            if replica.state.fences.get(self.principal, -1) >= self.incarnation:
                raise Fenced("the principal was fenced in the log")
            return index

    def _place(self, length):
        """Bytes of our half that no slot from the snapshot of the root on points at, whoever wrote what is there."""
        taken = sorted((address, address + used) for address, (_, used) in self.replica.in_use.items())
        first, last = self.replica.arena
        for start, limit in ((self.at, last), (first, self.at)):
            for begin, end in [*taken, (limit, limit)]:
                if end <= start:
                    continue
                if min(begin, limit) - start >= length:
                    return start
                start = -(-end // UNIT) * UNIT
        return None
