"""The namespace: a state machine that every client runs over the same records, so that all of them see the same tree."""

from records import Reader, Writer
from region import Damaged

FILE, DIRECTORY, SYMLINK = 0, 1, 2
ROOT = 1
MAX_NAME, MAX_TARGET, MAX_LINKS = 255, 2048, 65_000  # bytes of UTF-8, units of UTF-16, names


class Inode:
    def __init__(self, number, kind, mode, uid, gid, time):
        self.number = number
        self.kind = kind
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.links = 2 if kind == DIRECTORY else 1
        self.size = 0
        self.atime = self.mtime = self.ctime = time
        self.target = ""
        self.pages = {}  # of a file: page of the file -> page of the region. A client for huge files keeps extents.
        self.owner = None  # of a file: (principal, incarnation) that it ends with, or None if it outlives everybody
        self.unwritten = []  # of a file: ranges of bytes that read as zero although a page is there
        self.entries = {}  # of a directory: name -> inode number
        self.parent = ROOT


class State:
    def __init__(self, page_size):
        self.page_size = page_size
        self.inodes = {ROOT: Inode(ROOT, DIRECTORY, 0o755, 0, 0, 0)}
        self.fences = {}  # principal -> the highest incarnation whose records count no more
        self.sequences = {}  # principal -> (incarnation, last sequence)
        self.kept = {}  # inode -> (pages of the file, {principal: incarnation} that keep it)
        self.dismissed = {}  # page of the region -> index of the record since which nothing names it
        self.named = set()  # pages of the region that a file has, or a kept one

    # -- records -------------------------------------------------------------------------------------------------------

    def apply(self, record):
        """Applies a record. Answers whether it counted: records of the dead, and second ones, do not."""
        author, incarnation = record.author, record.incarnation
        if self.fences.get(author, -1) >= incarnation:
            return False
        if (incarnation, record.sequence) <= self.sequences.get(author, (-1, 0)):
            return False
        self.sequences[author] = (incarnation, record.sequence)
        for number, what in enumerate(record.operations):
            self._index = record.index
            self._number = record.index * 4096 + number
            getattr(self, "_" + what.op)(what)
        return True

    def _create(self, op):
        parent = self._directory(op.parent)
        if parent is None or op.name in parent.entries or not is_name(op.name):
            return
        if len(op.target.encode("utf-16-le")) > 2 * MAX_TARGET:
            return
        if op.owner is not None and (op.kind != FILE or self.fences.get(op.owner[0], -1) >= op.owner[1]):
            return
        inode = Inode(self._number, op.kind, op.mode, op.uid, op.gid, op.time)
        inode.size = len(op.target.encode()) if op.kind == SYMLINK else op.size
        inode.target, inode.parent, inode.owner = op.target, op.parent, op.owner
        self._put_extents(inode, op.extents)
        self.inodes[inode.number] = inode
        self._enter(parent, op.name, inode, op.time)

    def _link(self, op):
        parent, inode = self._directory(op.parent), self.inodes.get(op.inode)
        if parent is None or inode is None or inode.kind == DIRECTORY or inode.links >= MAX_LINKS:
            return
        if op.name in parent.entries or not is_name(op.name):
            return
        inode.links += 1
        inode.ctime = op.time
        self._enter(parent, op.name, inode, op.time)

    def _unlink(self, op):
        parent = self._directory(op.parent)
        if parent is None or parent.entries.get(op.name) != op.inode:
            return
        inode = self.inodes[op.inode]
        if (inode.kind == DIRECTORY) != bool(op.directory) or inode.entries:
            return
        self._leave(parent, op.name, inode, op.time)
        self._unnamed(inode, op.time)

    def _rename(self, op):
        old, new = self._directory(op.parent), self._directory(op.new_parent)
        if old is None or new is None or old.entries.get(op.name) != op.inode:
            return
        inode, replaced = self.inodes[op.inode], self.inodes.get(op.replaced)
        if new.entries.get(op.new_name, 0) != op.replaced or inode is replaced or not is_name(op.new_name):
            return
        if inode.kind == DIRECTORY and self._is_below(op.new_parent, op.inode):
            return
        if replaced is not None:
            if (replaced.kind == DIRECTORY) != (inode.kind == DIRECTORY) or replaced.entries:
                return
            self._leave(new, op.new_name, replaced, op.time)
            self._unnamed(replaced, op.time)
        self._leave(old, op.name, inode, op.time)
        self._enter(new, op.new_name, inode, op.time)
        inode.parent = op.new_parent
        inode.ctime = op.time

    def _extend(self, op):
        inode = self._file(op.inode)
        if inode is None or any(page in inode.pages for page in pages_of(op.extents)):
            return  # two that fill the same hole: the first has it, the second writes its bytes there
        self._put_extents(inode, op.extents)
        for start, end in op.written:
            inode.unwritten = without(inode.unwritten, start, end)
        inode.size = max(inode.size, op.size)
        inode.mtime = inode.ctime = op.time

    def _truncate(self, op):
        inode = self._file(op.inode)
        if inode is None:
            return
        if op.size < inode.size:
            kept = -(-op.size // self.page_size)
            for page in [page for page in inode.pages if page >= kept]:
                self._dismiss(inode.pages.pop(page))
            inode.unwritten = without(inode.unwritten, op.size, 2**53)
            if op.size % self.page_size and kept - 1 in inode.pages:
                inode.unwritten.append((op.size, kept * self.page_size))
        inode.size = op.size
        inode.mtime = inode.ctime = op.time

    def _setattr(self, op):
        inode = self.inodes.get(op.inode)
        if inode is None:
            return
        for field in ("mode", "uid", "gid", "atime", "mtime"):
            if hasattr(op, field):
                setattr(inode, field, getattr(op, field) & 0o7777 if field == "mode" else getattr(op, field))
        inode.ctime = op.ctime

    def _fence(self, op):
        incarnation = self.fences[op.principal] = max(op.incarnation, self.fences.get(op.principal, 0))
        for number in list(self.kept):
            if self.kept[number][1].get(op.principal, incarnation + 1) <= incarnation:
                self._let_go(number, op.principal)
        if op.adopt:
            for inode in self.owned_by(op.principal, incarnation):
                inode.owner = (op.principal, incarnation + 1)
        else:
            self._vanish(op.principal, incarnation)

    def _disown(self, op):
        self._vanish(op.principal, op.incarnation)

    def _keep(self, op):
        if op.inode in self.inodes:
            return
        pages, holders = self.kept.setdefault(op.inode, ({}, {}))
        for page, of_region, count in op.extents:
            for step in range(count):
                pages[page + step] = of_region + step
                self.named.add(of_region + step)
                self.dismissed.pop(of_region + step, None)
        holders[op.principal] = op.incarnation

    def _drop(self, op):
        if op.inode in self.kept and self.kept[op.inode][1].get(op.principal) == op.incarnation:
            self._let_go(op.inode, op.principal)

    # -- parts of them -------------------------------------------------------------------------------------------------

    def _directory(self, number):
        inode = self.inodes.get(number)
        return inode if inode is not None and inode.kind == DIRECTORY else None

    def _file(self, number):
        inode = self.inodes.get(number)
        return inode if inode is not None and inode.kind == FILE else None

    def _enter(self, parent, name, inode, time):
        parent.entries[name] = inode.number
        parent.mtime = parent.ctime = time
        if inode.kind == DIRECTORY:
            parent.links += 1

    def _leave(self, parent, name, inode, time):
        del parent.entries[name]
        parent.mtime = parent.ctime = time
        if inode.kind == DIRECTORY:
            parent.links -= 1

    def _unnamed(self, inode, time):
        """A name of it is gone: with the last one the inode goes too."""
        inode.links -= 1
        inode.ctime = time
        if inode.kind == DIRECTORY or inode.links == 0:
            del self.inodes[inode.number]
            for page in inode.pages.values():
                self._dismiss(page)

    def owned_by(self, principal, incarnation):
        """Files that end with that principal, in that incarnation or a lower one."""
        owned = [inode for inode in self.inodes.values() if inode.owner is not None and inode.owner[0] == principal]
        return [inode for inode in owned if inode.owner[1] <= incarnation]

    def _vanish(self, principal, incarnation):
        """Their owner has ended, and all names that they have go with it."""
        ending = {inode.number: inode for inode in self.owned_by(principal, incarnation)}
        if not ending:
            return
        for directory in [inode for inode in self.inodes.values() if inode.kind == DIRECTORY]:
            for name, number in list(directory.entries.items()):
                if number in ending:
                    # Nobody was asked for the time: that the directory has changed must show all the same.
                    self._leave(directory, name, ending[number], directory.ctime + 1)
                    self._unnamed(ending[number], ending[number].ctime + 1)

    def _is_below(self, number, ancestor):
        while number != ROOT:
            if number == ancestor:
                return True
            number = self.inodes[number].parent
        return ancestor == ROOT

    def _put_extents(self, inode, extents):
        for page, of_region, count in extents:
            for step in range(count):
                inode.pages[page + step] = of_region + step
                self.named.add(of_region + step)
                self.dismissed.pop(of_region + step, None)

    def _dismiss(self, page):
        self.named.discard(page)
        self.dismissed[page] = self._index

    def _let_go(self, number, principal):
        pages, holders = self.kept[number]
        del holders[principal]
        if not holders:
            del self.kept[number]
            for page in pages.values():
                self._dismiss(page)

    # -- snapshots -----------------------------------------------------------------------------------------------------

    def restore(self, body):
        """Takes on the state that the body of a snapshot holds."""
        reader = Reader(body)
        self.inodes = {}
        for _ in range(reader.v()):
            principal = reader.v()
            self.fences[principal] = reader.v()
        for _ in range(reader.v()):
            principal = reader.v()
            self.sequences[principal] = (reader.v(), reader.v())
        for _ in range(reader.v()):
            number = reader.v()
            pages = pages_of(reader.x())
            self.kept[number] = (pages, {reader.v(): reader.v() for _ in range(reader.v())})
            self.named.update(pages.values())
        for _ in range(reader.v()):
            number, kind = reader.v(), reader.number(1)
            inode = self.inodes[number] = Inode(number, kind, reader.v(), reader.v(), reader.v(), 0)
            inode.links, inode.size = reader.v(), reader.v()
            inode.atime, inode.mtime, inode.ctime = reader.i(), reader.i(), reader.i()
            if kind == SYMLINK:
                inode.target = reader.t()
            elif kind == FILE:
                inode.pages = pages_of(reader.x())
                inode.unwritten = reader.r()
                inode.owner = reader.o()
                self.named.update(inode.pages.values())
            else:
                inode.parent = reader.v()
                inode.entries = {reader.t(): reader.v() for _ in range(reader.v())}
        if reader.at != len(body):
            raise Damaged("the snapshot has bytes behind its inodes")

    def dump(self):
        """The body of a snapshot of this state."""
        writer = Writer()
        writer.vs(len(self.fences))
        for principal, incarnation in self.fences.items():
            writer.vs(principal, incarnation)
        writer.vs(len(self.sequences))
        for principal, (incarnation, sequence) in self.sequences.items():
            writer.vs(principal, incarnation, sequence)
        writer.vs(len(self.kept))
        for number, (pages, holders) in self.kept.items():
            writer.vs(number)
            writer.x(extents_of(pages))
            writer.vs(len(holders))
            for principal, incarnation in holders.items():
                writer.vs(principal, incarnation)
        writer.vs(len(self.inodes))
        for inode in self.inodes.values():
            writer.vs(inode.number)
            writer.number(inode.kind, 1)
            writer.vs(inode.mode, inode.uid, inode.gid, inode.links, inode.size)
            for time in (inode.atime, inode.mtime, inode.ctime):
                writer.i(time)
            if inode.kind == SYMLINK:
                writer.t(inode.target)
            elif inode.kind == FILE:
                writer.x(extents_of(inode.pages))
                writer.r(inode.unwritten)
                writer.o(inode.owner)
            else:
                writer.vs(inode.parent, len(inode.entries))
                for name, number in inode.entries.items():
                    writer.t(name)
                    writer.vs(number)
        return bytes(writer.data)

    # -- what a client asks --------------------------------------------------------------------------------------------

    def lookup(self, path):
        """The inode of an absolute path, or None. Symlinks are not followed."""
        inode = self.inodes[ROOT]
        for name in path.split("/"):
            if name:
                inode = self.inodes.get(inode.entries.get(name)) if inode is not None else None
        return inode


def is_name(name):
    return name not in ("", ".", "..") and "/" not in name and "\0" not in name and len(name.encode()) <= MAX_NAME


def pages_of(extents):
    return {page + step: of_region + step for page, of_region, count in extents for step in range(count)}


def extents_of(pages):
    """The other way round: runs of pages that follow each other in the file and in the region."""
    extents = []
    for page in sorted(pages):
        of_region = pages[page]
        if extents and extents[-1][0] + extents[-1][2] == page and extents[-1][1] + extents[-1][2] == of_region:
            extents[-1] = (extents[-1][0], extents[-1][1], extents[-1][2] + 1)
        else:
            extents.append((page, of_region, 1))
    return extents


def without(ranges, start, end):
    """What is left of some ranges when one is taken out."""
    left = []
    for first, last in ranges:
        left += [(first, min(last, start))] if first < start else []
        left += [(max(first, end), last)] if last > end else []
    return left

