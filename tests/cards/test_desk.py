"""The card desk from the command line, with cards that remember: look, pay, load, tear, recover, PIN."""

import tomllib

import pytest

from campus_node.cli.card_desk import reader_named
from campus_node.keys.hierarchy import derive, group_factor
from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm, tac
from campus_node.purse.commands import TransactionType
from federation.errors import Misconfigured
from tests.cards.conftest import PROFILES, Desk

ASN = "00000001000000000456"  # of card-sm4
PURCHASE = ("card", "purchase", "--sam", "soft:psam", "--amount-fen")


def key_of(profile: str, usage: str) -> bytes:
    """Return the first key of a usage in a shipped profile."""
    content = tomllib.loads((PROFILES / f"{profile}.toml").read_text(encoding="utf-8"))
    return next(bytes.fromhex(key["value"]) for key in content["key"] if key["usage"] == usage)


def test_a_card_tells_whose_it_is_and_what_it_holds(desk: Desk) -> None:
    told = desk.campus("card", "info", "--reader", desk.card(), "--json").json
    assert (told["asn"], told["issuer"]) == (ASN, "4355434100000001")
    assert told["holder"] == "张三"
    assert told["expires"] == "2036-12-31"
    assert told["ep_balance_fen"] == 0
    assert told["ed_balance_fen"] is None, "the deposit tells nobody without the PIN"
    assert "wants the PIN" in desk.campus("card", "info", "--reader", desk.card()).out


def test_a_purchase_prints_what_scripts_need_and_its_tac_is_the_cards(desk: Desk) -> None:
    desk.load(5000)
    at = "2026-09-01T12:30:05+08:00"
    said = desk.campus(*PURCHASE, 1250, "--reader", desk.card(), "--purse", "ep", "--at", at, "--json")
    assert said.code == 0
    told = said.json
    made = tac(
        Algorithm.SM4,
        key_of("card-sm4", "tac"),
        mac.purchase_tac(
            1250,
            TransactionType.EP_PURCHASE,
            bytes.fromhex("112233445566"),
            told["terminal_seq"],
            bytes.fromhex("20260901123005"),
        ),
    )
    assert {name: told[name] for name in told if name in EXPECTED_NAMES} == {
        "asn": ASN,
        "purse": "ep",
        "amount_fen": 1250,
        "balance_fen": 3750,
        "offline_seq": 0,
        "terminal_id": "112233445566",
        "terminal_seq": 1,
        "tac": made.hex().upper(),
        "state": "done",
    }
    balance = desk.campus("card", "balance", "--reader", desk.card(), "--json").json
    assert balance["balance_fen"] == 3750


EXPECTED_NAMES = {
    "asn",
    "purse",
    "amount_fen",
    "balance_fen",
    "offline_seq",
    "terminal_id",
    "terminal_seq",
    "tac",
    "state",
}


@pytest.mark.parametrize(
    ("at", "logged"),
    [
        ("2026-09-01T12:30:05", "2026-09-01T12:30:05"),
        ("2026-09-01T12:30:05+08:00", "2026-09-01T12:30:05"),
        ("2026-09-01T16:30:05Z", "2026-09-02T00:30:05"),
    ],
)
def test_the_cards_log_shows_the_terminals_clock(desk: Desk, at: str, logged: str) -> None:
    desk.load(100)
    assert desk.campus(*PURCHASE, 1, "--reader", desk.card(), "--at", at).code == 0
    newest, before = desk.campus("card", "log", "--reader", desk.card(), "--json").json["records"]
    assert (newest["type"], newest["amount_fen"], newest["made_at"]) == ("06", 1, logged)
    assert (before["type"], before["amount_fen"]) == ("02", 100)


def test_the_psam_in_this_process_counts_on_so_that_no_number_is_used_twice(desk: Desk) -> None:
    desk.load(100)
    numbers = [
        desk.campus(*PURCHASE, 1, "--reader", desk.card(), "--json").json["terminal_seq"] for _ in range(3)
    ]
    assert numbers == [1, 2, 3]


def test_a_purchase_that_was_charged_and_torn_is_grey_then_done_and_charged_once(desk: Desk) -> None:
    desk.load(1000)
    torn = desk.card(more=",tear-after=3")  # SELECT, INIT, DEBIT: charged, and nobody hears it
    grey = desk.campus(*PURCHASE, 400, "--reader", torn, "--wait-s", 0, "--json")
    assert (grey.code, grey.json["state"], grey.json["balance_fen"]) == (1, "grey", None)
    assert "present the same card" in grey.err

    again = desk.campus(*PURCHASE, 400, "--reader", desk.card())
    assert again.code == 1
    assert "campus card recover" in again.err

    recovered = desk.campus("card", "recover", "--reader", desk.card(), "--sam", "soft:psam", "--json")
    assert recovered.code == 0
    (one,) = recovered.json["recovered"]
    assert (one["state"], one["balance_fen"]) == ("done", 600)
    assert desk.campus("card", "balance", "--reader", desk.card(), "--json").json["balance_fen"] == 600
    assert desk.campus("card", "recover", "--reader", desk.card(), "--json").json["recovered"] == []


def test_a_purchase_that_was_torn_before_it_was_charged_is_void_after_recovery(desk: Desk) -> None:
    desk.load(1000)
    torn = desk.card(more=",tear-before=3")
    assert desk.campus(*PURCHASE, 400, "--reader", torn, "--wait-s", 0, "--json").json["state"] == "grey"
    recovered = desk.campus("card", "recover", "--reader", desk.card(), "--sam", "soft:psam", "--json")
    assert recovered.code == 0, "nothing is grey any more"
    assert [each["state"] for each in recovered.json["recovered"]] == ["void"]
    assert desk.campus("card", "balance", "--reader", desk.card(), "--json").json["balance_fen"] == 1000


@pytest.mark.parametrize(("tear", "state", "code"), [("after", "done", 0), ("before", "void", 1)])
def test_a_card_that_comes_back_at_once_is_settled_by_the_same_command(
    desk: Desk, tear: str, state: str, code: int
) -> None:
    desk.load(1000)
    said = desk.campus(*PURCHASE, 400, "--reader", desk.card(more=f",tear-{tear}=3,comes-back"), "--json")
    assert (said.json["state"], said.code) == (state, code)


def test_another_card_does_not_settle_a_grey_purchase(desk: Desk) -> None:
    desk.load(1000)
    assert desk.campus(*PURCHASE, 1, "--reader", desk.card(more=",tear-after=3"), "--wait-s", 0).code == 1
    other = desk.campus("card", "recover", "--reader", desk.card("card-3des"), "--json")
    assert other.json["recovered"] == []
    assert desk.campus("card", "recover", "--reader", desk.card(), "--json").json["grey"] == 0


@pytest.mark.parametrize(("tear", "state", "balance_fen"), [("after", "done", 700), ("before", "void", 0)])
def test_a_torn_load_is_decided_by_the_card_and_its_issuer(
    desk: Desk, tear: str, state: str, balance_fen: int
) -> None:
    torn = desk.card(more=f",tear-{tear}=4")  # SELECT, VERIFY, INIT, CREDIT
    said = desk.campus("card", "load", "--reader", torn, "--amount-fen", 700, "--wait-s", 0, "--json")
    assert (said.code, said.json["state"]) == (1, "grey")
    recovered = desk.campus("card", "recover", "--reader", desk.card(), "--json")
    assert [each["state"] for each in recovered.json["recovered"]] == [state]
    balance = desk.campus("card", "balance", "--reader", desk.card(), "--json").json
    assert balance["balance_fen"] == balance_fen


def test_the_deposit_is_loaded_spent_and_unloaded_with_the_pin(desk: Desk) -> None:
    reader = ("--reader", desk.card())
    assert desk.campus("card", "load", *reader, "--amount-fen", 900, "--purse", "ed").code == 0
    spent = desk.campus(*PURCHASE, 200, *reader, "--purse", "ed", "--json").json
    assert (spent["purse"], spent["balance_fen"]) == ("ed", 700)
    unloaded = desk.campus("card", "unload", *reader, "--amount-fen", 300, "--json").json
    assert (unloaded["state"], unloaded["balance_fen"], unloaded["tac"]) == ("done", 400, None)
    assert len(unloaded["proof"]) == 8
    assert desk.campus("card", "balance", *reader, "--purse", "ed", "--json").json["balance_fen"] == 400


def test_a_purchase_above_the_balance_is_refused_and_nothing_is_left_open(desk: Desk) -> None:
    desk.load(100)
    said = desk.campus(*PURCHASE, 101, "--reader", desk.card(), "--json")
    assert said.code == 1
    assert said.json["error"]["name"] == "PurseTooSmall"
    assert desk.campus("card", "recover", "--reader", desk.card(), "--json").json["recovered"] == []


def test_a_wrong_pin_costs_a_try_and_is_shown_to_nobody(desk: Desk) -> None:
    reader = ("--reader", desk.card())
    wrong = desk.pin_file("987654")
    for left in (2, 1, 0):
        said = desk.campus("card", "pin", "verify", *reader, "--pin-file", wrong)
        assert said.code == 1
        assert f"tries left: {left}" in said.err
        assert "987654" not in said.err
    assert "blocked" in desk.campus("card", "pin", "verify", *reader).err

    new, next_one = desk.pin_file("271828"), desk.pin_file("31415926")
    assert desk.campus("card", "pin", "unblock", *reader, "--new-pin-file", new).code == 0
    assert (
        desk.campus("card", "pin", "change", *reader, "--pin-file", new, "--new-pin-file", next_one).code == 0
    )
    assert desk.campus("card", "pin", "verify", *reader, "--pin-file", next_one).code == 0
    assert desk.campus("card", "pin", "reload", *reader, "--new-pin-file", new).code == 0
    assert desk.campus("card", "pin", "verify", *reader, "--pin-file", new).code == 0


@pytest.mark.parametrize("profile", ["card-3des", "card-sm4", "card-both"])
def test_every_shipped_card_is_loaded_and_spent(desk: Desk, profile: str) -> None:
    desk.load(500, profile)
    assert desk.campus(*PURCHASE, 500, "--reader", desk.card(profile), "--json").json["balance_fen"] == 0


def test_a_card_of_another_maker_is_driven_by_its_profile(desk: Desk) -> None:
    text = (PROFILES / "card-3des.toml").read_text(encoding="utf-8")
    text = text.replace('aid = "A00000000386980701"', 'aid = "D15600000543415253"')
    text = text.replace("index = 1\n", "index = 7\n").replace("pin_before_ep_load = true", "")
    foreign = desk.directory / "foreign.toml"
    foreign.write_text(text, encoding="utf-8")
    reader = f"soft:{foreign},state={desk.directory / 'foreign'}"
    assert desk.campus("card", "load", "--reader", reader, "--amount-fen", 300).code == 0
    paid = desk.campus(*PURCHASE, 100, "--reader", reader, "--profile", foreign, "--json")
    assert (paid.code, paid.json["balance_fen"], paid.json["checked"]) == (0, 200, True), paid.err
    wrong = desk.campus(*PURCHASE, 100, "--reader", reader, "--profile", "card-3des", "--json")
    assert (wrong.code, wrong.json["error"]["name"]) == (1, "NotFoundInCard"), "it has another application"


@pytest.mark.parametrize("order", ["card_first", "bank_first"])
def test_a_psam_with_a_group_level_key_gets_the_issuers_factor_too(desk: Desk, order: str) -> None:
    desk.load(300, "card-3des")
    root = bytes.fromhex("00112233445566778899AABBCCDDEEFF")  # of the shipped profiles
    group_key = derive(Algorithm.TDES, root, group_factor(bytes.fromhex("43554341")))
    profile = desk.directory / "group.toml"
    profile.write_text(f'''
kind = "psam"
test_keys = true
atr = "3B6900000073C84013009000"
serial = "00000000000000000009"
version = "05"
type = "01"
fci = "0000"
terminal_id = "998877665544"
factor_order = "{order}"
[[application]]
name = "4355434100000001"
[[application.key]]
usage = "purchase"
version = 1
algorithm = "3des"
levels = 2
value = "{group_key.hex().upper()}"
[[key]]
usage = "maintenance"
index = 1
version = 1
algorithm = "3des"
value = "E0E0E0E0E0E0E0E01122334455667788"
''', encoding="utf-8")  # fmt: skip
    paid = desk.campus(
        "card", "purchase", "--reader", desk.card("card-3des"), "--sam", f"soft:{profile}",
        "--amount-fen", 100, "--json",
    )  # fmt: skip
    assert (paid.code, paid.json["checked"], paid.json["terminal_id"]) == (0, True, "998877665544"), paid.err


def test_a_psam_tells_its_numbers_and_whom_it_admits(desk: Desk) -> None:
    told = desk.campus("psam", "info", "--sam", "soft:psam", "--issuer", "4355434100000002", "--json").json
    assert told["terminal_id"] == "112233445566"
    assert told["admitted"] is True
    stranger = desk.campus("psam", "info", "--sam", "soft:psam", "--issuer", "4355434100000009", "--json")
    assert (stranger.code, stranger.json["admitted"]) == (1, False)


def test_the_outcome_is_told_in_chinese(desk: Desk) -> None:
    desk.load(500)
    said = desk.campus(
        *PURCHASE, 5, "--reader", desk.card(more=",tear-after=3"), "--wait-s", 0, "--lang", "zh"
    )
    assert "状态未知: 请放上同一张卡。" in said.err
    assert "灰记录: 钱包消费, 0.05 元。" in said.out
    assert "failed" not in said.out
    refused = desk.campus("card", "pin", "verify", "--reader", desk.card(), "--pin-file",
                          desk.pin_file("9999"), "--lang", "zh")  # fmt: skip
    assert "错误: 验证 PIN: 验证失败, 剩余次数: 2 (63C2)" in refused.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("card info", "--reader is missing: campus card readers"),
        ("card info --reader soft:", "write soft:PROFILE"),
        ("card info --reader soft:card-sm4,colour=red", "write soft:PROFILE"),
        ("card info --reader soft:card-sm4 --trace-full", "--trace-full goes with --trace FILE"),
        ("card purchase --reader soft:card-sm4 --sam soft:psam", "--amount-fen is missing"),
        (
            "card purchase --reader soft:card-sm4 --sam soft:psam --amount-fen 0",
            "--amount-fen must be a whole",
        ),
        ("card purchase --reader soft:card-sm4 --sam soft:psam --amount-fen 1 --purse e", "write ep or ed"),
        ("card purchase --reader soft:card-sm4 --sam soft:psam --amount-fen 1 --at noon", "--at noon is no"),
        ("card purchase --reader soft:card-sm4 --amount-fen 1", "name the PSAM"),
        ("card load --reader soft:card-sm4 --amount-fen 1 --terminal-id 12", "is no terminal's number"),
        ("card load --reader soft:card-blank --amount-fen 1", "this needs the issuer"),
        ("card personalise --reader soft:card-blank --profile card-sm4", "--key-store is missing"),
        ("card replay nothing", "give --reader or --sam"),
        ("psam info", "name the PSAM"),
        ("psam info --sam soft:psam --issuer 12", "is no issuer"),
    ],
)
def test_wrong_usage_is_told_with_what_to_write_instead(desk: Desk, line: str, told: str) -> None:
    if line == "card replay nothing":
        trace = desk.directory / "nothing"
        trace.write_text("# campuscard APDU trace 1\n")
        line = f"card replay {trace}"
    said = desk.campus(*line.split())
    assert said.code == 2, said.err
    assert told in said.err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("card info --reader soft:card-xyz", "card-sm4"),
        ("card info --reader soft:card-blank", "the card has no application A00000000386980701"),
        ("card info --reader soft:psam", "PSAM"),
        ("psam info --sam soft:card-sm4", "card"),
        ("card purchase --reader soft:card-sm4 --sam soft:card-sm4 --amount-fen 1", "card"),
        ("card balance --reader soft:card-sm4 --purse ed --pin-file letters", "4, 6, 8, 10 or 12 digits"),
        ("card load --reader soft:card-sm4 --amount-fen 60000", "at most"),
        ("card load --reader soft:card-sm4 --amount-fen 1 --key-store nowhere --passphrase-file letters",
         "no key store in nowhere"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_says_why(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, line: str, told: str
) -> None:
    monkeypatch.chdir(desk.directory)
    (desk.directory / "letters").write_text("abcd\n")
    said = desk.campus(*line.split())
    assert said.code == 1, said.err
    assert told in said.err
    assert "abcd" not in said.err


def test_a_pin_in_the_profile_is_taken_where_no_file_has_one(desk: Desk) -> None:
    profile = desk.directory / "no-pin.toml"
    text = (PROFILES / "card-sm4.toml").read_text(encoding="utf-8")
    profile.write_text(text.replace('pin = "123456"', 'pin = "0000"'), encoding="utf-8")
    wrong = desk.campus(
        "card", "balance", "--reader", desk.card(), "--purse", "ed", "--profile", profile, "--json"
    )
    assert wrong.json["error"]["name"] == "PinWrong"


def test_the_beginning_of_a_readers_name_is_enough_where_no_other_begins_so() -> None:
    connected = ["ACS ACR122U 00 00", "Virtual PCD 00 00", "Virtual PCD 00 01", "Virtual PCD"]
    assert reader_named("ACS", connected) == "ACS ACR122U 00 00"
    assert reader_named("Virtual PCD", connected) == "Virtual PCD", "a whole name goes first"
    assert reader_named("Virtual PCD 00 01", connected) == "Virtual PCD 00 01"
    for wrong in ("Virtual", "Omnikey"):
        with pytest.raises(Misconfigured, match="Connected are"):
            reader_named(wrong, connected)
