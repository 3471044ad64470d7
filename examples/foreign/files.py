"""Files: names and bytes. Everything here is the log and the pages; nothing asks anybody."""

import time

from records import operation
from state import DIRECTORY, FILE, SYMLINK, extents_of

EXTENTS_IN_A_RECORD = 150  # of at most 3 x 8 bytes: a record ends at 4,096


class NotFound(Exception):
    pass


class Exists(Exception):
    pass


class NotAFile(Exception):
    pass


def now():
    return time.time_ns()


def split(path):
    parent, _, name = path.rstrip("/").rpartition("/")
    if not name or len(name.encode()) > 255:
        raise ValueError(f"{path} names no file")
    return parent, name


def parent_of(state, path):
    """The directory that a path lies in, and the last name of it."""
    parent, name = split(path)
    directory = state.lookup(parent)
    if directory is None or directory.kind != DIRECTORY:
        raise NotFound(parent or "/")
    return directory, name


class Files:
    def __init__(self, member):
        self.member = member
        self.page_size = member.superblock.page_size

    @property
    def state(self):
        """The namespace as it is now."""
        self.member.check()
        self.member.replica.follow()
        return self.member.replica.state

    # -- names ---------------------------------------------------------------------------------------------------------

    def ls(self, path="/"):
        """The names in a directory, with their inodes."""
        with self.member.replica.lock:
            state = self.state
            directory = state.lookup(path)
            if directory is None or directory.kind != DIRECTORY:
                raise NotFound(path)
            return {name: state.inodes[number] for name, number in directory.entries.items()}

    def mkdir(self, path):
        def plan(state):
            parent, name = parent_of(state, path)
            if name in parent.entries:
                raise Exists(path)
            return [operation("create", parent=parent.number, name=name, kind=DIRECTORY, mode=0o755, time=now())]

        self._append(plan)

    def rm(self, path):
        """Removes a name: of a file, a symlink, or an empty directory."""

        def plan(state):
            parent, name = parent_of(state, path)
            inode = state.lookup(path)
            if inode is None:
                raise NotFound(path)
            if inode.entries:
                raise Exists(f"{path} is not empty")
            directory = int(inode.kind == DIRECTORY)
            return [
                operation("unlink", parent=parent.number, name=name, inode=inode.number, directory=directory, time=now())
            ]

        self._append(plan)

    def rename(self, old, new):
        """Moves a name; a file that has the new one is replaced in the same record."""

        def plan(state):
            from_, name = parent_of(state, old)
            to, new_name = parent_of(state, new)
            inode = state.lookup(old)
            if inode is None:
                raise NotFound(old)
            replaced = state.lookup(new)
            if replaced is not None and DIRECTORY in (replaced.kind, inode.kind):
                raise Exists(new)
            return [
                operation(
                    "rename", parent=from_.number, name=name, inode=inode.number, new_parent=to.number,
                    new_name=new_name, replaced=replaced.number if replaced else 0, time=now(),
                )
            ]  # fmt: skip

        self._append(plan)

    # -- bytes ---------------------------------------------------------------------------------------------------------

    def put(self, path, data, lent=False):
        """A file with these bytes. One that has the name is replaced by it in the same record, whole or not at all. One that
        is lent ends with us: whether we leave or die, its names go."""
        owner = (self.member.principal, self.member.principal_incarnation) if lent else None
        pages = self._filled(data)
        extents = extents_of(dict(enumerate(pages)))
        if len(extents) > EXTENTS_IN_A_RECORD:
            self.member.allocator.release(pages)
            raise ValueError(f"{len(extents)} pieces: this client writes files in at most {EXTENTS_IN_A_RECORD}")

        def plan(state):
            parent, name = parent_of(state, path)
            old = state.lookup(path)
            if old is not None and old.kind == DIRECTORY:
                raise Exists(path)
            time = now()
            replace = []
            if old is not None:
                replace.append(operation("unlink", parent=parent.number, name=name, inode=old.number, time=time))
            create = operation(
                "create", parent=parent.number, name=name, kind=FILE, mode=0o644, time=time, size=len(data), extents=extents,
                owner=owner,
            )  # fmt: skip
            return [*replace, create]

        self._append(plan, pages)

    def append(self, path, data):
        """Adds bytes to the end of a file. What fits its last page is written there, for the rest it gets pages."""
        member, size = self.member, self.page_size
        pin = member.pin()
        try:
            inode = self._file(path)
            at = inode.size
            tail = min(len(data), -at % size)
            if tail:
                if at // size not in inode.pages:
                    raise NotAFile(f"{path} ends in a hole")  # to put a page there is left to a better client
                member.connection.write(member.superblock.page(inode.pages[at // size]) + at % size, data[:tail])
            pages = self._filled(data[tail:])
            first = -(-at // size)

            def plan(state):
                if inode.number not in state.inodes or state.inodes[inode.number].size != at:
                    raise NotFound(f"{path} was changed by somebody else meanwhile")
                extents = [(first + page, of_region, count) for page, of_region, count in extents_of(dict(enumerate(pages)))]
                return [
                    operation(
                        "extend", inode=inode.number, size=at + len(data), time=now(), extents=extents,
                        written=[(at, at + len(data))],
                    )
                ]  # fmt: skip

            self._append(plan, pages)
        finally:
            member.unpin(pin)

    def get(self, path):
        """The bytes of a file, as long as they are named by the log at the index that is pinned: whole, whoever removes it."""
        member, size = self.member, self.page_size
        pin = member.pin()
        try:
            with member.replica.lock:
                inode = self._file(path)
                length, pages, unwritten = inode.size, dict(inode.pages), list(inode.unwritten)
            data = bytearray(length)
            for page, of_region, count in extents_of(pages):
                end = min(length, (page + count) * size)
                if page * size < end:
                    data[page * size : end] = member.connection.read(member.superblock.page(of_region), end - page * size)
            for start, end in unwritten:
                data[start : min(end, length)] = bytes(max(0, min(end, length) - start))
            return bytes(data)
        finally:
            member.unpin(pin)

    def _file(self, path):
        inode = self.state.lookup(path)
        if inode is None:
            raise NotFound(path)
        if inode.kind == SYMLINK or inode.kind == DIRECTORY:
            raise NotAFile(path)
        return inode

    def _filled(self, data):
        """Pages with these bytes, and zeros behind them: a page enters a file when all its bytes are written."""
        count = -(-len(data) // self.page_size)
        pages = self.member.allocator.withhold(count)
        for page, of_region, run in extents_of(dict(enumerate(pages))):
            part = data[page * self.page_size : (page + run) * self.page_size]
            self.member.connection.write(self.member.superblock.page(of_region), part + bytes(-len(part) % self.page_size))
        return pages

    def _append(self, plan, pages=()):
        """Appends a record that names these pages; they are given back if it cannot be."""
        self.member.check()
        try:
            self.member.writer.append(plan)
        except (NotFound, Exists, ValueError):
            self.member.allocator.release(pages)
            raise
        self.member.allocator.constructing.difference_update(pages)
