"""What the card refuses, and with which status word."""

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
    worked_card,
)

INIT_PURCHASE = "80 50 01 02 0B 01 00000064 112233445566 0F"
DEBIT = "80 54 01 00 0F 00000007 20240411 212121 83A77D6E 08"
INIT_LOAD = "80 50 00 02 0B 01 000003E8 112233445566 10"
CREDIT = "80 52 00 00 0B 20240411 212121 FF96D3EE 04"
INIT_CAPP = "80 50 03 02 0B 01 00000064 112233445566 0F"
UPDATE_CAPP = "80 DC 11 B8 06 11 1D 00 AABBCC"
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


def test_a_wrong_mac_is_refused_and_ends_the_transaction() -> None:
    made = worked_card("3des", ep=purse(1000))
    tell(made, INIT_PURCHASE)
    assert statuses(made, [DEBIT.replace("83A77D6E", "83A77D6F"), DEBIT]) == ["9302", "6901"]
    assert ask(made, "80 5C 00 02 04") == "000003E89000"


def test_a_replayed_debit_is_refused() -> None:
    made = worked_card("3des", ep=purse(1000))
    tell(made, INIT_PURCHASE, DEBIT)
    assert statuses(made, [DEBIT, INIT_PURCHASE, DEBIT]) == ["6901", "9000", "9302"], "the counter went on"


def test_a_replayed_credit_is_refused() -> None:
    made = worked_card("3des", ep=purse(0))
    tell(made, INIT_LOAD, CREDIT)
    assert statuses(made, [CREDIT, INIT_LOAD, CREDIT]) == ["6901", "9000", "9302"]
    assert ask(made, "80 5C 00 02 04") == "000003E89000"


def test_a_mac1_for_another_terminal_time_counter_or_amount_is_refused() -> None:
    for init, debit in (
        (INIT_PURCHASE.replace("112233445566", "112233445567"), DEBIT),
        (INIT_PURCHASE.replace("00000064", "00000065"), DEBIT),
        (INIT_PURCHASE, DEBIT.replace("00000007", "00000008")),
        (INIT_PURCHASE, DEBIT.replace("212121", "212122")),
        (INIT_CAPP, DEBIT),
    ):
        assert statuses(worked_card("3des", ep=purse(1000)), [init, debit]) == ["9000", "9302"]


def test_a_second_step_without_its_first_is_refused() -> None:
    made = worked_card("3des", ep=purse(1000), ed=purse(1000))
    unload = "80 54 03 00 0B 20240411 212121 00000000 04"
    overdraft = "80 58 00 00 0E 0001F4 20240411 212121 00000000 04"
    assert statuses(made, [DEBIT, CREDIT, unload, overdraft, UPDATE_CAPP]) == ["6901"] * 5
    assert statuses(made, [INIT_LOAD, DEBIT]) == ["9000", "6901"]
    assert statuses(made, [INIT_PURCHASE, CREDIT]) == ["9000", "6901"]
    assert statuses(made, [INIT_PURCHASE, unload]) == ["9000", "6901"]


@pytest.mark.parametrize(
    "between",
    [
        CHALLENGE,
        "80 5C 00 02 04",
        "00 B0 95 00 1E",
        "80 5A 00 06 02 0006 08",
        VERIFY,
        SELECT,
        "00 B2 01 C4 17",
        "FF",
    ],
)
def test_any_command_between_the_steps_voids_the_transaction(between: str) -> None:
    made = worked_card("3des", ep=purse(1000))
    tell(made, INIT_PURCHASE)
    ask(made, between)
    assert ask(made, DEBIT) == "6901"


def test_a_loss_of_power_voids_the_transaction() -> None:
    made = worked_card("3des", ep=purse(1000))
    tell(made, INIT_PURCHASE)
    made.power_on()
    tell(made, SELECT)
    assert ask(made, DEBIT) == "6901"


def test_an_unknown_key_is_refused() -> None:
    made = worked_card("3des", ep=purse(1000), ed=purse(1000))
    assert (
        statuses(made, [INIT_PURCHASE.replace("0B 01", "0B 02"), INIT_LOAD.replace("0B 01", "0B 07")])
        == ["9403"] * 2
    )
    assert statuses(made, ["80 50 05 01 0B 09 00000001 112233445566 10"]) == ["9403"]
    assert statuses(made, ["80 50 04 01 07 09 112233445566 13"]) == ["9403"]
    assert (
        statuses(made, ["00 88 00 09 08 0102030405060708 08", "00 82 00 09 08 0102030405060708"])
        == ["6A88"] * 2
    )
    assert statuses(made, ["80 5E 00 09 07 654321 00000000", "00 20 00 05 03 123456"]) == ["9403"] * 2


def test_more_than_there_is_is_refused_at_the_first_step() -> None:
    made = worked_card("3des", ep=purse(99), ed=purse(99))
    assert (
        statuses(made, [INIT_PURCHASE, INIT_CAPP, "80 50 05 01 0B 01 00000064 112233445566 10"])
        == ["9401"] * 3
    )
    assert statuses(made, [INIT_PURCHASE.replace("00000064", "FFFFFFFF")]) == ["9401"]
    assert statuses(made, [INIT_PURCHASE.replace("00000064", "00000063")]) == ["9000"]


def test_a_load_beyond_the_maximum_is_refused_at_the_first_step() -> None:
    made = worked_card("3des", ep=purse(99_000), ed=purse(0))
    assert ask(made, INIT_LOAD)[-4:] == "9000", "99,000 + 1000 is the maximum"
    made = worked_card("3des", ep=purse(99_001))
    assert ask(made, INIT_LOAD) == "6985"


@pytest.mark.parametrize("overdraft", ["000000", "FFFFFF"])
def test_an_overdraft_limit_that_the_balance_cannot_bear_is_refused(overdraft: str) -> None:
    """Of 100 fen in the purse 200 were lent, so 100 are spent: a limit of 0 lacks 100."""
    made = card(
        *keys("3F01" * 8, 0x00), random=constant("06B825D7"), ed=purse(100, online=0x17, overdraft_fen=200)
    )
    tell(made, "80 50 04 01 07 01 112233445566 13")
    macs = {"000000": ("9401", "7E7DE106"), "FFFFFF": ("6985", "A8BDBC72")}
    sw, mac2 = macs[overdraft]
    assert ask(made, f"80 58 00 00 0E {overdraft} 20170310 110734 {mac2} 04") == sw


@pytest.mark.parametrize("counter", [0xFFFF])
def test_a_counter_at_its_maximum_ends_the_purses_life(counter: int) -> None:
    made = worked_card("3des", ep=purse(1000, online=counter), ed=purse(1000, offline=counter))
    assert statuses(made, [INIT_LOAD, INIT_PURCHASE]) == ["9402", "9000"]
    assert statuses(made, [INIT_PURCHASE.replace("01 02 0B", "01 01 0B")]) == ["9402"]
    assert statuses(made, ["80 50 02 01 0B 01 00000064 112233445566 0F"]) == ["9402"]
    assert statuses(made, ["80 50 03 01 0B 01 00000064 112233445566 0F"]) == ["9402"]
    assert statuses(made, ["80 50 05 01 0B 01 00000064 112233445566 10"]) == ["9000"]


def test_the_last_counter_but_one_still_pays() -> None:
    made = worked_card("3des", ep=purse(1000, offline=0xFFFE))
    tell(made, INIT_PURCHASE, "80 54 01 00 0F 00000007 20240411 212121 B7CC8FA8 08")
    assert ask(made, "80 5A 00 06 02 FFFF 08").endswith("9000")
    assert ask(made, INIT_PURCHASE) == "9402"


def test_ed_and_the_load_of_an_ep_need_the_pin() -> None:
    made = card(*keys(SM_KEY, 0x00), ep=purse(1000), ed=purse(1000), verified=False)
    wanting = [
        "80 5C 00 01 04",
        INIT_LOAD,
        INIT_LOAD.replace("00 02", "00 01"),
        INIT_PURCHASE.replace("01 02 0B", "01 01 0B"),
        "80 50 02 01 0B 01 00000064 112233445566 0F",
        "80 50 05 01 0B 01 00000064 112233445566 10",
        "80 50 04 01 07 01 112233445566 13",
    ]
    assert statuses(made, wanting) == ["6982"] * 7
    assert statuses(made, ["80 5C 00 02 04", INIT_PURCHASE, INIT_CAPP]) == ["9000"] * 3
    tell(made, VERIFY)
    assert statuses(made, wanting) == ["9000"] * 7
    tell(made, SELECT)
    assert ask(made, "80 5C 00 01 04") == "6982", "another selection forgets the PIN"


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


def test_what_is_not_there_is_not_read() -> None:
    made = sm_card()
    assert (
        statuses(
            made, ["00 B0 9E 00 00", "00 B2 01 F4 00", "00 A4 00 00 02 0099", "00 A4 04 00 05 A000000001"]
        )
        == ["6A82"] * 4
    )
    assert statuses(made, ["00 B2 01 C4 17", "00 B2 33 B8 00", "00 B2 03 BC 00"]) == ["6A83"] * 3
    assert statuses(made, ["00 B0 95 1E 01", "00 B0 95 10 0F", "00 B0 95 10 0E"]) == ["6B00", "6C0E", "9000"]
    assert statuses(made, ["00 B2 01 AC 17", "00 B0 98 00 17", "00 D6 98 00 01 00"]) == ["6981"] * 3
    assert (
        statuses(made, ["80 5C 00 03 04", "80 50 06 02 0B" + "00" * 11, "00 A4 02 00 02 3F00"])
        == ["6A86"] * 3
    )
    assert statuses(made, ["80 5C 00 02 05", "80 50 01 02 01 01", "00", "00 A4 04 00 05 00"]) == [
        "6C04", "6700", "6700", "6700",
    ]  # fmt: skip
    assert statuses(made, ["00 99 00 00", "90 5C 00 02 04", "00 5C 00 02 04"]) == ["6D00", "6E00", "6E00"]
    tell(made, SELECT_MF)
    assert statuses(made, ["80 5C 00 02 04", INIT_PURCHASE, "80 5A 00 06 02 0001 08"]) == [
        "6A82",
        "6985",
        "6985",
    ]


def test_records_of_a_mixed_purchase_are_refused_for_their_reasons() -> None:
    for update, sw in (
        ("80 DC 33 B8 06 33 1D 00 AABBCC", "6A83"),  # no such record
        ("80 DC 11 B8 06 12 1D 00 AABBCC", "6A83"),  # another record's id in the content
        ("80 DC 11 B0 06 11 1D 00 AABBCC", "6981"),  # file 0016 has no records
        ("80 DC 11 F0 06 11 1D 00 AABBCC", "6A82"),
        ("80 DC 11 B8 20" + "11 1D 00" + "00" * 29, "6A84"),
        ("80 DC 11 B8 02 11 1D", "6700"),
        ("80 DC 11 B9 06 11 1D 00 AABBCC", "6A86"),
    ):
        made = worked_card("3des", ep=purse(1000))
        tell(made, INIT_CAPP)
        capp_debit = DEBIT.replace("83A77D6E", "65C8A775")
        assert statuses(made, [update, capp_debit]) == [sw, "6901"], "an error voids the transaction"


def test_a_locked_record_is_not_written() -> None:
    made = worked_card("3des", ep=purse(1000))
    tell(made, INIT_CAPP, "80 DC 11 B8 03 11 1D 01", DEBIT.replace("83A77D6E", "65C8A775"))
    tell(made, INIT_CAPP)
    assert ask(made, UPDATE_CAPP) == "9407"


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
    for sw in ("6988", "6988", "9303", "9303"):
        assert statuses(made, [CHALLENGE, wrong])[1] == sw
    assert statuses(made, [CHALLENGE, APP_UNBLOCK])[1] == "9303"
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
