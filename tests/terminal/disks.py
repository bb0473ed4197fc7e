"""Disks of a terminal, with a journal on them."""

from campus_node.terminal.journal import Entry, Journal, new_content
from hil_rig.torn_storage import TornStorage

CAPACITY = 8
ID = bytes(range(16))


def empty() -> bytes:
    return b"".join(new_content(CAPACITY, ID))


def after(content: bytes, *bodies: bytes) -> bytes:
    """Return the disk after these were appended to the journal that it holds."""
    storage = TornStorage(content)
    journal = Journal(storage)
    for body in bodies:
        journal.append(body)
    return storage.after_the_cut()


def acknowledged(content: bytes, durable_through: int, backed_up_through: int) -> bytes:
    storage = TornStorage(content)
    Journal(storage).acknowledge(durable_through, backed_up_through)
    return storage.after_the_cut()


def body(number: int) -> bytes:
    return f"record {number}".encode()


def kept(content: bytes) -> list[Entry]:
    return list(Journal(TornStorage(content)).entries())


def full_turn() -> bytes:
    """Return a disk whose ring has come round: 11 records, the first 5 acknowledged, two slots free."""
    content = acknowledged(after(empty(), *map(body, range(1, 6))), 5, 5)
    return after(content, *map(body, range(6, 12)))
