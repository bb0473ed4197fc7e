"""What the card refuses of money and files, and with which status word."""

import pytest

from tests.virtual.talk import (
    CARD_KEY_3DES,
    CHALLENGE,
    SELECT,
    SELECT_MF,
    VERIFY,
    ask,
    card,
    constant,
    keys,
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


def test_what_is_not_there_is_not_read() -> None:
    made = worked_card("3des", ep=purse(1000), ed=purse(1000))
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
