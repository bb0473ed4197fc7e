"""Terminals, PSAMs and cards: what may stand beside what, and what a state forbids."""

from typing import Any

import pytest
from sqlalchemy import Engine

from campus_node.database.connect import reading, writing
from campus_node.purse.algorithm import Algorithm
from campus_node.registry import cards, terminals
from campus_node.registry.cards import Card, CardFlag, FlagSet
from campus_node.registry.listing import hotlist_reason
from campus_node.registry.terminals import AlreadyRegistered, PsamKey, TerminalState
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from federation.errors import NotFound, Refused
from tests.records.build import SEVEN, register_all, terminal

CARD = Card(bytes.fromhex("00000001000000000042"), bytes.fromhex("4355434100000001"), 2_100_000_000_000_042)
NOW = 1_000


def test_a_terminal_is_found_again_as_it_was_registered(db: Engine, clock: VirtualClock) -> None:
    placed = terminal(
        8,
        psam_key=PsamKey(0x48, 3, Algorithm.TDES),
        line="can0",
        address=8,
        ring=0,
        state=TerminalState.ISOLATED,
    )
    register_all(db, clock, SEVEN, placed)
    with reading(db) as connection:
        assert terminals.by_name(connection, "till-8") == placed
        assert terminals.by_name(connection, "000000000008") == placed
        assert terminals.known(connection, [SEVEN.terminal_id, b"\x09" * 6]) == {SEVEN.terminal_id: SEVEN}
        assert terminals.all_terminals(connection) == [SEVEN, placed]
        assert terminals.roll_of(connection, "canteen") == [SEVEN, placed]
        assert terminals.roll_of(connection, "library") == []
        assert terminals.version(connection) == 2
        with pytest.raises(NotFound):
            terminals.by_name(connection, "till-9")


@pytest.mark.parametrize(
    ("again", "what"),
    [
        (terminal(9, terminal_id=SEVEN.terminal_id), "number 000000000007"),
        (terminal(9, name="till-7"), "name till-7"),
        (terminal(9, psam_serial=SEVEN.psam_serial), "PSAM 00000000000000000007"),
        (terminal(9, line="can0", address=7), "place can0/7 at gateway canteen"),
    ],
)
def test_what_is_taken_is_refused_by_name(
    db: Engine, clock: VirtualClock, again: terminals.Terminal, what: str
) -> None:
    register_all(db, clock, terminal(7, line="can0", address=7))
    with pytest.raises(AlreadyRegistered, match=f"{what} belongs to terminal till-7 already"):
        register_all(db, clock, again)
    with reading(db) as connection:
        assert len(terminals.all_terminals(connection)) == 1


def test_a_retired_terminal_gives_its_psam_and_place_free_and_never_comes_back(
    db: Engine, clock: VirtualClock
) -> None:
    register_all(db, clock, terminal(7, line="can0", address=7))
    with writing(db) as connection:
        old = terminals.by_name(connection, "till-7")
        retired = terminals.set_state(connection, old, TerminalState.RETIRED, NOW)
        assert terminals.set_state(connection, retired, TerminalState.RETIRED, NOW) == retired
        for state in (TerminalState.ACTIVE, TerminalState.ISOLATED):
            with pytest.raises(Refused, match="till-7 is retired and stays so"):
                terminals.set_state(connection, retired, state, NOW)
    register_all(db, clock, terminal(9, psam_serial=SEVEN.psam_serial, line="can0", address=7))
    with reading(db) as connection:
        assert [each.name for each in terminals.roll_of(connection, "canteen")] == ["till-9"]


def test_a_revoked_terminal_stays_revoked_and_so_does_its_psam(db: Engine, clock: VirtualClock) -> None:
    register_all(db, clock, SEVEN)
    with writing(db) as connection:
        revoked = terminals.set_state(connection, SEVEN, TerminalState.REVOKED, NOW)
        for state in (TerminalState.ACTIVE, TerminalState.RETIRED):
            with pytest.raises(Refused, match="revoked"):
                terminals.set_state(connection, revoked, state, NOW)
    with pytest.raises(Refused, match="PSAM 00000000000000000007 is revoked"):
        register_all(db, clock, terminal(9, psam_serial=SEVEN.psam_serial))


def test_a_psam_has_one_session_key(db: Engine, clock: VirtualClock) -> None:
    register_all(db, clock, SEVEN)
    with writing(db) as connection:
        terminals.set_state(connection, SEVEN, TerminalState.RETIRED, NOW)
    other_key = terminal(9, psam_serial=SEVEN.psam_serial, psam_key=PsamKey(version=2))
    with pytest.raises(Refused, match="known with another session key"):
        register_all(db, clock, other_key)


@pytest.mark.parametrize(
    "fields",
    [{"terminal_id": b"short"}, {"psam_serial": bytes(9)}, {"name": "Till"}, {"gateway": ""},
     {"address": 255}, {"ring": 100}],
)  # fmt: skip
def test_what_is_out_of_range_is_refused(db: Engine, clock: VirtualClock, fields: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        register_all(db, clock, terminal(7, **fields))


def test_flags_of_a_card_are_independent_and_hold_from_their_instant(db: Engine) -> None:
    with writing(db) as connection:
        cards.register(connection, CARD, NOW)
        with pytest.raises(AlreadyRegistered):
            cards.register(connection, CARD, NOW)
        assert cards.set_flag(connection, CARD.asn, FlagSet(CardFlag.BROKEN, NOW, "bent"), NOW)
        assert cards.set_flag(connection, CARD.asn, FlagSet(CardFlag.LOST, NOW + 50, "told"), NOW)
        assert not cards.set_flag(connection, CARD.asn, FlagSet(CardFlag.LOST, NOW + 90, "again"), NOW)
        card = cards.of_asn(connection, CARD.asn)
    assert [each.flag for each in card.flags] == [CardFlag.BROKEN, CardFlag.LOST]
    assert [card.blocked_by(NOW + after) for after in (0, 49, 50)] == [None, None, CardFlag.LOST]
    with writing(db) as connection:  # it was lost earlier than first told: the earlier instant holds
        assert not cards.set_flag(connection, CARD.asn, FlagSet(CardFlag.LOST, NOW + 10, "earlier"), NOW)
        assert cards.of_asn(connection, CARD.asn).blocked_by(NOW + 10) is CardFlag.LOST
        assert cards.end_flag(connection, CARD.asn, CardFlag.LOST, NOW + 100)
        assert not cards.end_flag(connection, CARD.asn, CardFlag.LOST, NOW + 101)
        assert [each.flag for each in cards.of_asn(connection, CARD.asn).flags] == [CardFlag.BROKEN]
        assert cards.set_flag(connection, CARD.asn, FlagSet(CardFlag.LOST, NOW + 200, "again"), NOW + 200)


def test_a_replaced_card_stays_dead_even_when_found(db: Engine) -> None:
    with writing(db) as connection:
        cards.register(connection, CARD, NOW)
        for flag in (CardFlag.LOST, CardFlag.REPLACED):
            cards.set_flag(connection, CARD.asn, FlagSet(flag, NOW, "new card"), NOW)
        assert cards.end_flag(connection, CARD.asn, CardFlag.LOST, NOW)
        with pytest.raises(Refused, match="replaced"):
            cards.end_flag(connection, CARD.asn, CardFlag.REPLACED, NOW)
        assert cards.of_asn(connection, CARD.asn).blocked_by(NOW) is CardFlag.REPLACED


def test_what_is_not_there_is_not_found(db: Engine) -> None:
    with writing(db) as connection:
        with pytest.raises(NotFound):
            cards.set_flag(connection, CARD.asn, FlagSet(CardFlag.LOST, NOW, "told"), NOW)
        with pytest.raises(NotFound):
            cards.end_flag(connection, CARD.asn, CardFlag.LOST, NOW)
        with pytest.raises(Refused):
            cards.of_asn(connection, b"short")


def test_the_hotlist_has_lost_frozen_replaced_and_closed_cards_until_they_expire() -> None:
    def listed(*flags: CardFlag) -> object:
        held = tuple(FlagSet(flag, NOW, "") for flag in flags)
        return hotlist_reason(Card(CARD.asn, CARD.issuer, CARD.account, held))

    assert listed() is None
    assert listed(CardFlag.BROKEN, CardFlag.LOCKED) is None
    assert listed(CardFlag.LOST) == wire.HOTLIST_REASON_LOST
    assert listed(CardFlag.LOST, CardFlag.FROZEN) == wire.HOTLIST_REASON_FROZEN
    assert listed(CardFlag.LOST, CardFlag.REPLACED) == wire.HOTLIST_REASON_REPLACED
    assert listed(CardFlag.CLOSED, CardFlag.LOST) == wire.HOTLIST_REASON_CLOSED
    assert listed(CardFlag.LOST, CardFlag.EXPIRED) is None
