"""PIN, authentication, secure messaging and blocking: exact status words, and tries that end."""

import pytest

from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.profile_entries import Flags
from tests.virtual.talk import (
    CARD_KEY_3DES,
    CARD_KEY_SM4,
    CHALLENGE,
    SELECT,
    SELECT_MF,
    VERIFY,
    ask,
    card,
    constant,
    keys,
    octets,
    purse,
    statuses,
    tell,
)

INIT_PURCHASE = "80 50 01 02 0B 01 00000064 112233445566 0F"
INIT_LOAD = "80 50 00 02 0B 01 000003E8 112233445566 10"
SM_KEY = CARD_KEY_3DES
SM_RANDOM = "5D72B3FD"

# Secure messages under the card's key with challenge 5D72B3FD.
APP_BLOCK = "84 1E 00 00 04 07B17993"
APP_UNBLOCK = "84 18 00 00 04 18963B4E"
CARD_BLOCK = "84 16 00 00 04 CF2E33E4"
UPDATE_FILE = "04 D6 85 00 0C 0011223344556677 98189492"
UNBLOCK_PIN = "84 24 00 01 0C 763C80D14EA5FB1B 0DD6F261"
RELOAD_PIN = "80 5E 00 01 07 654321 5FA9BD23"


def sm_card() -> VirtualCard:
    """Return a card of the worked example whose challenges are all 5D72B3FD."""
    return card(*keys(SM_KEY, 0x00), random=constant(SM_RANDOM + "00" * 12), ep=purse(1000), ed=purse(1000))


def test_the_pin_has_three_tries() -> None:
    made = card(*keys(SM_KEY, 0x00), verified=False)
    wrong = "00 20 00 00 03 123457"
    assert statuses(made, [wrong, wrong, VERIFY, wrong]) == ["63C2", "63C1", "9000", "63C2"]
    assert ask(made, "80 5C 00 01 04") == "6982", "a wrong PIN takes back what the right one gave"
    assert statuses(made, [wrong, wrong, wrong, VERIFY]) == ["63C1", "63C0", "6983", "6983"]
    assert statuses(made, ["80 5E 01 00 07 123456 FF 654321"]) == ["6983"]
    made.power_on()
    tell(made, SELECT)
    assert ask(made, VERIFY) == "6983"


def test_a_pin_is_changed_by_who_knows_it() -> None:
    made = card(*keys(SM_KEY, 0x00), verified=False)
    assert statuses(made, ["80 5E 01 00 07 111111 FF 654321", "80 5E 01 00 07 123456 FF 654321"]) == [
        "63C2",
        "9000",
    ]
    assert statuses(made, [VERIFY, "00 20 00 00 03 654321"]) == ["63C2", "9000"]
    assert (
        statuses(made, ["80 5E 01 00 03 654321", "00 20 00 00 01 65", "00 20 00 00 07 65432165432165"])
        == ["6700"] * 3
    )


@pytest.mark.parametrize(
    ("key", "algorithm", "reload", "unblock"),
    [
        (CARD_KEY_3DES, 0x00, RELOAD_PIN, UNBLOCK_PIN),
        (CARD_KEY_SM4, 0x04, "80 5E 00 01 07 654321 B9657A9C",
         "84 24 00 01 14 B8BA7F60B7BC88CD9BD679EEA9052F13 BF710ED2"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("by", ["reload", "unblock"])
def test_an_exhausted_pin_comes_back_by_the_issuers_mac(
    key: str, algorithm: int, reload: str, unblock: str, by: str
) -> None:
    made = card(*keys(key, algorithm), random=constant(SM_RANDOM + "00" * 12), verified=False)
    for _ in range(4):
        ask(made, "00 20 00 00 03 000000")
    assert ask(made, VERIFY) == "6983"
    commands = [reload] if by == "reload" else [CHALLENGE, unblock]
    assert statuses(made, commands)[-1] == "9000"
    assert statuses(made, [VERIFY, "00 20 00 00 03 654321"]) == ["63C2", "9000"]


def test_three_wrong_macs_end_unblocking_and_reloading_for_ever() -> None:
    made = sm_card()
    wrong = UNBLOCK_PIN[:-1] + "0"
    for sw in ("6988", "6988", "9303", "9303"):
        assert statuses(made, [CHALLENGE, wrong]) == ["9000", sw]
    assert statuses(made, [CHALLENGE, UNBLOCK_PIN]) == ["9000", "9303"]
    wrong = RELOAD_PIN[:-1] + "0"
    assert statuses(made, [wrong, wrong, RELOAD_PIN, wrong, wrong, wrong, RELOAD_PIN]) == [
        "9302", "9302", "9000", "9302", "9302", "9303", "9303",
    ]  # fmt: skip


def test_a_challenge_is_good_for_the_next_command_only() -> None:
    made = sm_card()
    assert ask(made, UPDATE_FILE) == "6985", "none was fetched"
    assert statuses(made, [CHALLENGE, "80 5C 00 02 04", UPDATE_FILE]) == ["9000", "9000", "6985"]
    assert statuses(made, [CHALLENGE, UPDATE_FILE, UPDATE_FILE]) == ["9000", "9000", "6985"]
    assert ask(made, "00 B0 85 00 08") == "00112233445566779000"
    assert statuses(made, [CHALLENGE, "84 24 00 01", UNBLOCK_PIN, APP_BLOCK, APP_UNBLOCK, CARD_BLOCK]) == [
        "9000", "6987", "6985", "6985", "6985", "6985",
    ]  # fmt: skip


def test_a_stale_challenge_does_not_open_a_new_message() -> None:
    made = card(*keys(SM_KEY, 0x00), random=constant("5D72B3FE", SM_RANDOM))
    assert statuses(made, [CHALLENGE, UPDATE_FILE]) == ["9000", "6988"]
    assert statuses(made, [CHALLENGE, UPDATE_FILE]) == ["9000", "9000"]


def test_files_are_written_under_their_conditions() -> None:
    made = sm_card()
    assert ask(made, "00 D6 85 00 08 0011223344556677") == "6982", "plain"
    assert statuses(made, [CHALLENGE, "04 D6 85 00 02 0011"]) == ["9000", "6987"]
    assert statuses(made, [CHALLENGE, UPDATE_FILE[:-1] + "3"]) == ["9000", "6988"]
    assert ask(made, "00 E2 00 C0 17" + "00" * 23) == "6982", "nobody writes the log"
    tell(made, CHALLENGE)
    assert ask(made, "04 E2 00 C0 1B" + "00" * 27) == "6982", "not even with a MAC"
    assert ask(made, "00 DC 11 B8 06 111D00AABBCC") == "6982"


@pytest.mark.parametrize(("flag", "sw"), [(0x6A81, "6A81"), (0x6283, "6283")])
def test_a_blocked_application_does_nothing_until_it_is_unblocked(flag: int, sw: str) -> None:
    random = constant(SM_RANDOM)
    made = card(*keys(SM_KEY, 0x00), random=random, ep=purse(1000), flags=Flags(blocked_select_sw=flag))
    tell(made, CHALLENGE, APP_BLOCK)
    refused = [
        "80 5C 00 02 04",
        INIT_PURCHASE,
        INIT_LOAD,
        "80 5A 00 06 02 0006 08",
        "00 B0 95 00 1E",
        VERIFY,
        SELECT,
    ]
    assert statuses(made, refused) == [sw] * 7
    made.power_on()
    assert statuses(made, [SELECT, INIT_PURCHASE]) == [sw] * 2
    assert statuses(made, [CHALLENGE, APP_UNBLOCK, SELECT, INIT_PURCHASE]) == ["9000"] * 4


def test_three_wrong_unblocks_lock_the_application_for_ever() -> None:
    made = sm_card()
    tell(made, CHALLENGE, APP_BLOCK)
    wrong = APP_UNBLOCK[:-1] + "F"
    for sw in ("6988", "6988", "9303"):
        assert statuses(made, [CHALLENGE, wrong])[1] == sw
    assert ask(made, INIT_PURCHASE) == "9303", "the third failure locks it at once"
    assert statuses(made, [CHALLENGE, wrong, CHALLENGE, APP_UNBLOCK]) == ["9000", "9303", "9000", "9303"]
    assert statuses(made, [SELECT, INIT_PURCHASE, SELECT_MF]) == ["6A81", "9303", "9000"]


def test_wrong_unblocks_count_only_in_a_row() -> None:
    made = sm_card()
    wrong = APP_UNBLOCK[:-1] + "F"
    for _ in range(3):
        tell(made, CHALLENGE, APP_BLOCK)
        assert statuses(made, [CHALLENGE, wrong, CHALLENGE, wrong, CHALLENGE, APP_UNBLOCK]) == [
            "9000", "6988", "9000", "6988", "9000", "9000",
        ]  # fmt: skip


def test_a_blocked_card_answers_nothing_any_more() -> None:
    made = sm_card()
    tell(made, CHALLENGE, CARD_BLOCK)
    commands = [SELECT, SELECT_MF, CHALLENGE, "80 5C 00 02 04", "00 C0 00 00 00", VERIFY]
    assert statuses(made, commands) == ["6A81"] * 6
    made.power_on()
    assert statuses(made, commands) == ["6A81"] * 6


@pytest.mark.parametrize(
    ("key", "algorithm", "challenge", "random", "answer"),
    [
        (CARD_KEY_3DES, 0x00, "00 84 00 00 04", "5D72B3FD" + "00" * 12, "4D273EBDF0D41CBA"),
        (CARD_KEY_3DES, 0x00, "00 84 00 00 08", "5D72B3FD" + "00" * 12, "4D273EBDF0D41CBA"),
        (CARD_KEY_SM4, 0x04, "00 84 00 00 10", bytes(range(16)).hex(), "596B06BC30F8B361"),
        ("0102030405060708" * 2, 0x00, "00 84 00 00 04", "BB83BFF3", "74B0047DD681D96C"),
    ],
)
def test_external_authentication_has_three_tries(
    key: str, algorithm: int, challenge: str, random: str, answer: str
) -> None:
    made = card(*keys(key, algorithm), random=constant(random), verified=False)
    right, wrong = "00 82 00 01 08" + answer, "00 82 00 01 08" + "00" * 8
    assert ask(made, right) == "6985", "no challenge"
    assert statuses(made, [challenge, wrong, challenge, wrong, challenge, right, right]) == [
        "9000", "63C2", "9000", "63C1", "9000", "9000", "6985",
    ]  # fmt: skip
    for sw in ("63C2", "63C1", "63C0", "6983"):
        assert statuses(made, [challenge, wrong])[1] == sw
    assert statuses(made, [challenge, right])[1] == "6983"


@pytest.mark.parametrize(
    ("key", "algorithm", "mac"), [(CARD_KEY_3DES, 0x00, "52DAD6F6"), (CARD_KEY_SM4, 0x04, "A0975B5A")]
)
def test_internal_authentication(key: str, algorithm: int, mac: str) -> None:
    made = card(*keys(key, algorithm))
    block = octets("0102030405060708") * 2
    assert ask(made, "00 88 02 01 08 0102030405060708 04") == mac + "9000"
    encrypted = ask(made, b"\x00\x88\x00\x01\x10" + block + b"\x10")[:-4]
    assert encrypted != block.hex().upper()
    assert ask(made, b"\x00\x88\x01\x01\x10" + octets(encrypted) + b"\x10")[:-4] == block.hex().upper()
    assert statuses(made, ["00 88 00 01 07 01020304050607 00", "00 88 03 01 08 0102030405060708 00"]) == [
        "6700",
        "6A86",
    ]


@pytest.mark.parametrize(
    ("key", "algorithm", "mac"), [(CARD_KEY_3DES, 0x00, "E75980C4"), (CARD_KEY_SM4, 0x04, "8B5506B8")]
)
def test_a_reading_with_a_mac_proves_the_card(key: str, algorithm: int, mac: str) -> None:
    made = card(*keys(key, algorithm), random=constant(SM_RANDOM))
    assert ask(made, "04 B0 85 00 0C") == "6985", "no challenge"
    tell(made, CHALLENGE)
    assert ask(made, "04 B0 85 00 0D") == "6C0C", "more than the file has"
    tell(made, CHALLENGE)
    assert ask(made, "04 B0 85 00 0C") == "00" * 8 + mac + "9000"
