"""Files: how they are found, and the conditions under which they are read and written."""

from dataclasses import replace

import pytest

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import TdesKey
from hil_rig.virtual.profile import load_card_profile
from hil_rig.virtual.profile_entries import BinaryFile
from tests.virtual.talk import (
    CARD_KEY_3DES,
    CHALLENGE,
    SELECT,
    SELECT_MF,
    VERIFY,
    ask,
    card_profile,
    constant,
    keys,
    octets,
    statuses,
    tell,
)

RANDOM = "5D72B3FD"
KEY = TdesKey(octets(CARD_KEY_3DES))
FREE, PIN, AUTHENTICATED, MAINTENANCE, ENCRYPTED, NEVER = 0x00, 0x01, 0x02, 0x03, 0x04, 0xFF


def card_with(read: int, write: int) -> VirtualCard:
    """Return a card with one file 0006 (SFI 6) of four bytes 01 02 03 04."""
    profile = card_profile(*keys(CARD_KEY_3DES, 0x00))
    file = BinaryFile(0x0006, 6, octets("01020304"), read, write)
    made = VirtualCard(replace(profile, binary_files=(file,)), None, constant(RANDOM))
    made.power_on()
    tell(made, SELECT)
    return made


def authenticate(made: VirtualCard) -> None:
    tell(made, CHALLENGE, "00 82 00 01 08" + KEY.encrypt(octets(RANDOM + "00000000")).hex())


def protected(made: VirtualCard, header: str, content: bytes) -> str:
    """Send a command with a MAC; return the answer."""
    tell(made, CHALLENGE)
    message = octets(header) + bytes([len(content) + 4]) + content
    return ask(made, message + KEY.mac(message, octets(RANDOM)))


def test_the_applications_public_file_stands_in_its_fci() -> None:
    made = VirtualCard(load_card_profile("card-3des"))
    made.power_on()
    assert ask(made, SELECT_MF) == "6F15840E315041592E5359532E4444463031A503880101" + "9000"
    assert ask(made, "00 A4 04 00 0E 315041592E5359532E4444463031") == ask(made, SELECT_MF)
    public = "4355434100000001 01 01 00000001000000000123 20260101 20361231 5500".replace(" ", "")
    assert ask(made, SELECT) == "6F2E8409A00000000386980701A5219F0C1E" + public + "9000"
    assert ask(made, "00 B0 95 00 1E") == public + "9000"


def test_the_payment_directory_leads_to_the_application() -> None:
    made = VirtualCard(load_card_profile("card-3des"))
    made.power_on()
    assert ask(made, "00 B2 01 0C 00") == "7011610F4F09A0000000038698070150024550" + "9000"
    assert ask(made, "00 B2 02 0C 00") == "6A83"


def test_a_file_is_selected_by_its_id_and_read_without_a_short_one() -> None:
    made = card_with(FREE, FREE)
    assert ask(made, "00 B0 00 01 02") == "6985", "none is selected"
    tell(made, "00 A4 00 00 02 0006")
    assert ask(made, "00 B0 00 01 02") == "0203" + "9000"
    beyond = ["00 B0 00 04 01", "00 D6 00 04 01 AA", "00 D6 00 03 02 AABB"]
    assert statuses(made, beyond) == ["6B00", "6B00", "6A84"]
    tell(made, "00 D6 00 02 02 AABB")
    assert ask(made, "00 B0 86 00 00") == "0102AABB" + "9000"


@pytest.mark.parametrize(
    ("condition", "meet"), [(PIN, VERIFY), (AUTHENTICATED, None)], ids=["PIN", "authentication"]
)
def test_a_condition_is_met_by_its_proof_alone_and_until_the_next_selection(
    condition: int, meet: str | None
) -> None:
    made = card_with(condition, condition)
    read, write = "00 B0 86 00 04", "00 D6 86 00 01 FF"
    assert statuses(made, [read, write]) == ["6982", "6982"]
    if meet is None:
        tell(made, VERIFY)
        assert ask(made, read) == "6982", "a PIN is no authentication"
        authenticate(made)
    else:
        authenticate(made)
        assert ask(made, read) == "6982", "an authentication is no PIN"
        tell(made, meet)
    assert statuses(made, [read, write]) == ["9000", "9000"]
    assert ask(made, read) == "FF020304" + "9000"
    tell(made, SELECT)
    assert ask(made, read) == "6982"


def test_a_file_that_wants_encryption_takes_nothing_plain() -> None:
    made = card_with(FREE, ENCRYPTED)
    cipher = KEY.encrypt(octets("04 AABBCCDD 800000"))
    assert ask(made, "00 D6 86 00 04 AABBCCDD") == "6982"
    assert protected(made, "04 D6 86 00", octets("AABBCCDD")) == "6A80", "no cipher text"
    assert protected(made, "04 D6 86 00", cipher) == "9000"
    assert ask(made, "00 B0 86 00 04") == "AABBCCDD" + "9000"
    for wrong in ("04 AABBCCDD 800001", "08 AABBCCDD 800000", "04 AABBCCDD 000000"):
        assert protected(made, "04 D6 86 00", KEY.encrypt(octets(wrong))) == "6A80", wrong


def test_what_nobody_may_do_nobody_can() -> None:
    made = card_with(NEVER, NEVER)
    tell(made, VERIFY)
    authenticate(made)
    assert statuses(made, ["00 B0 86 00 04", "00 D6 86 00 01 FF"]) == ["6982", "6982"]
    assert protected(made, "04 D6 86 00", b"\xff") == "6982"


def test_records_are_appended_replaced_and_found() -> None:
    made = card_with(FREE, FREE)
    record = octets("11 1D 00") + bytes(28)
    assert protected(made, "04 E2 00 B8", record) == "6A84", "the file is full"
    assert protected(made, "04 DC 01 BC", octets("11 1D 00 AA")) == "9000"
    assert ask(made, "00 B2 11 B8 00")[:8] == "111D00AA"
    assert ask(made, "00 B2 01 BC 1E") == "6C1F"
    assert protected(made, "04 DC 01 BC", record + b"\0") == "6A84"
    assert protected(made, "04 E2 00 C0", bytes(23)) == "6982", "the log is the card's own"
    assert statuses(made, ["00 E2 01 B8 01 00", "00 E2 00 B9 01 00"]) == ["6A86", "6A86"]
