"""The records in the journal: their bytes, what may follow what, and room for what must follow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.purse.commands import Purse, TransactionType
from campus_node.purse.journal_entries import RECORD_BYTES, Movement, Reason, State, decode, encode
from campus_node.purse.movement_log import ENTRIES_MAX, MovementLog
from campus_node.terminal.journal import Journal, JournalFull
from federation.clock import VirtualClock
from federation.errors import Unreadable
from hil_rig.torn_storage import TornStorage
from tests.purse.flows.till import CAPACITY, EMPTY_JOURNAL

ASN = bytes.fromhex("00000001000000000123")
SENT = Movement(
    state=State.SENT,
    transaction_type=TransactionType.EP_PURCHASE,
    purse=Purse.EP,
    asn=ASN,
    issuer=bytes.fromhex("4355434100000001"),
    amount_fen=1250,
    balance_before_fen=5000,
    overdraft_fen=0,
    card_seq=5,
    card_random=bytes.fromhex("A1B2C3D4"),
    key_version=1,
    algorithm_byte=0,
    terminal_id=bytes.fromhex("112233445566"),
    terminal_seq=7,
    made_at=bytes.fromhex("20260901120000"),
    mac1=bytes.fromhex("83A77D6E"),
    hotlist_version=3,
    recorded_at_unix_ms=1_788_220_800_000,
)
DONE = replace(
    SENT,
    state=State.DONE,
    balance_after_fen=3750,
    mac2=bytes.fromhex("EFE06846"),
    tac=bytes.fromhex("6B0F7B93"),
    checked=True,
    opened_seq=41,
)


def log_on(storage: TornStorage) -> MovementLog:
    return MovementLog(Journal(storage), VirtualClock())


def test_a_record_has_the_bytes_that_the_document_says() -> None:
    assert encode(SENT).hex().upper() == (
        "01" "02" "00" "00" "06" "02" "00000001000000000123" "4355434100000001" "000004E2" "00001388"
        "00000000" "00000000" "0005" "A1B2C3D4" "01" "00" "112233445566" "00000007" "20260901120000"
        "83A77D6E" "00000000" "00000000" "00000000" "0000000000000003" "000001A05A43FC00"
        "0000000000000000"
    )  # fmt: skip
    assert encode(DONE).hex().upper() == (
        "01" "03" "00" "17" "06" "02" "00000001000000000123" "4355434100000001" "000004E2" "00001388"
        "00000EA6" "00000000" "0005" "A1B2C3D4" "01" "00" "112233445566" "00000007" "20260901120000"
        "83A77D6E" "EFE06846" "6B0F7B93" "00000000" "0000000000000003" "000001A05A43FC00"
        "0000000000000029"
    )  # fmt: skip


def octets(length: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=length, max_size=length)


MOVEMENTS = st.builds(
    Movement,
    state=st.sampled_from(State),
    reason=st.sampled_from(Reason),
    transaction_type=st.sampled_from(TransactionType),
    purse=st.sampled_from(Purse),
    asn=octets(10),
    issuer=octets(8),
    amount_fen=st.integers(0, 2**32 - 1),
    balance_before_fen=st.integers(0, 2**32 - 1),
    balance_after_fen=st.none() | st.integers(0, 2**32 - 1),
    overdraft_fen=st.integers(0, 2**24 - 1),
    card_seq=st.integers(0, 2**16 - 1),
    card_random=octets(4),
    key_version=st.integers(0, 255),
    algorithm_byte=st.integers(0, 255),
    terminal_id=octets(6),
    terminal_seq=st.integers(0, 2**32 - 1),
    made_at=octets(7),
    mac1=octets(4),
    mac2=st.none() | octets(4),
    tac=st.none() | octets(4),
    mac3=st.none() | octets(4),
    checked=st.booleans(),
    by_proof=st.booleans(),
    hotlist_version=st.integers(0, 2**64 - 1),
    recorded_at_unix_ms=st.integers(0, 2**64 - 1),
    opened_seq=st.integers(0, 2**64 - 1),
)


@given(MOVEMENTS)
def test_what_is_written_is_read(movement: Movement) -> None:
    record = encode(movement)
    assert len(record) == RECORD_BYTES
    assert decode(record) == movement


@pytest.mark.parametrize(
    "field", ["asn", "issuer", "card_random", "terminal_id", "made_at", "mac1", "mac2", "tac", "mac3"]
)
def test_a_field_of_the_wrong_length_is_a_mistake(field: str) -> None:
    with pytest.raises(ValueError, match="lengths are"):
        encode(replace(SENT, **{field: b"\x01"}))  # type: ignore[arg-type]  # all of them are bytes


def test_a_record_of_another_kind_is_passed_over() -> None:
    assert decode(b"\x02whatever") is None


@pytest.mark.parametrize(
    "record",
    [
        encode(SENT)[:-1],
        encode(SENT) + b"\0",
        b"\x01",
        b"\x01\x09" + encode(SENT)[2:],
        b"\x01\x02\x63" + encode(SENT)[3:],
        encode(SENT)[:4] + b"\x08\x02" + encode(SENT)[6:],
        encode(SENT)[:4] + b"\x06\x03" + encode(SENT)[6:],
    ],
)
def test_a_record_that_claims_to_be_a_movement_and_is_none_is_refused(record: bytes) -> None:
    with pytest.raises(Unreadable):
        decode(record)


def test_records_of_others_and_unreadable_ones_hold_nothing_up() -> None:
    storage = TornStorage(EMPTY_JOURNAL)
    journal = Journal(storage)
    journal.append(b"\x02another kind")
    journal.append(b"\x01nonsense")
    log = log_on(TornStorage(storage.after_the_cut()))
    assert log.unreadable == [2]
    assert log.begin(SENT).seq == 3


def test_only_what_has_no_end_is_remembered_and_a_restart_forgets_nothing() -> None:
    storage = TornStorage(EMPTY_JOURNAL)
    log = log_on(storage)
    first = log.begin(SENT)
    second = log.begin(replace(SENT, asn=bytes(10)))
    third = log.begin(SENT)
    log.advance(first, DONE)
    grey = log.advance(second, replace(second.movement, state=State.GREY, reason=Reason.TORN))
    assert (grey.seq, grey.opened_seq) == (5, 2)
    for known in (log, log_on(TornStorage(storage.after_the_cut()))):
        assert known.unsettled() == [grey, third] or known.unsettled() == [third, grey]
        assert known.unsettled(ASN) == [third]
        assert known.newest(first).movement.state is State.DONE
    assert log.advance(grey, replace(grey.movement, reason=Reason.ISSUER_SILENT)) == grey, "nothing new"
    disputed = log.advance(grey, replace(grey.movement, reason=Reason.DISPUTED))
    assert disputed.seq == 6
    assert log.advance(disputed, disputed.movement) == disputed
    assert log.awaiting(bytes(10)) == []


@pytest.mark.parametrize("end", [State.DONE, State.VOID])
@pytest.mark.parametrize("state", [State.ASKED, State.SENT, State.GREY, State.DONE, State.VOID])
def test_what_has_an_end_is_never_changed(end: State, state: State) -> None:
    log = log_on(TornStorage(EMPTY_JOURNAL))
    ended = log.advance(log.begin(SENT), replace(SENT, state=end))
    with pytest.raises(AssertionError):
        log.advance(ended, replace(SENT, state=state))


def test_room_is_kept_for_the_end_of_everything_that_was_begun() -> None:
    log = log_on(TornStorage(EMPTY_JOURNAL))
    begun = [log.begin(SENT) for _ in range(6)]
    with pytest.raises(JournalFull):
        log.begin(SENT)
    for recorded in begun:
        grey = log.advance(recorded, replace(SENT, state=State.GREY, reason=Reason.TORN))
        disputed = log.advance(grey, replace(SENT, state=State.GREY, reason=Reason.DISPUTED))
        log.advance(disputed, DONE)
    assert log.journal.free == CAPACITY - 6 * ENTRIES_MAX


def test_what_the_ring_has_overwritten_is_forgotten() -> None:
    log = log_on(TornStorage(EMPTY_JOURNAL))
    log.begin(SENT)
    for _ in range(CAPACITY):
        log.journal.acknowledge(log.journal.last_seq, log.journal.last_seq)
        log.advance(log.begin(replace(SENT, asn=bytes(10))), DONE)
    assert log.unsettled() == []
