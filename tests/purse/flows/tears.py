"""Every place where a flow can be torn, found by watching it run untorn."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from federation.errors import Unavailable
from hil_rig.torn_storage import Cut
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.memory import Memory
from hil_rig.virtual.vpcd import VpcdSlot
from tests.purse.flows.hooks import Died, Hook
from tests.purse.flows.till import Till


@dataclass(frozen=True, slots=True)
class Tear:
    """One thing that goes wrong.

    Args:
        name: where, for people.
        plan: makes it happen to a till.
        fired: tells whether it has.
        kills: the terminal's process ends.
    """

    name: str
    plan: Callable[[Till], None]
    fired: Callable[[Till], bool]
    kills: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(slots=True)
class Watched:
    """What an untorn run did.

    Args:
        card, sam: length of each answer, in order.
        card_writes, sam_writes: length of each write to their memories, in order.
        journal_writes: contents of each write to the journal, with the slot before it.
        calls: questions to the issuer.
    """

    card: list[int]
    sam: list[int]
    card_writes: list[int]
    sam_writes: list[int]
    journal_writes: list[tuple[bytes, bytes]]
    calls: int


def watch(till: Till, run: Callable[[Till], object]) -> Watched:
    """Run once and return what happened."""
    first_card, first_sam = len(till.card_seen), len(till.sam_seen)
    calls, journal = till.line_hook.calls, till.storage
    card_writes = _watch_memory(till.card.memory)
    sam_writes = _watch_memory(till.psam.memory)
    journal_writes: list[tuple[bytes, bytes]] = []
    write = journal.write

    def watched(offset: int, content: bytes) -> None:
        journal_writes.append((journal.read(offset, len(content)), content))
        write(offset, content)

    journal.write = watched  # type: ignore[method-assign]  # only listens
    run(till)
    del journal.write
    return Watched(
        [length for _, length in till.card_seen[first_card:]],
        [length for _, length in till.sam_seen[first_sam:]],
        card_writes,
        sam_writes,
        journal_writes,
        till.line_hook.calls - calls,
    )


def all_tears(seen: Watched) -> Iterator[Tear]:
    """Yield every tear: at each command, each byte of each answer, each byte of each write, each question."""
    yield from _at_commands("card", seen.card, lambda till: till.card_reader)
    yield from _at_commands("psam", seen.sam, lambda till: till.sam_reader)
    yield from _in_memory("card", seen.card_writes, lambda till: till.card.memory)
    yield from _in_memory("psam", seen.sam_writes, lambda till: till.psam.memory)
    yield from in_journal(seen)
    yield from _deaths("card", len(seen.card), lambda till: till.card_hook)
    yield from _deaths("psam", len(seen.sam), lambda till: till.sam_hook)
    yield from _deaths("issuer", seen.calls, lambda till: till.line_hook)
    yield from _on_the_line(seen.calls)


def in_journal(seen: Watched) -> Iterator[Tear]:
    """Yield the cuts of every write to the journal that leave different disks, each at any byte."""
    for number, (old, new) in enumerate(seen.journal_writes, 1):
        disks = set()
        front = [(0, landed) for landed in range(len(new) + 1)]
        back = [(len(new) - landed, len(new)) for landed in range(1, len(new))]
        for first, last in front + back:
            disk = old[:first] + new[first:last] + old[last:]
            if disk in disks:
                continue
            disks.add(disk)
            yield _cut(number, first, last)


def _cut(number: int, first: int, last: int) -> Tear:
    def plan(till: Till) -> None:
        till.storage.plan(Cut(till.storage.writes + number, first, last))

    return Tear(
        f"journal write {number}, bytes {first} to {last}", plan, lambda till: till.storage.fired, kills=True
    )


def _at_commands(
    who: str, lengths: list[int], reader: Callable[[Till], VirtualReader | VpcdSlot]
) -> Iterator[Tear]:
    def fired(till: Till) -> bool:
        return not reader(till).tears.pending

    for nth, length in enumerate(lengths, 1):
        yield Tear(
            f"{who} leaves before command {nth}",
            lambda till, nth=nth: reader(till).tear_before_command(nth),  # type: ignore[misc]  # binds nth now
            fired,
        )
        yield Tear(
            f"{who} leaves after command {nth}",
            lambda till, nth=nth: reader(till).tear_after_command(nth),  # type: ignore[misc]
            fired,
        )
        for sent in range(length + 1):
            yield Tear(
                f"{who} leaves within the answer to command {nth}, {sent} bytes are out",
                lambda till, nth=nth, sent=sent: reader(till).tear_in_answer(sent, nth),  # type: ignore[misc]
                fired,
            )


def _in_memory(who: str, lengths: list[int], memory: Callable[[Till], Memory]) -> Iterator[Tear]:
    for number, length in enumerate(lengths, 1):
        for byte in range(length + 1):
            yield Tear(
                f"{who} loses power in write {number}, after {byte} bytes",
                lambda till, number=number, byte=byte: memory(till).tear(number, byte),  # type: ignore[misc]
                lambda till: memory(till).torn,
            )


def _deaths(who: str, calls: int, hook: Callable[[Till], Hook]) -> Iterator[Tear]:
    for nth in range(1, calls + 1):
        for after in (False, True):
            yield Tear(
                f"the process dies {'after' if after else 'before'} question {nth} to the {who}",
                lambda till, nth=nth, after=after: hook(till).plan(nth, Died, after=after),  # type: ignore[misc]
                lambda till: hook(till).fired,
                kills=True,
            )


def _on_the_line(calls: int) -> Iterator[Tear]:
    for nth in range(1, calls + 1):
        for after in (False, True):
            for lasting in (False, True):
                yield Tear(
                    f"the {'answer' if after else 'question'} {nth} of the issuer is lost"
                    + (", and all that follow" if lasting else ""),
                    lambda till, nth=nth, after=after, lasting=lasting: till.line_hook.plan(  # type: ignore[misc]
                        nth, Unavailable, after=after, lasting=lasting
                    ),
                    lambda till: till.line_hook.fired,
                )


def _watch_memory(memory: Memory) -> list[int]:
    lengths: list[int] = []
    commit = memory.commit

    def watched(changes: object) -> None:
        before = memory.writes
        commit(changes)  # type: ignore[arg-type]  # handed on as it came
        assert memory.writes == before + 1, "a commit is one write"
        lengths.append(memory.last_write_bytes)

    memory.commit = watched  # type: ignore[method-assign]  # only listens
    return lengths
