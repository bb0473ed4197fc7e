"""A card gets its new keys one command at a time, torn anywhere; ranges tell how far they are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.operations import KeyOperations
from campus_node.keys.rotation import (
    KeyMinimum,
    Progress,
    RotationBook,
    StepKind,
    UpgradeStuck,
    steps_left,
    upgrade_card,
)
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.store import KeyUnknown
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.apdu import demand
from campus_node.purse.channel import CardChannel
from campus_node.purse.commands import select_name
from campus_node.purse.errors import CardLeft
from campus_node.purse.key_writing import KeyInCard, key_list, row_of
from campus_node.purse.personalise import Personaliser
from campus_node.purse.profile import CardProfile
from federation.clock import VirtualClock
from federation.errors import Misconfigured
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from tests.keys.conftest import ISSUER, TRANSPORT, blank_card
from tests.keys.test_personalise import Wire, loads_with

FIRST, LAST = bytes.fromhex("00000001000000000000"), bytes.fromhex("00000001000000009999")


@pytest.fixture
def old(card_profile: Callable[[str], CardProfile]) -> CardProfile:
    """3DES keys of version 1."""
    return card_profile("card-3des")


@pytest.fixture
def new(card_profile: Callable[[str], CardProfile], old: CardProfile) -> CardProfile:
    """The SM4 keys of version 2 that the same card shall have."""
    from dataclasses import replace

    both = card_profile("card-both")
    return replace(both, asn=old.asn, keys=tuple(key for key in both.keys if key.version == 2))


@pytest.fixture
def make_old(store: KeyOperations, old: CardProfile, reader: VirtualReader) -> Callable[[], VirtualCard]:
    """Lays another old card on the reader."""

    def make() -> VirtualCard:
        card = blank_card()
        if reader.occupied:
            reader.remove()
        reader.insert(card)
        Personaliser(store, ISSUER, TRANSPORT).make_card(reader.channel(), old)
        return card

    return make


def upgrade(channel: CardChannel, new: CardProfile, store: KeyOperations, *, delete: bool = True) -> int:
    demand(channel, select_name(new.aid))
    return upgrade_card(channel, new.asn, new.keys, store, ISSUER, delete=delete)


def rows_of(channel: CardChannel, profile: CardProfile) -> set[KeyInCard]:
    demand(channel, select_name(profile.aid))
    return {row for row in key_list(channel) if 1 <= row.type <= 0x0A}


def test_an_old_card_has_the_new_keys_and_no_old_one_in_the_end(
    make_old: Callable[[], VirtualCard], new: CardProfile, store: KeyOperations, reader: VirtualReader
) -> None:
    make_old()
    channel = reader.channel()
    assert upgrade(channel, new, store) == 2 * len(new.keys)
    assert rows_of(channel, new) == {row_of(key) for key in new.keys}
    loads_with(channel, new, store)
    assert upgrade(channel, new, store) == 0


def test_both_versions_live_side_by_side_until_the_old_one_is_deleted(
    make_old: Callable[[], VirtualCard],
    old: CardProfile,
    new: CardProfile,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    make_old()
    channel = reader.channel()
    assert upgrade(channel, new, store, delete=False) == len(new.keys)
    loads_with(channel, old, store)
    loads_with(channel, new, store)


def test_a_card_torn_at_every_command_of_its_upgrade_works_all_the_time_and_gets_there(
    make_old: Callable[[], VirtualCard],
    old: CardProfile,
    new: CardProfile,
    store: KeyOperations,
    reader: VirtualReader,
) -> None:
    make_old()
    wire = Wire(reader.channel())
    upgrade(wire, new, store)
    for nth in range(1, len(wire.crossed) // 2 + 1):
        card = make_old()
        channel = reader.channel()
        reader.tear_after_command(nth)
        with pytest.raises(CardLeft):
            upgrade(channel, new, store)
        reader.insert(card)
        channel = reader.channel()
        loads = [key for key in rows_of(channel, new) if key.type == row_of(new.key(Usage.LOAD)).type]
        loads_with(channel, new if row_of(new.key(Usage.LOAD)) in loads else old, store)
        upgrade(reader.channel(), new, store)
        assert rows_of(reader.channel(), new) == {row_of(key) for key in new.keys}


def test_the_maintenance_key_is_written_last_and_deleted_last(old: CardProfile, new: CardProfile) -> None:
    steps = steps_left(new.keys, [row_of(key) for key in old.keys])
    written = [step.usage for step in steps if step.kind is StepKind.WRITE]
    deleted = [step.usage for step in steps if step.kind is StepKind.DELETE]
    assert steps[: len(written)] == [step for step in steps if step.kind is StepKind.WRITE]
    assert written[-1] is deleted[-1] is Usage.MAINTENANCE
    assert len(written) == len(deleted) == len(new.keys)


def test_no_key_crosses_the_reader_in_clear_while_it_is_renewed(
    make_old: Callable[[], VirtualCard],
    new: CardProfile,
    store: KeyOperations,
    sealed: SealedFile,
    reader: VirtualReader,
) -> None:
    from campus_node.keys.hierarchy import card_factor

    make_old()
    wire = Wire(reader.channel())
    upgrade(wire, new, store)
    every = b"|".join(wire.crossed)
    for entry in store.entries():
        for factors in ((), (card_factor(new.asn),)):
            secret = sealed.working_key(entry.name, factors)
            assert secret[:8] not in every
            assert secret[8:] not in every


def test_a_store_without_the_new_key_changes_nothing_but_what_it_can(
    make_old: Callable[[], VirtualCard],
    old: CardProfile,
    new: CardProfile,
    store: KeyOperations,
    sealed: SealedFile,
    reader: VirtualReader,
) -> None:
    make_old()
    sealed.remove(campus_key(Usage.TAC, 2, Algorithm.SM4, ISSUER))
    with pytest.raises(KeyUnknown, match="tac/2/sm4"):
        upgrade(reader.channel(), new, store)
    loads_with(reader.channel(), old, store)


class Deaf:
    """A card that acknowledges every write and does none."""

    def __init__(self, channel: CardChannel) -> None:
        self._channel = channel

    @property
    def reader(self) -> str:
        return self._channel.reader

    def power_on(self) -> bytes:
        return self._channel.power_on()

    def reset(self) -> bytes:
        return self._channel.reset()

    def transmit(self, command: bytes) -> bytes:
        return b"\x90\x00" if command[:2] == b"\x84\xd4" else self._channel.transmit(command)

    def close(self) -> None:
        self._channel.close()


def test_a_card_that_only_says_yes_is_noticed(
    make_old: Callable[[], VirtualCard], new: CardProfile, store: KeyOperations, reader: VirtualReader
) -> None:
    make_old()
    with pytest.raises(UpgradeStuck):
        upgrade(Deaf(reader.channel()), new, store)


def test_progress_counts_the_cards_of_a_range_by_their_versions(
    old: CardProfile, new: CardProfile, clock: VirtualClock, tmp_path: Path
) -> None:
    book = RotationBook(tmp_path / "rotation.sqlite")
    old_rows, new_rows = [row_of(key) for key in old.keys], [row_of(key) for key in new.keys]
    for serial in range(10):
        asn = (int.from_bytes(FIRST, "big") + serial).to_bytes(10, "big")
        book.note(asn, old_rows if serial < 5 else new_rows if serial < 8 else old_rows + new_rows, clock)
    book.note(bytes.fromhex("00000002000000000000"), old_rows, clock)  # of another range
    assert book.progress(FIRST, LAST) == [
        Progress("1/3des", 5),
        Progress("2/sm4", 3),
        Progress("1/3des + 2/sm4", 2),
    ]
    book.note(FIRST, new_rows, clock)
    book.close()
    again = RotationBook(tmp_path / "rotation.sqlite")
    assert {row.versions: row.cards for row in again.progress(FIRST, LAST)}["2/sm4"] == 4
    assert again.progress(FIRST, LAST, Usage.PSAM_SESSION) == []


def test_a_minimum_refuses_older_keys_of_its_range_and_never_goes_down(tmp_path: Path) -> None:
    book = RotationBook(tmp_path / "rotation.sqlite")
    inside, outside = FIRST, bytes.fromhex("00000001000000010000")
    assert book.admits(inside, 1, Algorithm.TDES)
    book.set_minimum(KeyMinimum(FIRST, LAST, 2, Algorithm.TDES))
    book.set_minimum(KeyMinimum(FIRST, LAST, 2, Algorithm.SM4))
    assert [
        book.admits(inside, *key) for key in ((1, Algorithm.SM4), (2, Algorithm.TDES), (2, Algorithm.SM4))
    ] == [
        False,
        False,
        True,
    ]
    assert book.admits(outside, 1, Algorithm.TDES)
    for lower in ((1, Algorithm.SM4), (2, Algorithm.TDES), (9, Algorithm.TDES)):
        with pytest.raises(Misconfigured, match="never goes down"):
            book.set_minimum(KeyMinimum(FIRST, LAST, *lower))
    with pytest.raises(Misconfigured, match="overlaps"):
        book.set_minimum(KeyMinimum(LAST, outside, 3, Algorithm.SM4))
    with pytest.raises(Misconfigured, match="a range"):
        KeyMinimum(LAST, FIRST, 1, Algorithm.SM4)
    assert book.minimums() == [KeyMinimum(FIRST, LAST, 2, Algorithm.SM4)]
