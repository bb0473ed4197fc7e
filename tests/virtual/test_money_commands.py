"""Every money command as bytes on the wire, seen from the card's side, 3DES and SM4.

The card is that of the worked example: random A1B2C3D4, terminal 112233445566, 2024-04-11 21:21:21, terminal
counter 00000007; offline counter 0005, online counter 0003. Purchases are 100 fen, loads 1000 from 0, the
unload is 400 of 1000.
"""

import pytest

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import TdesKey
from hil_rig.virtual.profile_entries import Flags, KeyEntry, Usage
from tests.virtual.talk import CARD_RANDOM, ask, card, constant, keys, octets, purse, tell, worked_card

BOTH = ("3des", "sm4")
EP, ED = "02", "01"
ALGORITHM_BYTE = {"3des": "00", "sm4": "04"}

# how, purse, type → MAC1, TAC ‖ MAC2
PURCHASES = {
    ("3des", "01", EP): ("83A77D6E", "6B0F7B93 EFE06846"),
    ("3des", "01", ED): ("29338393", "4FB04CDB EFE06846"),
    ("3des", "02", ED): ("F1DF6907", "0839A7D5 EFE06846"),  # cash
    ("3des", "03", EP): ("65C8A775", "7F2AB102 EFE06846"),  # CAPP
    ("3des", "03", ED): ("65C8A775", "7F2AB102 EFE06846"),
    ("sm4", "01", EP): ("DE27B8B3", "4EA734F0 9E486260"),
    ("sm4", "01", ED): ("AAEF8901", "B2F48D09 9E486260"),
    ("sm4", "02", ED): ("F2ADD664", "DFA9E92B 9E486260"),
    ("sm4", "03", EP): ("8DA214BA", "E63D2872 9E486260"),
    ("sm4", "03", ED): ("8DA214BA", "E63D2872 9E486260"),
}
LOADS = {
    ("3des", EP): ("DB6210D3", "FF96D3EE", "D3D6FD5F"),
    ("3des", ED): ("07716489", "C56F23AC", "449EDD0F"),
    ("sm4", EP): ("A7BE0B67", "6E1D6BF4", "7B3F641D"),
    ("sm4", ED): ("34EE8371", "27202CE6", "46014339"),
}
TYPES = {("01", EP): "06", ("01", ED): "05", ("02", ED): "04", ("03", EP): "09", ("03", ED): "09"}
PURSES = {"ep": purse(1000), "ed": purse(1000)}


def answer(*parts: str) -> str:
    """Return the digits of an answer that succeeded."""
    return "".join(parts).replace(" ", "") + "9000"


@pytest.mark.parametrize("purse_number", [EP, ED])
def test_get_balance(purse_number: str) -> None:
    assert ask(worked_card("3des", **PURSES), f"80 5C 00 {purse_number} 04") == answer("000003E8")


@pytest.mark.parametrize(("algorithm", "how", "purse_number"), PURCHASES)
def test_purchase_cash_and_mixed_purchase(algorithm: str, how: str, purse_number: str) -> None:
    made = worked_card(algorithm, **PURSES)
    mac1, proofs = PURCHASES[algorithm, how, purse_number]
    init = f"80 50 {how} {purse_number} 0B 01 00000064 112233445566 0F"
    assert ask(made, init) == answer("000003E8 0005 000000 01", ALGORITHM_BYTE[algorithm], "A1B2C3D4")
    assert ask(made, f"80 54 01 00 0F 00000007 20240411 212121 {mac1} 08") == answer(proofs)
    assert ask(made, f"80 5C 00 {purse_number} 04") == answer("00000384")
    kind = TYPES[how, purse_number]
    tac, mac2 = proofs.split()
    assert ask(made, f"80 5A 00 {kind} 02 0006 08") == answer(mac2, tac)
    assert ask(made, f"80 5A 00 {kind} 02 0005 08") == "9406"
    assert ask(made, "00 B2 01 C4 17") == answer(f"0006 000000 00000064 {kind} 112233445566 20240411 212121")


@pytest.mark.parametrize(("algorithm", "purse_number"), LOADS)
def test_load(algorithm: str, purse_number: str) -> None:
    made = worked_card(algorithm, ep=purse(0), ed=purse(0))
    mac1, mac2, tac = LOADS[algorithm, purse_number]
    init = f"80 50 00 {purse_number} 0B 01 000003E8 112233445566 10"
    assert ask(made, init) == answer("00000000 0003 01", ALGORITHM_BYTE[algorithm], "A1B2C3D4", mac1)
    assert ask(made, f"80 52 00 00 0B 20240411 212121 {mac2} 04") == answer(tac)
    assert ask(made, f"80 5C 00 {purse_number} 04") == answer("000003E8")
    assert ask(made, f"80 5A 00 {purse_number} 02 0004 08") == answer(mac2, tac)
    assert ask(made, "00 B2 01 C4 17") == answer(
        f"0004 000000 000003E8 {purse_number} 112233445566 20240411 212121"
    )


@pytest.mark.parametrize(
    ("algorithm", "mac1", "mac2", "mac3"),
    [("3des", "1DBF17DE", "E37FDFEA", "F3D10B84"), ("sm4", "CA472E31", "CA9593EA", "A813A17D")],
)
def test_unload(algorithm: str, mac1: str, mac2: str, mac3: str) -> None:
    made = worked_card(algorithm, **PURSES)
    init = "80 50 05 01 0B 01 00000190 112233445566 10"
    assert ask(made, init) == answer("000003E8 0003 01", ALGORITHM_BYTE[algorithm], "A1B2C3D4", mac1)
    assert ask(made, f"80 54 03 00 0B 20240411 212121 {mac2} 04") == answer(mac3)
    assert ask(made, "80 5C 00 01 04") == answer("00000258")
    assert ask(made, "80 5A 00 03 02 0004 08") == answer(mac3, "00000000")
    assert ask(made, "00 B2 01 C4 17") == answer("0004 000000 00000190 03 112233445566 20240411 212121")


@pytest.mark.parametrize(
    ("algorithm", "mac1", "mac2", "tac"),
    [("3des", "1995AE1C", "E9B07451", "661A53D0"), ("sm4", "154593F5", "49F84BAC", "879F7D34")],
)
def test_overdraft_limit(algorithm: str, mac1: str, mac2: str, tac: str) -> None:
    made = worked_card(algorithm, ed=purse(700, overdraft_fen=200))
    init = "80 50 04 01 07 01 112233445566 13"
    assert ask(made, init) == answer("000002BC 0003 0000C8 01", ALGORITHM_BYTE[algorithm], "A1B2C3D4", mac1)
    assert ask(made, f"80 58 00 00 0E 0001F4 20240411 212121 {mac2} 04") == answer(tac)
    assert ask(made, "80 5C 00 01 04") == answer("000003E8")
    assert ask(made, "80 5A 00 07 02 0004 08") == answer(mac2, tac)
    init = "80 50 01 01 0B 01 00000064 112233445566 0F"
    assert ask(made, init)[:18] == "000003E8 0005 0001F4".replace(" ", "")


@pytest.mark.parametrize(
    ("algorithm", "mac1", "debited"),
    [("3des", "65C8A775", "7F2AB102EFE06846"), ("sm4", "8DA214BA", "E63D28729E486260")],
)
def test_records_of_a_mixed_purchase_are_written_with_the_debit(
    algorithm: str, mac1: str, debited: str
) -> None:
    made = worked_card(algorithm, **PURSES)
    by_id, by_number = "00 B2 11 B8 1F", "00 B2 02 BC 1F"
    tell(made, "80 50 03 02 0B 01 00000064 112233445566 0F")
    tell(made, "80 DC 11 B8 06 11 1D 00 AABBCC", "80 DC 02 BC 05 12 1D 00 DDEE", "80 DC 11 B8 04 11 1D 00 A1")
    assert ask(made, f"80 54 01 00 0F 00000007 20240411 212121 {mac1} 08") == answer(debited)
    assert ask(made, by_id) == answer("11 1D 00 A1BBCC", "00" * 25)
    assert ask(made, by_number) == answer("12 1D 00 DDEE", "00" * 26)


def test_records_of_a_mixed_purchase_that_is_not_debited_are_not_written() -> None:
    made = worked_card("3des", **PURSES)
    tell(made, "80 50 03 02 0B 01 00000064 112233445566 0F", "80 DC 11 B8 06 11 1D 00 AABBCC")
    assert ask(made, "80 54 01 00 0F 00000007 20240411 212121 65C8A774 08") == "9302"
    assert ask(made, "00 B2 11 B8 1F") == answer("11 1D 00", "00" * 28)
    assert ask(made, "80 54 01 00 0F 00000007 20240411 212121 65C8A775 08") == "6901"


def test_a_real_card_was_loaded_like_this() -> None:
    """Trace B: an FM1208 whose keys have index 00, version 00 and algorithm byte 01."""
    dlk = KeyEntry(Usage.LOAD, 0, 0, 0, 0x00, octets("3F3F3F3F3F3F3F3F1122334455667788"))
    dtk = KeyEntry(Usage.TAC, 0, 0, 0, 0x00, octets("34343434343434341122334455667788"))
    empty = purse(0, online=0, offline=0)
    made = card(dlk, dtk, flags=Flags(algorithm_byte_3des=0x01), random=constant("4E066548"), ep=empty)
    init = "80 50 00 02 0B 00 00000010 666666666666 10"
    assert ask(made, init) == answer("00000000 0000 00 01 4E066548 0D39ADBB")
    assert ask(made, "80 52 00 00 0B 20240411 212121 097E98FE 04") == answer("A802863E")
    assert ask(made, "00 B2 01 C4 17") == answer("0001 000000 00000010 02 666666666666 20240411 212121")


def test_another_real_card_was_loaded_like_this() -> None:
    """Trace C: the TAC key's halves are equal, so its DES key is all zeros."""
    dlk = KeyEntry(Usage.LOAD, 0, 1, 0, 0x00, octets("3F01" * 8))
    dtk = KeyEntry(Usage.TAC, 0, 1, 0, 0x00, octets("34" * 16))
    loaded = purse(0x1A, online=0x17)
    made = card(dlk, dtk, flags=Flags(algorithm_byte_3des=0x01), random=constant("06B825D7"), ep=loaded)
    init = "80 50 00 02 0B 01 00000001 112233445566 10"
    assert ask(made, init) == answer("0000001A 0017 00 01 06B825D7 684C81CE")
    assert ask(made, "80 52 00 00 0B 20170310 110734 9C8A0625 04") == answer("16EAD516")


def test_the_published_example_of_a_load_and_a_purchase() -> None:
    """Trace A: load of an ED and purchase from an EP under one key."""
    entries = keys("11223344556677888877665544332211", 0x00)
    empty, full = purse(0, online=0, offline=0), purse(0x1000, online=0, offline=0)
    made = card(*entries, random=constant("11223344"), ep=full, ed=empty)
    assert ask(made, "80 50 00 01 0B 01 00001000 001122334455 10")[-12:] == "2988AE5A9000"
    assert ask(made, "80 52 00 00 0B 20111221 214822 3A845BF0 04").endswith("9000")
    assert ask(made, "80 50 01 02 0B 01 00001000 001122334455 0F").endswith("112233449000")
    assert ask(made, "80 54 01 00 0F 00000001 20120229 135100 F15CAB75 08")[8:] == "56988A139000"


def test_flags_change_what_products_differ_in() -> None:
    flags = Flags(
        pin_before_ed=False, pin_before_ep_load=False, log_seq_after=False, proof_mac_for_load=False
    )
    entries = keys("BEE2FD44080F424561599C0F14E824B5", 0x00)
    made = card(*entries, flags=flags, ep=purse(0), ed=purse(0), verified=False)
    assert ask(made, "80 5C 00 01 04") == answer("00000000")
    tell(made, "80 50 00 02 0B 01 000003E8 112233445566 10")
    assert ask(made, "80 52 00 00 0B 20240411 212121 FF96D3EE 04") == answer("D3D6FD5F")
    assert ask(made, "80 5A 00 02 02 0004 08") == answer("00000000 D3D6FD5F")
    assert ask(made, "00 B2 01 C4 17").startswith("0003")


def test_a_card_that_speaks_like_a_contact_reader_has_its_answers_fetched() -> None:
    made = card(
        *keys("BEE2FD44080F424561599C0F14E824B5", 0x00), flags=Flags(get_response=True), ep=purse(1000),
        verified=False,
    )  # fmt: skip
    assert ask(made, "00 A4 04 00 09 A00000000386980701") == "6130"
    assert ask(made, "00 C0 00 00 30").endswith("9000")
    assert ask(made, "80 5C 00 02 00") == "6C04"
    assert ask(made, "80 50 01 02 0B 01 00000064 112233445566") == "610F"
    assert ask(made, "00 C0 00 00 10") == "6C0F"
    assert ask(made, "00 C0 00 00 0F") == answer("000003E8 0005 000000 01 00 A1B2C3D4")
    assert ask(made, "00 C0 00 00 0F") == "6985"


def test_fetching_the_answer_does_not_void_the_transaction() -> None:
    entries = keys("BEE2FD44080F424561599C0F14E824B5", 0x00)
    made: VirtualCard = card(*entries, flags=Flags(get_response=True), ep=purse(1000), verified=False)
    assert ask(made, "80 50 01 02 0B 01 00000064 112233445566 0F") == "610F"
    assert ask(made, "00 C0 00 00 0F").endswith("9000")
    assert ask(made, "80 54 01 00 0F 00000007 20240411 212121 83A77D6E") == "6108"
    assert ask(made, "00 C0 00 00 08") == answer("6B0F7B93 EFE06846")


def test_a_proof_survives_everything_until_the_next_transaction_of_its_type() -> None:
    made = worked_card("3des", **PURSES)
    tell(made, "80 50 01 02 0B 01 00000064 112233445566 0F")
    tell(made, "80 54 01 00 0F 00000007 20240411 212121 83A77D6E 08")
    proof = answer("EFE06846 6B0F7B93")
    tell(made, "80 50 01 02 0B 01 00000064 112233445566 0F")
    assert ask(made, "80 5A 00 06 02 0006 08") == proof, "a fresh INIT leaves it"
    made.power_off()
    made.power_on()
    tell(made, "00 A4 04 00 09 A00000000386980701", "00 20 00 00 03 123456")
    assert ask(made, "80 5A 00 06 02 0006 08") == proof, "so does a loss of power"
    tell(made, "80 50 00 02 0B 01 00000064 112233445566 10")
    assert ask(made, "80 5A 00 06 02 0006 08") == proof, "and a transaction of another type that was begun"
    assert ask(made, "80 5A 00 09 02 0006 08") == "9406"


def test_the_log_keeps_the_last_ten_newest_first() -> None:
    dlk = TdesKey(octets("BEE2FD44080F424561599C0F14E824B5"))
    made = worked_card("3des", ep=purse(0))
    for load in range(12):
        tell(made, f"80 50 00 02 0B 01 {load:08X} 112233445566 10")
        session = dlk.session(octets(CARD_RANDOM) + (3 + load).to_bytes(2) + b"\x80\x00")
        moved = f"{load:08X} 02 112233445566 20240411 212121"
        tell(made, f"80 52 00 00 0B 20240411 212121 {session.mac(octets(moved)).hex()} 04")
        records = [ask(made, f"00 B2 {number:02X} C4 17") for number in range(1, min(load + 1, 10) + 1)]
        amounts = [int(record[10:18], 16) for record in records]
        assert amounts == list(range(load, max(load - 10, -1), -1))
        assert [int(record[:4], 16) for record in records] == [amount + 4 for amount in amounts]
        assert ask(made, f"00 B2 {len(records) + 1:02X} C4 17") == "6A83"
