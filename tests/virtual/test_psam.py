"""The PSAM: its files, MAC1 and MAC2, its counter, and keys that it computes with but never gives away."""

from dataclasses import replace

import pytest

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.crypto import TdesKey
from hil_rig.virtual.profile import load_card_profile, load_psam_profile
from hil_rig.virtual.profile_entries import KeyEntry, PsamProfile, SamApplication, Usage
from hil_rig.virtual.psam import VirtualPsam
from tests.virtual.talk import (
    CARD_KEY_3DES,
    CHALLENGE,
    SELECT_ISSUER,
    SELECT_MF,
    ask,
    constant,
    octets,
    psam,
    statuses,
    tell,
)

REGION_3DES = "A98D67402A30FCAEAC4C3325CD34A48B"
REGION_SM4 = "191C1D318206609919A16D7F82448EE1"
ROOT = "00112233445566778899AABBCCDDEEFF"
SERIAL, REGION = "1234567890123456", "B9E3B6ABB9E3B6AB"
PURCHASE = "A1B2C3D4 0005 00000064 06 20240411 212121"


def profile(*entries: tuple[int, int, int, int, str], **changes: object) -> PsamProfile:
    """Return the shipped PSAM with these keys (type, levels, version, algorithm, value), counter at 6."""
    keys = tuple(
        KeyEntry(kind, levels, 0, version, alg, octets(value))
        for kind, levels, version, alg, value in entries
    )
    application = SamApplication(octets("4355434100000001"), keys)
    plain = replace(load_psam_profile("psam"), applications=(application,), terminal_seq=6)
    return replace(plain, **changes)  # type: ignore[arg-type]  # fields of the profile, by name


def made(*entries: tuple[int, int, int, int, str], **changes: object) -> VirtualPsam:
    """Return such a PSAM with its application selected."""
    sam = VirtualPsam(profile(*entries, **changes), None, constant("5D72B3FD" + "00" * 12))
    sam.power_on()
    tell(sam, SELECT_ISSUER)
    return sam


def worked() -> VirtualPsam:
    """Return a PSAM with keys of every level for the worked example."""
    purchase = Usage.PURCHASE
    return made(
        (purchase, 1, 1, 0x00, REGION_3DES), (purchase, 1, 2, 0x04, REGION_SM4),
        (purchase, 2, 3, 0x00, ROOT), (purchase, 2, 4, 0x04, ROOT),
        (purchase, 0, 5, 0x00, CARD_KEY_3DES),
    )  # fmt: skip


def test_its_files_say_who_it_is() -> None:
    sam = psam()
    assert ask(sam, "00 B0 95 00 0E") == "0000000000000000000105010000" + "9000"
    assert ask(sam, "00 B0 96 00 06") == "112233445566" + "9000"
    tell(sam, SELECT_MF)
    assert ask(sam, "00 B0 96 00 06") == "112233445566" + "9000"
    assert ask(sam, SELECT_ISSUER) == "6F0C84084355434100000001A500" + "9000"
    assert ask(sam, "00 A4 04 00 08 4355434100000099") == "6A82"


# version, algorithm, factors → MAC1 and the MAC2 that the card must answer
INITS = {
    "3des campus": ("1C", "01 00", SERIAL, "83A77D6E", "EFE06846"),
    "3des campus, algorithm byte 01": ("1C", "01 01", SERIAL, "83A77D6E", "EFE06846"),
    "sm4 campus": ("1C", "02 04", SERIAL, "DE27B8B3", "9E486260"),
    "3des root": ("24", "03 00", SERIAL + REGION, "83A77D6E", "EFE06846"),
    "sm4 root": ("24", "04 04", SERIAL + REGION, "DE27B8B3", "9E486260"),
    "3des card": ("14", "05 00", "", "83A77D6E", "EFE06846"),
}


@pytest.mark.parametrize("case", INITS)
def test_mac1_and_mac2_of_a_purchase(case: str) -> None:
    length, key, factors, mac1, mac2 = INITS[case]
    sam = worked()
    init = f"80 70 00 00 {length} {PURCHASE} {key} {factors} 08"
    assert ask(sam, init) == "00000007" + mac1 + "9000"
    assert statuses(sam, [f"80 72 00 00 04 {mac2}", f"80 72 00 00 04 {mac2}"]) == ["9000", "6901"]


def test_a_mixed_purchase_has_its_own_mac1() -> None:
    init = f"80 70 00 00 1C {PURCHASE.replace(' 06 ', ' 09 ')} 01 00 {SERIAL} 08"
    assert ask(worked(), init) == "00000007" + "65C8A775" + "9000"


def test_the_banks_factor_may_stand_first() -> None:
    sam = made((Usage.PURCHASE, 2, 3, 0x00, ROOT), card_factor_first=False)
    init = f"80 70 00 00 24 {PURCHASE} 03 00 {REGION} {SERIAL} 08"
    assert ask(sam, init) == "00000007" + "83A77D6E" + "9000"


def test_what_it_refuses_at_the_first_step() -> None:
    sam = worked()
    for init, sw in (
        (f"80 70 00 00 1C {PURCHASE} 09 00 {SERIAL} 08", "9403"),  # no such version
        (f"80 70 00 00 1C {PURCHASE} 01 04 {SERIAL} 08", "9403"),  # not in this algorithm
        (f"80 70 00 00 1C {PURCHASE} 01 02 {SERIAL} 08", "9403"),  # no algorithm at all
        (f"80 70 00 00 24 {PURCHASE} 01 00 {SERIAL} {REGION} 08", "6700"),  # a campus key takes one factor
        (f"80 70 00 00 14 {PURCHASE} 01 00 08", "6700"),
        (f"80 70 00 00 1D {PURCHASE} 01 00 {SERIAL} 00 08", "6700"),
        (f"80 70 00 00 12 {PURCHASE} 08", "6700"),
        (f"80 70 00 00 1C {PURCHASE.replace(' 06 ', ' 02 ')} 01 00 {SERIAL} 08", "6A80"),
        (f"80 70 01 00 1C {PURCHASE} 01 00 {SERIAL} 08", "6A86"),
    ):
        assert ask(sam, init) == sw, init
    assert ask(sam, f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08")[:8] == "00000007", "none of them counted"
    tell(sam, SELECT_MF)
    assert ask(sam, f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08") == "9403", "the MF has no purchase key"


def test_its_counter_is_stored_before_mac1_and_never_used_twice() -> None:
    sam = worked()
    init = f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08"
    before = sam.memory.writes
    assert ask(sam, init)[:8] == "00000007"
    assert sam.memory.writes == before + 1
    sam.power_on()
    tell(sam, SELECT_ISSUER)
    assert [ask(sam, init)[:8] for _ in range(3)] == ["00000008", "00000009", "0000000A"]


def test_its_counter_ends() -> None:
    sam = made((Usage.PURCHASE, 1, 1, 0x00, REGION_3DES), terminal_seq=0xFFFF_FFFE)
    init = f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08"
    assert ask(sam, init)[:8] == "FFFFFFFF"
    assert ask(sam, init) == "9402"


def test_wrong_mac2s_block_the_application_until_it_is_unblocked() -> None:
    sam = made((Usage.PURCHASE, 1, 1, 0x00, REGION_3DES), mac2_tries=3)
    init = f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08"
    for tries in range(3):
        tell(sam, init)
        assert ask(sam, "80 72 00 00 04 EFE06847") == "9302", tries
    assert statuses(sam, [init, SELECT_ISSUER, "80 1A 48 01 00"]) == ["6A81"] * 3
    unblock = secure(sam, "84 18 00 00 04", load_psam_profile("psam").keys[0].value)
    assert statuses(sam, [unblock, init, "80 72 00 00 04 EFE06847", init]) == ["9000", "9000", "9302", "9000"]


def secure(sam: VirtualPsam, header: str, key: bytes) -> str:
    """Return a command with its MAC under a 3DES key."""
    tell(sam, CHALLENGE)
    message = octets(header)
    return header + TdesKey(key).mac(message, octets("5D72B3FD")).hex()


def test_a_right_mac2_after_another_purchase_was_begun_is_refused() -> None:
    sam = worked()
    init = f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08"
    tell(sam, init, init)
    assert ask(sam, "80 72 00 00 04 EFE06846") == "9302", "it belongs to the first"
    tell(sam, init, SELECT_ISSUER)
    assert ask(sam, "80 72 00 00 04 EFE06846") == "6901", "another selection ends the purchase"
    assert ask(sam, "80 72 00 00 03 EFE068") == "6700"


def test_reading_between_the_steps_does_not_disturb_the_purchase() -> None:
    sam = worked()
    tell(sam, f"80 70 00 00 1C {PURCHASE} 01 00 {SERIAL} 08", "00 B0 96 00 06", CHALLENGE)
    assert ask(sam, "80 72 00 00 04 EFE06846") == "9000"


def computing() -> VirtualPsam:
    """Return a PSAM with session keys 08 (3DES, root), 09 (SM4, as it is) and 0A (DES of the manual)."""
    return made(
        (Usage.PURCHASE, 1, 1, 0x00, REGION_3DES), (Usage.PURCHASE, 2, 1, 0x00, ROOT), (8, 2, 1, 0x00, ROOT),
        (9, 0, 1, 0x04, ROOT), (10, 0, 1, 0x00, "1122334455667788" * 2), (8, 1, 1, 0x00, ROOT),
    )  # fmt: skip


def test_a_delivered_key_encrypts_decrypts_and_makes_macs() -> None:
    sam = computing()
    tell(sam, "80 1A 0A 01")
    assert ask(sam, "80 FA 00 00 08 0102030405060708 08") == "178F59F8578E0D3F" + "9000"
    assert ask(sam, "80 FA 02 00 08 0102030405060708 08") == "178F59F8578E0D3F" + "9000"
    assert ask(sam, "80 FA 80 00 08 178F59F8578E0D3F 08") == "0102030405060708" + "9000"
    message = "0102030405060708 8000000000000000"
    assert ask(sam, f"80 FA 05 00 18 0000000000000000 {message} 04") == "A82A8CEB" + "9000"
    assert ask(sam, "80 FA 07 00 10 0000000000000000 0102030405060708") == "9000"
    assert ask(sam, "80 FA 01 00 08 8000000000000000 04") == "A82A8CEB" + "9000"
    assert ask(sam, "80 FA 01 00 08 8000000000000000 04") == "6901", "the chain has ended"


def test_a_key_of_two_levels_is_diversified_card_first() -> None:
    sam = computing()
    tell(sam, f"80 1A 48 01 10 {SERIAL} {REGION}")
    assert ask(sam, "80 FA 00 00 08 A1B2C3D400050007 08") == "F205A8B7C09195B3" + "9000"


def test_sm4_keys_compute_in_blocks_of_16() -> None:
    sam = computing()
    tell(sam, "80 1A 09 01")
    assert (
        ask(sam, "80 FA 00 00 10 1122334455667788 EEDDCCBBAA998877 10")
        == "5A9F65876227746D95606233700543A9" + "9000"
    )
    assert ask(sam, "80 FA 00 00 08 1122334455667788 08") == "6700"


@pytest.mark.parametrize("mode", ["00", "01", "02", "03", "05", "07", "80"])
def test_purchase_and_maintenance_keys_are_never_delivered(mode: str) -> None:
    sam = computing()
    for deliver in (
        f"80 1A 22 01 08 {SERIAL}",
        f"80 1A 42 01 10 {SERIAL} {REGION}",
        "80 1A 02 01",
        "80 1A 01 01",
    ):
        tell(sam, "80 1A 0A 01")
        assert ask(sam, deliver) == "6985"
        assert ask(sam, f"80 FA {mode} 00 10" + "00" * 16) == "6901", "nor does the key before it stay"


def test_computing_without_a_key_or_in_odd_lengths_is_refused() -> None:
    sam = computing()
    assert ask(sam, "80 FA 00 00 08 0102030405060708 08") == "6901"
    tell(sam, "80 1A 0A 01")
    assert (
        statuses(
            sam, ["80 FA 00 00 07 01020304050607 08", "80 FA 00 00", "80 FA 05 00 08 0000000000000000 04"]
        )
        == ["6700"] * 3
    )
    assert (
        statuses(sam, ["80 FA 04 00 08 0000000000000000 04", "80 FA 00 01 08 0000000000000000 04"])
        == ["6A86"] * 2
    )
    delivers = [f"80 1A 48 01 08 {SERIAL}", "80 1A 0B 01", f"80 1A 48 02 10 {SERIAL} {REGION}"]
    assert statuses(sam, delivers) == ["6700", "9403", "9403"]
    tell(sam, "80 1A 0A 01", SELECT_ISSUER)
    assert ask(sam, "80 FA 00 00 08 0102030405060708 08") == "6901"


@pytest.mark.parametrize(
    ("name", "index", "version"),
    [
        ("card-3des", "01", "01 00"),
        ("card-sm4", "01", "02 04"),
        ("card-both", "01", "01 00"),
        ("card-both", "02", "02 04"),
    ],
)
def test_the_shipped_psam_and_cards_understand_each_other(name: str, index: str, version: str) -> None:
    plain = load_card_profile(name)
    assert plain.ep is not None
    card = VirtualCard(replace(plain, ep=replace(plain.ep, balance_fen=500)))
    card.power_on()
    sam = psam()
    serial = ask(card, "00 A4 04 00 09 A00000000386980701")[-40:-24]
    begun = ask(card, f"80 50 03 02 0B {index} 00000064 112233445566 0F")
    card_random, counter = begun[22:30], begun[8:12]
    made_at = "20260901 120000"
    init = f"80 70 00 00 1C {card_random} {counter} 00000064 09 {made_at} {version} {serial} 08"
    mac1 = ask(sam, init)
    debited = ask(card, f"80 54 01 00 0F {mac1[:8]} {made_at} {mac1[8:16]} 08")
    assert debited[-4:] == "9000"
    assert ask(sam, f"80 72 00 00 04 {debited[8:16]}") == "9000"
    assert ask(card, "80 5C 00 02 04") == "000001909000"
