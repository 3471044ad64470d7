"""What the bytes of a region mean: superblock, geometry and words, as docs/FORMAT.md describes them."""

import struct
from collections import namedtuple


def _crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


class Layout:
    """The fields of a word, the most significant first: `Layout("member", "state:4 incarnation:20 beat:40")`."""

    def __init__(self, name, fields):
        pairs = [field.split(":") for field in fields.split()]
        self._widths = [int(width) for _, width in pairs]
        if sum(self._widths) != 64:
            raise ValueError(f"{fields} are not 64 bits")
        self._type = namedtuple(name, [field for field, _ in pairs])

    def unpack(self, word):
        values, rest = [], 64
        for width in self._widths:
            rest -= width
            values.append(word >> rest & (1 << width) - 1)
        return self._type(*values)

    def pack(self, *values, **named):
        word = 0
        for value, width in zip(self._type(*values, **named), self._widths, strict=True):
            if not 0 <= value < 1 << width:
                raise ValueError(f"{value} does not fit {width} bits")
            word = word << width | value
        return word


STATE = Layout("State", "nonce:60 state:4")
MEMBER = Layout("Member", "state:4 incarnation:20 beat:40")
APPLIED = Layout("Applied", "incarnation:20 applied:44")
WANTED = Layout("Wanted", "principal:16 incarnation:16 kind:4 pages:28")
PRINCIPAL = Layout("Principal", "state:4 incarnation:16 member:16 member_incarnation:20 policy:8")
GROUP = Layout("Group", "principal:16 incarnation:16 bits:32")
SLOT = Layout("Slot", "lap:22 address:42")
ROOT = Layout("Root", "version:28 page:36")

FORMATTING, READY = 1, 2  # states of a region
FREE = 0  # members and principals alike
JOINING, ACTIVE, FENCED = 1, 2, 3  # members
REGISTERING, PRINCIPAL_ACTIVE, ADOPTING, DYING = 1, 2, 3, 4  # principals
EMPTY, HEAD, CONTINUATION, WITHHELD = 0b00, 0b01, 0b10, 0b11  # pages; HEAD under principal 0 says: free and all zero

MAGIC = b"exomem\0\0"
ATOMIC = 1 << 0
LOCKED, MESSAGE, CUSTOM = 1 << 1, 1 << 2, 1 << 5  # other ways to coordinate: the words mean the same
GEOMETRY = (
    "region_bytes page_size group_pages group_count reserve_groups member_slots principal_slots log_slots arena_bytes "
    "control_offset member_offset principal_offset group_offset log_offset arena_offset data_offset copy_offset"
).split()


class Damaged(Exception):
    """The bytes are not what the format says."""


class Superblock:
    """The geometry of a region, and where everything lies in it."""

    def __init__(self, data, region_bytes, changes=True):
        """`changes`: whether somebody is to change anything, which takes knowing how the owners of words agree."""
        magic, self.version, length, state = struct.unpack_from("<8sIIQ", data)
        if magic != MAGIC:
            raise Damaged("this is no region of exomem")
        if self.version != 0 or length != 4096:
            raise Damaged(f"version {self.version} of the format is not known here")
        if state != STATE.pack(nonce=0, state=READY):
            raise Damaged("the region is not formatted")
        if struct.unpack_from("<I", data, 4092)[0] != crc32c(data[:16] + data[24:4092]):
            raise Damaged("the checksum of the superblock is wrong")
        self.compat, self.incompat, self.ro_compat = struct.unpack_from("<QQQ", data, 24)
        if self.incompat not in ((ATOMIC,) if changes else (ATOMIC, LOCKED, MESSAGE, CUSTOM)):
            raise Damaged(f"this client knows the policy atomic alone, not the features {self.incompat:#x}")
        self.uuid = data[48:64]
        for name, value in zip(GEOMETRY, struct.unpack_from("<17Q", data, 64), strict=True):
            setattr(self, name, value)
        self.lease_ms, self.delay_ms, self.drift_ppm, self.wait_ms = struct.unpack_from("<4I", data, 200)
        self._judge(region_bytes)

    def _judge(self, region_bytes):
        tables = [
            (0, 4096),
            (self.control_offset, 4096),
            (self.member_offset, 256 * self.member_slots),
            (self.principal_offset, 8 * (self.principal_slots + 1)),
            (self.group_offset, 8 * self.group_count),
            (self.log_offset, 8 * self.log_slots),
            (self.arena_offset, self.arena_bytes * self.member_slots),
            (self.data_offset, self.group_count * self.group_pages * self.page_size),
            (self.copy_offset, 4096),
        ]
        end = 0
        for start, length in tables:
            if start < end:
                raise Damaged("the tables overlap")
            end = start + length
        if end > region_bytes:
            raise Damaged(f"the region ends at {end}, but there are {region_bytes} bytes")

    # -- where things are ----------------------------------------------------------------------------------------------

    @property
    def root(self):
        return self.control_offset

    def member(self, slot):
        return self.member_offset + 256 * slot

    def principal(self, number):
        return self.principal_offset + 8 * number

    def group(self, number):
        return self.group_offset + 8 * number

    def slot(self, index):
        return self.log_offset + 8 * (index % self.log_slots)

    def page(self, number):
        return self.data_offset + number * self.page_size

    @property
    def data_groups(self):
        """Groups that may hold anything but snapshots."""
        return self.group_count - self.reserve_groups


def bits_of(word, group_pages):
    """The two bits of each page of a group word, page 0 first."""
    return [word >> 30 - 2 * page & 0b11 for page in range(group_pages)]


def with_bits(bits):
    """The low 32 bits of a group word."""
    value = 0
    for page, state in enumerate(bits):
        value |= state << 30 - 2 * page
    return value
