"""The wire: one connection to an appliance, as docs/WIRE.md describes it.

A connection is one epoch of one lane. This client sends one frame at a time and waits for its answer: enough for an
example, and the answer to "what happened to the rest?" is never in doubt. A client in a hurry pipelines.
"""

import os
import socket
import struct
import threading
from urllib.parse import urlsplit

MAGIC = b"exomem\r\n"
VERSION = 1

LOAD, READ, WRITE, COMPARE_EXCHANGE, FETCH_ADD, BATCH, BIND, REVOKE, PING = range(1, 10)
GOODBYE = 255
STOP_ON_FAIL = 1

STATUS = {
    1: "OutOfRange", 2: "Unaligned", 3: "InvalidArgument", 4: "PermissionDenied", 5: "Fenced", 6: "ProtocolError",
    7: "UnsupportedCapability", 8: "NotFound", 9: "Busy", 10: "Closed", 11: "Incompatible", 12: "DeadlineExceeded",
}  # fmt: skip

HELLO = struct.Struct("<8sHHIQ16sIIQH6x")  # 64 bytes, then the name
WELCOME = struct.Struct("<8sHHIQ16sQQIIIII12x")  # 88 bytes, then a text
HEADER = struct.Struct("<IBBHII")  # length, operation, flags or status, reserved, id, checksum (reserved)


class Refused(Exception):
    """The appliance answered with a status other than 0."""

    def __init__(self, status, text):
        self.status = status
        super().__init__(f"{STATUS.get(status, status)}: {text}")


class Fenced(Exception):
    """This client counts as dead: nothing that it held is its own any more."""


class ConnectionLost(Exception):
    """The connection ended; requests that were not answered may or may not have happened."""


def load(offset):
    return struct.pack("<IIQ", LOAD, 0, offset)


def read(offset, length):
    return struct.pack("<IIQ", READ, length, offset)


def write(offset, data):
    return struct.pack("<IIQ", WRITE, len(data), offset) + data + bytes(-len(data) % 8)


def compare_exchange(offset, expected, desired):
    return struct.pack("<IIQQQ", COMPARE_EXCHANGE, 0, offset, expected, desired)


class Connection:
    """One epoch of one lane to one region. Threads may share it: requests take turns."""

    def __init__(self, url, client_id=None, lane=0, epoch=1):
        parts = urlsplit(url)
        if parts.scheme != "tcp" or parts.hostname is None or parts.port is None:
            raise ValueError(f"{url} is no tcp://HOST:PORT/REGION")
        name = (parts.path.lstrip("/") or "default").encode()
        self.client_id = client_id or os.urandom(16)
        self._turn = threading.Lock()
        self._next_id = 0
        # An appliance answers within 10 s, or is counted as lost.
        self._socket = socket.create_connection((parts.hostname, parts.port), timeout=10)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._send(HELLO.pack(MAGIC, VERSION, VERSION, 64 + len(name), 0, self.client_id, lane, 0, epoch, len(name)) + name)
        (magic, _, status, length, _, self.instance, self.epoch, self.region_bytes,
         self.max_transfer, self.max_steps, self.max_batch, self.max_answer, self.idle_ms) = WELCOME.unpack(self._receive(88))  # fmt: skip
        if magic != MAGIC or not 88 <= length <= 88 + 1024:
            raise ConnectionLost(f"{url} does not speak this protocol")
        text = self._receive(length - 88).decode(errors="replace")
        if status != 0:
            raise Refused(status, text)

    # -- the operations ------------------------------------------------------------------------------------------------

    def load(self, offset):
        """The word of 8 bytes at an offset that is a multiple of 8."""
        return int.from_bytes(self._request(LOAD, struct.pack("<Q", offset)), "little")

    def read(self, offset, length):
        """Bytes, in as many requests as the appliance wants."""
        parts = []
        for at in range(0, length, self.max_transfer):
            part = min(self.max_transfer, length - at)
            parts.append(self._request(READ, struct.pack("<QQ", offset + at, part)))
        return b"".join(parts)

    def write(self, offset, data):
        for at in range(0, len(data), self.max_transfer):
            self._request(WRITE, struct.pack("<Q", offset + at) + data[at : at + self.max_transfer])

    def compare_exchange(self, offset, expected, desired):
        """Answers what was there; it is replaced if it was what was expected."""
        body = struct.pack("<QQQ", offset, expected, desired)
        return int.from_bytes(self._request(COMPARE_EXCHANGE, body), "little")

    def batch(self, *steps, stop_on_fail=False):
        """Runs steps (of the functions above) in order, and answers a list: bytes of a read, None of a write, else a word."""
        body = struct.pack("<II", len(steps), 0) + b"".join(steps)
        answer = self._request(BATCH, body, STOP_ON_FAIL if stop_on_fail else 0)
        (run,) = struct.unpack_from("<I", answer)
        results, at = [], 8
        for step in steps[:run]:
            operation, length = struct.unpack_from("<II", step)
            if operation == WRITE:
                results.append(None)
            elif operation == READ:
                results.append(answer[at : at + length])
                at += length + -length % 8
            else:
                results.append(int.from_bytes(answer[at : at + 8], "little"))
                at += 8
        return results

    def bind(self, slot, incarnation, offset):
        """Ties this epoch to a member: once that one is revoked, nothing sent here takes effect."""
        self._request(BIND, struct.pack("<IIQ", slot, incarnation, offset))

    def revoke(self, slot, incarnation):
        """Shuts a member out, for good: nothing that it has sent takes effect any more."""
        self._request(REVOKE, struct.pack("<IIQ", slot, incarnation, 0))

    def close(self):
        self._socket.close()

    # -- frames --------------------------------------------------------------------------------------------------------

    def _request(self, operation, body, flags=0):
        with self._turn:
            number = self._next_id
            self._next_id = (number + 1) % 2**32
            self._send(HEADER.pack(16 + len(body), operation, flags, 0, number, 0) + body)
            length, answered, status, _, answer_id, _ = HEADER.unpack(self._receive(16))
            answer = self._receive(length - 16)
        if answered != GOODBYE and (answered, answer_id) != (operation, number):
            raise ConnectionLost("the answer belongs to another request")
        if status == 5:
            raise Fenced(answer.decode(errors="replace"))
        if status != 0 or answered == GOODBYE:
            raise Refused(status, answer.decode(errors="replace"))
        return answer

    def _send(self, data):
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionLost(str(error)) from error

    def _receive(self, length):
        parts = []
        while length > 0:
            try:
                part = self._socket.recv(min(length, 1 << 20))
            except OSError as error:
                raise ConnectionLost(str(error)) from error
            if not part:
                raise ConnectionLost("the appliance closed the connection")
            parts.append(part)
            length -= len(part)
        return b"".join(parts)
