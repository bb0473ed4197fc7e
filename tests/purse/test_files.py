"""Files of a card and of a PSAM: from bytes to fields and back."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from campus_node.purse.errors import AnswerUnreadable
from campus_node.purse.files import CappRecord, Fci, HolderFile, LogRecord, PsamSerial, PublicFile

PUBLIC = bytes.fromhex("4355434100000001 01 02 00000001000000000123 20260101 20361231 5500")
HOLDER = bytes([1, 1]) + "张三".encode("gb18030").ljust(20, b"\0") + b"S20260001".ljust(16) + b"\x05"
# What a real card's log had after its first load.
LOG = bytes.fromhex("0001 000000 00000010 02 666666666666 20240411 212121")


def test_the_public_file_has_its_fields_where_the_standard_puts_them() -> None:
    file = PublicFile.parse(PUBLIC)
    assert file == PublicFile(
        issuer=bytes.fromhex("4355434100000001"),
        application_type=1,
        application_version=2,
        asn=bytes.fromhex("00000001000000000123"),
        starts=bytes.fromhex("20260101"),
        expires=bytes.fromhex("20361231"),
        fci=bytes.fromhex("5500"),
    )
    assert file.card_factor == bytes.fromhex("0001000000000123")
    assert file.encode() == PUBLIC


def test_a_toll_cards_longer_file_is_kept_whole() -> None:
    plate = b"\xb9\xe3" * 6 + b"\0"
    file = PublicFile.parse(PUBLIC + plate)
    assert file.rest == plate
    assert file.encode() == PUBLIC + plate


def test_the_holder_file_is_read_as_people_write() -> None:
    file = HolderFile.parse(HOLDER)
    assert (file.card_type, file.staff, file.name, file.id_number) == (1, True, "张三", "S20260001")
    assert file.id_type == 5
    assert file.encode() == HOLDER


def test_the_repr_of_the_holder_file_names_nobody() -> None:
    assert repr(HolderFile.parse(HOLDER)) == "HolderFile(…)"


def test_a_name_that_is_no_text_is_still_shown() -> None:
    assert "\ufffd" in HolderFile.parse(HOLDER[:2] + b"\xff\x80" + HOLDER[4:]).name


@pytest.mark.parametrize(
    "file", [HolderFile(1, False, "张" * 11, "1", 0), HolderFile(1, False, "张", "1" * 17, 0)]
)
def test_a_text_that_does_not_fit_is_not_cut(file: HolderFile) -> None:
    with pytest.raises(ValueError, match="at most"):
        file.encode()


def test_a_real_cards_log_record_is_read() -> None:
    record = LogRecord.parse(LOG)
    assert record == LogRecord(
        seq=1,
        overdraft_fen=0,
        amount_fen=16,
        transaction_type=2,
        terminal_id=b"\x66" * 6,
        made_at=bytes.fromhex("20240411212121"),
    )
    assert record.encode() == LOG


@pytest.mark.parametrize("blank", [b"\0" * 23, b"\xff" * 23])
def test_a_log_place_that_was_never_written_is_no_record(blank: bytes) -> None:
    assert LogRecord.parse(blank) is None


@given(
    st.builds(
        LogRecord,
        st.integers(0, 2**16 - 1),
        st.integers(0, 2**24 - 1),
        st.integers(0, 2**32 - 1),
        st.sampled_from([1, 2, 3, 4, 5, 6, 7, 9]),
        st.binary(min_size=6, max_size=6),
        st.binary(min_size=7, max_size=7),
    )
)
def test_every_log_record_comes_back_as_it_was_written(record: LogRecord) -> None:
    assert LogRecord.parse(record.encode()) == record


def test_a_capp_records_length_counts_the_lock() -> None:
    raw = bytes.fromhex("11 05 00 01020304")
    assert CappRecord.parse(raw) == CappRecord(record_id=0x11, lock=0, content=bytes.fromhex("01020304"))
    assert CappRecord.parse(raw).encode() == raw
    assert CappRecord.parse(raw + b"tail") == CappRecord.parse(raw)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=252))
def test_every_capp_record_comes_back_as_it_was_written(record_id: int, lock: int, content: bytes) -> None:
    record = CappRecord(record_id, lock, content)
    assert CappRecord.parse(record.encode()) == record


def test_a_capp_record_that_is_too_long_is_not_written() -> None:
    with pytest.raises(ValueError, match="252 at most"):
        CappRecord(1, 0, bytes(253)).encode()


def test_the_psam_says_who_it_is_and_whether_it_does_sm4() -> None:
    raw = bytes.fromhex("00000000000000000001 05 01 0000")
    serial = PsamSerial.parse(raw)
    assert serial == PsamSerial(bytes(9) + b"\1", 5, 1, bytes(2))
    assert serial.encode() == raw
    does = {version: PsamSerial(bytes(10), version, 1, bytes(2)).does_sm4 for version in (4, 5, 6, 255)}
    assert does == {4: False, 5: True, 6: True, 255: False}


def test_the_fci_of_the_master_file_names_it_and_its_directory() -> None:
    answer = bytes.fromhex("6F15840E315041592E5359532E4444463031A503880101")
    assert Fci.parse(answer) == Fci(name=b"1PAY.SYS.DDF01", sfi=1, public=None)


def test_the_fci_of_an_application_has_the_public_file_in_it() -> None:
    answer = bytes.fromhex("6F2E8409A00000000386980701A5219F0C1E") + PUBLIC
    fci = Fci.parse(answer)
    assert fci == Fci(bytes.fromhex("A00000000386980701"), None, PublicFile.parse(PUBLIC))


@given(st.binary(max_size=64))
def test_an_fci_that_is_none_is_read_as_an_empty_one(noise: bytes) -> None:
    assert isinstance(Fci.parse(noise), Fci)


def test_an_fci_that_is_cut_anywhere_is_read_without_harm() -> None:
    answer = bytes.fromhex("6F2E8409A00000000386980701A5219F0C1E") + PUBLIC
    for cut in range(len(answer)):
        assert Fci.parse(answer[:cut]).public is None


@pytest.mark.parametrize(
    ("parse", "content"),
    [
        (PublicFile.parse, PUBLIC[:-1]),
        (HolderFile.parse, HOLDER[:-1]),
        (LogRecord.parse, LOG[:-1]),
        (CappRecord.parse, bytes.fromhex("1105000102")),
        (CappRecord.parse, bytes.fromhex("110000")),
        (CappRecord.parse, b"\x11"),
        (PsamSerial.parse, bytes(13)),
    ],
)
def test_content_that_is_too_short_is_unreadable(parse: Callable[[bytes], object], content: bytes) -> None:
    with pytest.raises(AnswerUnreadable):
        parse(content)
