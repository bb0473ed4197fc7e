"""Blank cards and PSAMs are made ours from the command line, and pay with each other at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.cli.key_options import BOOK_FILE
from campus_node.keys.rotation import KeyMinimum, RotationBook
from campus_node.purse.algorithm import Algorithm
from tests.campus.conftest import Said
from tests.cards.conftest import Desk


class Maker:
    """Makes blank cards and PSAMs with one key store."""

    def __init__(self, desk: Desk, key_store: Path, profile_to_make: Callable[[str], Path]) -> None:
        self._desk = desk
        self.store = ("--key-store", key_store, "--passphrase-file", desk.directory / "passphrase")
        self.profile = profile_to_make
        self.card = f"soft:card-blank,state={desk.directory / 'card'}"
        self.psam = f"soft:psam-blank,state={desk.directory / 'psam'}"

    def make_card(self, profile: str, more: str = "") -> Said:
        return self._desk.campus(
            "card", "personalise", "--reader", self.card + more, *self.store,
            "--profile", self.profile(profile), "--json", "--wait-s", 0,
        )  # fmt: skip

    def make_psam(self, more: str = "") -> Said:
        return self._desk.campus(
            "psam", "personalise", "--reader", self.psam + more, *self.store,
            "--profile", self.profile("psam"), "--json", "--wait-s", 0,
        )  # fmt: skip


@pytest.fixture
def maker(desk: Desk, key_store: Path, profile_to_make: Callable[[str], Path]) -> Maker:
    return Maker(desk, key_store, profile_to_make)


@pytest.mark.parametrize("profile", ["card-3des", "card-sm4"])
def test_a_blank_card_is_made_loaded_and_pays_at_a_blank_psam_that_was_made(
    desk: Desk, maker: Maker, profile: str
) -> None:
    card, psam = maker.make_card(profile), maker.make_psam()
    assert (card.code, card.json["outcome"]) == (0, "made"), card.err
    assert (psam.code, psam.json["outcome"]) == (0, "made"), psam.err
    assert {len(key["kcv"]) for key in card.json["keys"]} == {6}

    described = ("--reader", maker.card, "--profile", maker.profile(profile))
    loaded = desk.campus("card", "load", *described, *maker.store, "--amount-fen", 800, "--json")
    assert (loaded.code, loaded.json["balance_fen"], loaded.json["checked"]) == (0, 800, True), loaded.err
    paid = desk.campus("card", "purchase", *described, "--sam", maker.psam, "--amount-fen", 300, "--json")
    assert (paid.json["state"], paid.json["balance_fen"], paid.json["checked"]) == ("done", 500, True)

    assert maker.make_card(profile).json["outcome"] == "was_complete"
    assert desk.campus("card", "balance", *described, "--json").json["balance_fen"] == 500


def test_a_card_that_is_torn_while_it_is_made_is_finished_by_the_same_command(maker: Maker) -> None:
    torn = 0
    for commands in (3, 20, 40):
        said = maker.make_card("card-sm4", f",tear-after={commands}")
        torn += said.code
        assert said.json["error"]["family"] == "Unavailable"
    assert torn == 3
    assert maker.make_card("card-sm4").json["outcome"] == "made"


def test_a_card_below_its_issuers_minimum_is_loaded_no_more(
    desk: Desk, maker: Maker, key_store: Path
) -> None:
    assert maker.make_card("card-3des").code == 0
    described = ("--reader", maker.card, "--profile", maker.profile("card-3des"))
    load = ("card", "load", *described, *maker.store, "--amount-fen", 100, "--json")
    assert desk.campus(*load).code == 0
    book = RotationBook(key_store / BOOK_FILE)
    every = bytes.fromhex("0000" + "00" * 8), bytes.fromhex("0000" + "99" * 8)
    book.set_minimum(KeyMinimum(*every, 2, Algorithm.SM4))
    book.close()
    refused = desk.campus(*load)
    assert (refused.code, refused.json["error"]["name"]) == (1, "KeyTooOld")
    assert desk.campus("card", "balance", *described, "--json").json["balance_fen"] == 100


def test_a_card_made_with_the_stores_keys_does_not_answer_to_the_test_keys(desk: Desk, maker: Maker) -> None:
    assert maker.make_card("card-sm4").code == 0
    said = desk.campus(
        "card", "load", "--reader", maker.card, "--profile", "card-sm4", "--amount-fen", 1, "--json"
    )
    assert said.code == 1
    assert said.json["error"]["family"] == "Tampered", "MAC1 does not follow from the test profile's key"


def test_public_test_keys_are_not_taken_for_a_real_reader(desk: Desk, maker: Maker) -> None:
    said = desk.campus(
        "card", "personalise", "--reader", "Some Reader 00 00", *maker.store, "--profile", "card-sm4"
    )
    assert said.code == 1
    assert "public test keys" in said.err


def test_a_wrong_passphrase_opens_nothing(desk: Desk, maker: Maker) -> None:
    wrong = desk.directory / "wrong"
    wrong.write_text("battery horse correct\n")
    said = desk.campus(
        "card", "personalise", "--reader", maker.card, *maker.store[:2], "--passphrase-file", wrong,
        "--profile", maker.profile("card-sm4"), "--json",
    )  # fmt: skip
    assert said.json["error"]["name"] == "WrongPassphrase"
    assert "battery" not in said.err
