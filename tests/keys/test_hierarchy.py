"""The hierarchy of keys against its worked example, tests/vectors/keys.toml."""

import tomllib
from typing import Any

import pytest

from campus_node.keys.hierarchy import (
    KeyName,
    Level,
    Usage,
    algorithm_named,
    campus_factor,
    card_factor,
    derive,
    group_factor,
    group_of,
    parse_key_name,
)
from campus_node.purse import algorithm as cipher
from campus_node.purse import mac
from campus_node.purse.algorithm import Algorithm
from federation.errors import Misconfigured
from tests.tidy.source_files import ROOT

VECTORS: dict[str, Any] = tomllib.loads((ROOT / "tests/vectors/keys.toml").read_text())  # whatever TOML holds
HIERARCHY, TRANSACTION = VECTORS["hierarchy"], VECTORS["transaction"]
WORDS = ("3des", "sm4")


def told(table: dict[str, Any], name: str) -> bytes:
    return bytes.fromhex(table[name])


def of(word: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    return next(row for row in rows if row["algorithm"] == word)


@pytest.mark.parametrize("word", WORDS)
def test_every_intermediate_key_of_the_worked_example(word: str) -> None:
    algorithm, row = algorithm_named(word), of(word, HIERARCHY["purchase"])
    issuer, asn = told(HIERARCHY, "issuer"), told(HIERARCHY, "asn")
    factors = {
        "group": group_factor(group_of(issuer)),
        "campus": campus_factor(issuer),
        "card": card_factor(asn),
    }
    assert factors["group"] == told(HIERARCHY, "group_factor")
    assert factors["card"] == told(HIERARCHY, "card_factor")
    key = told(row, "root")
    for level, factor in factors.items():
        key = derive(algorithm, key, factor)
        assert key == told(row, level), level
        assert cipher.check_value(algorithm, key) == told(row, f"{level}_check_value"), level
    assert derive(algorithm, told(row, "root"), *factors.values()) == key


@pytest.mark.parametrize("word", WORDS)
def test_every_mac_of_the_worked_transaction(word: str) -> None:
    algorithm, row, given = algorithm_named(word), of(word, TRANSACTION["result"]), TRANSACTION
    region = derive(algorithm, told(given, "root"), told(given, "region_factor"))
    card = derive(algorithm, region, told(given, "card_factor"))
    assert (region, card) == (told(row, "region"), told(row, "card"))
    terminal, made_at, card_random = (told(given, n) for n in ("terminal_id", "made_at", "card_random"))
    seed = mac.purchase_seed(card_random, given["offline_seq"], given["terminal_seq"])
    paying = cipher.session_key(algorithm, card, seed)
    assert paying == told(row, "purchase_session_key")
    fen = given["purchase_fen"]
    messages = {
        "purchase_mac1": mac.purchase_mac1(fen, 6, terminal, made_at),
        "purchase_mac2": mac.purchase_mac2(fen),
        "capp_mac1": mac.purchase_mac1(fen, 9, terminal, made_at),
    }
    for name, message in messages.items():
        assert cipher.session_mac(algorithm, paying, message) == told(row, name), name
    tac = mac.purchase_tac(fen, 6, terminal, given["terminal_seq"], made_at)
    assert cipher.tac(algorithm, card, tac) == told(row, "purchase_tac")
    loading = cipher.session_key(algorithm, card, mac.online_seed(card_random, given["online_seq"]))
    assert loading == told(row, "load_session_key")
    fen, before_fen = given["load_fen"], given["balance_fen"]
    messages = {
        "load_mac1": mac.load_mac1(before_fen, fen, 2, terminal),
        "load_mac2": mac.load_mac2(fen, 2, terminal, made_at),
    }
    for name, message in messages.items():
        assert cipher.session_mac(algorithm, loading, message) == told(row, name), name
    tac = mac.load_tac(before_fen + fen, given["online_seq"], fen, 2, terminal, made_at)
    assert cipher.tac(algorithm, card, tac) == told(row, "load_tac")


def test_a_keys_name_is_read_as_it_is_written() -> None:
    issuer = told(HIERARCHY, "issuer")
    names = [
        KeyName(Usage.PURCHASE, 1, Algorithm.TDES, Level.ROOT, b""),
        KeyName(Usage.PURCHASE, 1, Algorithm.SM4, Level.GROUP, group_of(issuer)),
        KeyName(Usage.PIN_UNBLOCK, 254, Algorithm.SM4, Level.CAMPUS, issuer),
    ]
    assert str(names[2]) == "campus/4355434100000001/pin_unblock/254/sm4"
    for name in names:
        assert parse_key_name(str(name)) == name


@pytest.mark.parametrize(
    "text",
    [
        "",
        "campus/4355434100000001/load/1",
        "campus/43554341/load/1/sm4",
        "campus/4355434100000001/load/255/sm4",
        "campus/4355434100000001/gold/1/sm4",
        "campus/4355434100000001/load/1/aes",
        "card/4355434100000001/load/1/sm4",
        "campus/4355434100000001/load/1/sm4\n",
    ],
)
def test_what_names_no_key_is_refused(text: str) -> None:
    with pytest.raises(Misconfigured):
        parse_key_name(text)


@pytest.mark.parametrize(
    ("make", "wrong"), [(group_factor, b"123"), (campus_factor, b"1234567"), (card_factor, b"8 bytes.")]
)
def test_a_factor_of_the_wrong_length_is_refused(make: Any, wrong: bytes) -> None:  # one of three functions
    with pytest.raises(ValueError, match="must be"):
        make(wrong)
