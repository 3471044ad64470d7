"""Pages: which are ours, how to get more, how to give them back (docs/FORMAT.md, "Group words").

A group word holds owner, incarnation and two bits for each page, so one compare-and-swap claims and records. All that is
remembered here are the words of our own groups, which nobody but us may change.
"""

import random
import threading
from itertools import takewhile

from region import CONTINUATION, EMPTY, GROUP, HEAD, WITHHELD, bits_of, with_bits
from wire import Fenced, compare_exchange, load

SCAN = 4096  # words of the table that are read at once


class RegionFull(Exception):
    """No group has what is asked for."""


class Allocator:
    def __init__(self, connection, superblock, principal, incarnation, principal_word):
        self.connection = connection
        self.superblock = superblock
        self.principal = principal
        self.incarnation = incarnation
        self.principal_word = principal_word
        self.words = {}  # group -> its word, of all groups that are ours
        self.constructing = set()  # pages that we withhold and that no record names yet
        self.lock = threading.RLock()
        self.start = random.randrange(max(1, superblock.data_groups))  # clients that begin apart meet seldom

    # -- pages of files ------------------------------------------------------------------------------------------------

    def withhold(self, pages):
        """Takes that many pages and answers their numbers. They show 11, for good if a file will name them: whoever finds
        them under a dead principal asks the log whether they are somebody's."""
        with self.lock:
            taken = []
            while len(taken) < pages:
                got = self._withhold_in_own(pages - len(taken)) or self._withhold_in_new(pages - len(taken))
                if not got:
                    self.release(taken)
                    raise RegionFull(f"{pages} pages")
                taken += got
            self.constructing.update(taken)
            return taken

    def release(self, pages):
        """Gives back pages that show 11, all of them ours, named by no file any more."""
        with self.lock:
            self.constructing.difference_update(pages)
            by_group = {}
            for page in pages:
                by_group.setdefault(page // self.superblock.group_pages, []).append(page % self.superblock.group_pages)
            for group, places in by_group.items():
                self._change(group, {place: EMPTY for place in places}, was=WITHHELD)

    def _withhold_in_own(self, wanted):
        for group in list(self.words):
            free = [page for page, bits in enumerate(self._bits(group)) if bits == EMPTY][:wanted]
            if free:
                self._change(group, dict.fromkeys(free, WITHHELD), was=EMPTY, claims=True)
                return [group * self.superblock.group_pages + page for page in free]
        return []

    def _withhold_in_new(self, wanted):
        for group, word in self._unowned():
            bits = [WITHHELD if page < wanted else EMPTY for page in range(self.superblock.group_pages)]
            if self._claim(group, word, bits):
                return [group * self.superblock.group_pages + page for page, state in enumerate(bits) if state == WITHHELD]
        return []

    # -- anonymous memory ----------------------------------------------------------------------------------------------

    def allocate(self, pages):
        """A run of pages that lie behind each other and are zero. Answers the first."""
        with self.lock:
            size = self.superblock.group_pages
            return self._allocate_in_group(pages) if pages <= size else self._allocate_groups(-(-pages // size), pages)

    def free(self, first):
        """Frees the run that begins at this page."""
        with self.lock:
            size = self.superblock.group_pages
            group, page = divmod(first, size)
            groups = self._groups_of_run(first)
            if len(groups) == 1:
                bits = self._bits(group)
                end = page + 1
                while end < size and bits[end] == CONTINUATION:
                    end += 1
                self._change(group, dict.fromkeys(range(page, end), EMPTY))
                return
            self._change(group, {0: WITHHELD}, was=HEAD)  # from here on it is nobody's memory, however far we come
            for each in reversed(groups[1:]):
                run = list(takewhile(lambda place, bits=self._bits(each): bits[place] == CONTINUATION, range(size)))
                self._change(each, dict.fromkeys(run, EMPTY))
            self._change(group, dict.fromkeys(range(size), EMPTY))

    def free_all(self):
        """Frees whatever is anonymous. Pages of files stay."""
        with self.lock:
            size = self.superblock.group_pages
            for group in sorted(self.words):
                for page, state in enumerate(self._bits(group) if group in self.words else []):
                    if state == HEAD:
                        self.free(group * size + page)

    def _allocate_in_group(self, pages):
        size = self.superblock.group_pages
        for group in list(self.words):
            bits = self._bits(group)
            for page in range(size - pages + 1):
                if bits[page : page + pages] == [EMPTY] * pages:
                    self._change(group, dict.fromkeys(range(page, page + pages), WITHHELD), was=EMPTY, claims=True)
                    return self._show(group, page, pages)
        for group, word in self._unowned():
            clean = bits_of(word, size)[:pages] == [HEAD] * pages  # under principal 0 a 01 says: all zero
            run = [HEAD] + [CONTINUATION] * (pages - 1) if clean else [WITHHELD] * pages
            if self._claim(group, word, run + [EMPTY] * (size - pages)):
                return group * size if clean else self._show(group, 0, pages)
        raise RegionFull(f"{pages} pages in a row")

    def _show(self, group, page, pages):
        """Zeroes a run that is withheld, then shows it."""
        first = group * self.superblock.group_pages + page
        self.connection.write(self.superblock.page(first), bytes(pages * self.superblock.page_size))
        shown = {page + step: CONTINUATION if step else HEAD for step in range(pages)}
        self._change(group, shown, was=WITHHELD, claims=True)
        return first

    def _allocate_groups(self, groups, pages):
        """A run longer than a group takes groups that lie behind each other, whole; the last word of all commits it."""
        size = self.superblock.group_pages
        unowned = dict(self._unowned())
        for first in sorted(unowned):
            run = range(first, first + groups)
            if not all(group in unowned for group in run):
                continue
            taken = []
            for group in run:
                used = min(size, pages - (group - first) * size)
                bits = [CONTINUATION] * used + [EMPTY] * (size - used)
                if group == first:
                    bits[0] = WITHHELD
                if not self._claim(group, unowned[group], bits):
                    del unowned[group]
                    break
                taken.append(group)
            if len(taken) == groups:
                start = first * size
                self.connection.write(self.superblock.page(start), bytes(pages * self.superblock.page_size))
                self._change(first, {0: HEAD}, was=WITHHELD, claims=True)
                return start
            for group in reversed(taken):
                self._change(group, dict.fromkeys(range(size), EMPTY))
        raise RegionFull(f"{groups} groups in a row")

    def _groups_of_run(self, first):
        """The groups of the run that begins at this page: one, or as many as begin with a continuation behind it."""
        size = self.superblock.group_pages
        group, page = divmod(first, size)
        groups = [group]
        whole = page == 0 and self._bits(group)[1:] == [CONTINUATION] * (size - 1)
        while whole and groups[-1] + 1 in self.words and self._bits(groups[-1] + 1)[0] == CONTINUATION:
            groups.append(groups[-1] + 1)
            whole = self._bits(groups[-1]) == [CONTINUATION] * size
        return groups

    # -- words ---------------------------------------------------------------------------------------------------------

    def _bits(self, group):
        return bits_of(self.words[group], self.superblock.group_pages)

    def _unowned(self):
        """Groups under principal 0 and their words, all around the table from a place of our own. They may be old news."""
        block = self.superblock
        for begin, end in ((self.start, block.data_groups), (0, self.start)):
            for at in range(begin, end, SCAN):
                count = min(SCAN, end - at)
                words = self.connection.read(block.group(at), 8 * count)
                for number in range(count):
                    word = int.from_bytes(words[8 * number : 8 * number + 8], "little")
                    if GROUP.unpack(word).principal == 0:
                        yield at + number, word

    def _claim(self, group, word, bits):
        """Swaps an unowned word to one of ours. Behind it, in the same batch, our principal is read: if that is not ours any
        more we are dead, and have got nothing."""
        ours = GROUP.pack(self.principal, self.incarnation, with_bits(bits))
        seen = self._exchange_and_look(group, word, ours)
        if seen == word:
            self.words[group] = ours
        return seen == word

    def _exchange(self, group, word, ours):
        return self.connection.compare_exchange(self.superblock.group(group), word, ours)

    def _exchange_and_look(self, group, word, ours):
        seen, principal = self.connection.batch(
            compare_exchange(self.superblock.group(group), word, ours),
            load(self.superblock.principal(self.principal)),
        )
        if principal != self.principal_word:
            raise Fenced("the principal is not ours any more")
        return seen

    def _change(self, group, places, was=None, claims=False):
        """Sets the bits of some pages of a group that is ours; with `claims` it gets us pages, and asks as `_claim` does
        whether we are alive. A group that is empty then is given back."""
        word = self.words[group]
        bits = self._bits(group)
        for place, state in places.items():
            assert was is None or bits[place] == was, f"page {place} of group {group} shows {bits[place]:02b}"
            bits[place] = state
        ours = GROUP.pack(self.principal, self.incarnation, with_bits(bits)) if any(bits) else 0
        exchange = self._exchange_and_look if claims else self._exchange
        if exchange(group, word, ours) != word:
            raise Fenced(f"the word of group {group} was taken from us")
        if ours:
            self.words[group] = ours
        else:
            del self.words[group]

    def take_over(self, principal, incarnation):
        """Re-tags all words of another principal that was handed to us. Pages that were under construction are withheld for
        nobody now; those of files are ours to free one day."""
        block = self.superblock
        with self.lock:
            for at in range(0, block.data_groups, SCAN):
                count = min(SCAN, block.data_groups - at)
                words = self.connection.read(block.group(at), 8 * count)
                for number in range(count):
                    word = int.from_bytes(words[8 * number : 8 * number + 8], "little")
                    owner = GROUP.unpack(word)
                    if (owner.principal, owner.incarnation) != (principal, incarnation):
                        continue
                    ours = GROUP.pack(self.principal, self.incarnation, owner.bits)
                    if self._exchange(at + number, word, ours) != word:
                        raise Fenced(f"the word of group {at + number} was taken from us")
                    self.words[at + number] = ours

    def withheld(self):
        """Pages of ours that show 11 and are not under construction: a file has them, or had them."""
        size = self.superblock.group_pages
        with self.lock:
            return {
                group * size + page
                for group in self.words
                for page, state in enumerate(self._bits(group))
                if state == WITHHELD
            } - self.constructing
