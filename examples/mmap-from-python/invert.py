"""Inverts every byte of a file in place, through a mapping. It knows nothing of exomem: the file may lie anywhere."""

import mmap
import sys

with open(sys.argv[1], "r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
    table = bytes(255 - byte for byte in range(256))
    for start in range(0, len(memory), 1 << 20):
        part = memory[start : start + (1 << 20)]
        memory[start : start + len(part)] = part.translate(table)
    memory.flush()
    print(f"{len(memory)} bytes inverted")
