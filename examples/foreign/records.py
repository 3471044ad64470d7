"""Records of the log: what is in one, and how it is written (docs/FORMAT.md, "The log")."""

import struct
from types import SimpleNamespace

from region import Damaged, crc32c

HEADER = struct.Struct("<IIQIHHQH")  # length, CRC, index, lap, author, incarnation, sequence, number of operations
MAX_RECORD = 4096

# As in the table of the document. v is a varint, t a text, i a signed time, x extents, r ranges, o an owner, 1 and 2 are bytes; a
# field with ?mask is there if the field `mask` has that bit.
OPERATIONS = {
    1: ("create", "parent:v name:t kind:1 mode:2 uid:v gid:v time:i target:t size:v extents:x owner:o"),
    2: ("link", "parent:v name:t inode:v time:i"),
    3: ("unlink", "parent:v name:t inode:v directory:1 time:i"),
    4: ("rename", "parent:v name:t inode:v new_parent:v new_name:t replaced:v time:i"),
    5: ("extend", "inode:v size:v time:i extents:x written:r"),
    6: ("truncate", "inode:v size:v time:i"),
    7: ("setattr", "inode:v mask:1 mode:v?1 uid:v?2 gid:v?4 atime:i?8 mtime:i?16 ctime:i"),
    8: ("fence", "principal:2 incarnation:2 adopt:1"),
    9: ("keep", "inode:v principal:2 incarnation:2 extents:x"),
    10: ("drop", "inode:v principal:2 incarnation:2"),
    11: ("disown", "principal:2 incarnation:2"),
}
KINDS = {name: kind for kind, (name, _) in OPERATIONS.items()}


class Reader:
    """Values from bytes, in order. What is cut short is damaged."""

    def __init__(self, data, at=0):
        self.data = data
        self.at = at

    def take(self, length):
        if self.at + length > len(self.data):
            raise Damaged("bytes end in the middle of a value")
        self.at += length
        return self.data[self.at - length : self.at]

    def number(self, length):
        return int.from_bytes(self.take(length), "little")

    def v(self):
        value = shift = 0
        while True:
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                if value >= 2**53:
                    raise Damaged("a varint of 2^53 or more")
                return value
            if shift > 49:
                raise Damaged("a varint that does not end")

    def t(self):
        return self.take(self.v()).decode()

    def i(self):
        return int.from_bytes(self.take(8), "little", signed=True)

    def x(self):
        return [(self.v(), self.v(), self.v()) for _ in range(self.v())]

    def r(self):
        return [(self.v(), self.v()) for _ in range(self.v())]

    def o(self):
        principal = self.v()
        return (principal, self.v()) if principal else None

    def field(self, kind):
        return self.number(int(kind)) if kind.isdigit() else getattr(self, kind)()


class Writer:
    def __init__(self):
        self.data = bytearray()

    def number(self, value, length):
        self.data += value.to_bytes(length, "little")

    def v(self, value):
        while value >= 0x80:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)

    def vs(self, *values):
        for value in values:
            self.v(value)

    def t(self, value):
        encoded = value.encode()
        self.v(len(encoded))
        self.data += encoded

    def i(self, value):
        self.data += value.to_bytes(8, "little", signed=True)

    def x(self, value):
        self.v(len(value))
        for extent in value:
            for number in extent:
                self.v(number)

    r = x

    def o(self, value):
        self.vs(*(value or (0,)))

    def field(self, kind, value):
        if kind.isdigit():
            self.number(value, int(kind))
        else:
            getattr(self, kind)(value)


def operation(op, **fields):
    """An operation of a record; what is not given is empty or 0."""
    return SimpleNamespace(op=op, **fields)


def _fields(kind, operation_so_far):
    """The fields of an operation that are there, given what was seen of it so far."""
    for field in OPERATIONS[kind][1].split():
        name, _, rest = field.partition(":")
        kind_of_field, _, mask = rest.partition("?")
        if not mask or getattr(operation_so_far, "mask", 0) & int(mask):
            yield name, kind_of_field


def encode_operation(writer, what):
    kind = KINDS[what.op]
    writer.number(kind, 1)
    for name, kind_of_field in _fields(kind, what):
        empty = {"t": "", "x": (), "r": (), "o": None}.get(kind_of_field, 0)
        writer.field(kind_of_field, getattr(what, name, empty))


def decode_operation(reader):
    kind = reader.number(1)
    if kind not in OPERATIONS:
        raise Damaged(f"there is no operation {kind}")
    what = SimpleNamespace(op=OPERATIONS[kind][0])
    for name, kind_of_field in _fields(kind, what):
        setattr(what, name, reader.field(kind_of_field))
    return what


def encode_record(index, lap, author, incarnation, sequence, operations):
    writer = Writer()
    for what in operations:
        encode_operation(writer, what)
    length = HEADER.size + len(writer.data)
    rest = HEADER.pack(0, 0, index, lap, author, incarnation, sequence, len(operations))[8:] + writer.data
    return struct.pack("<II", length, crc32c(rest)) + rest


def decode_record(data, index, lap):
    """A record of that index and lap, or None if these bytes are another's, or torn."""
    length, crc, its_index, its_lap, author, incarnation, sequence, count = HEADER.unpack_from(data)
    if not HEADER.size <= length <= MAX_RECORD or (its_index, its_lap) != (index, lap):
        return None
    if crc32c(data[8:length]) != crc:
        return None
    reader = Reader(data[:length], HEADER.size)
    operations = [decode_operation(reader) for _ in range(count)]
    if reader.at != length:
        raise Damaged(f"record {index} has bytes behind its operations")
    return SimpleNamespace(
        index=index, author=author, incarnation=incarnation, sequence=sequence, operations=operations, length=length
    )
