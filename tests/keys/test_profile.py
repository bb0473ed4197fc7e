"""Profiles are read to the letter, and test keys stay in tests."""

import tomllib
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import Usage, card_factor, derive
from campus_node.purse.algorithm import Algorithm
from campus_node.purse.profile import (
    CardProfile,
    PsamProfile,
    read_card_profile,
    read_profile,
    read_psam_profile,
)
from federation.errors import Misconfigured
from hil_rig.virtual.profile import load_card_profile
from tests.tidy.source_files import ROOT

SHIPPED = sorted((ROOT / "hil_rig" / "profiles").glob("*.toml"))
CARD = (ROOT / "hil_rig" / "profiles" / "card-both.toml").read_text(encoding="utf-8")
PSAM = (ROOT / "hil_rig" / "profiles" / "psam.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_profiles_are_read_in_tests_and_refused_elsewhere(path: Path) -> None:
    assert read_profile(path, allow_test_keys=True).test_keys
    with pytest.raises(Misconfigured, match="public test keys"):
        read_profile(path)


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.stem.startswith("card")], ids=lambda p: p.stem
)
def test_both_readers_of_a_profile_see_the_same_card(path: Path) -> None:
    ours, rigs = read_card_profile(path, allow_test_keys=True), load_card_profile(path.stem)
    assert (ours.blank, ours.atr, ours.aid, ours.asn, ours.pin) == (
        rigs.blank,
        rigs.atr,
        rigs.aid,
        rigs.asn,
        rigs.pin,
    )
    assert [(key.index, key.version, key.algorithm, key.value) for key in ours.keys] == [
        (key.index, key.version, key.algorithm, key.value) for key in rigs.keys
    ]
    if ours.public is not None and ours.holder is not None:
        assert ours.public.encode() == rigs.public_file
        assert ours.holder.encode() == rigs.holder_file


def test_a_psam_profile_is_read() -> None:
    path = ROOT / "hil_rig" / "profiles" / "psam.toml"
    profile = read_psam_profile(path, allow_test_keys=True)
    told = tomllib.loads(PSAM)
    assert profile.terminal_id.hex() == told["terminal_id"]
    assert [each.issuer.hex() for each in profile.applications] == [
        each["name"] for each in told["application"]
    ]
    assert isinstance(profile, PsamProfile)
    with pytest.raises(Misconfigured, match="of a PSAM, not of a card"):
        read_card_profile(path, allow_test_keys=True)
    with pytest.raises(Misconfigured, match="of a card, not of a PSAM"):
        read_psam_profile(path.with_name("card-3des.toml"), allow_test_keys=True)


def test_a_master_is_diversified_down_to_the_card(tmp_path: Path) -> None:
    master, factor = "00112233445566778899AABBCCDDEEFF", "4355434143554341"
    value = tomllib.loads(CARD)["key"][0]["value"]
    text = CARD.replace(
        f'value = "{value}"', f'master = "{master}"\nfactors = ["{factor}", "4355434100000001"]', 1
    )
    path = tmp_path / "master.toml"
    path.write_text(text, encoding="utf-8")
    key = read_card_profile(path, allow_test_keys=True).key(Usage.PURCHASE)
    asn = bytes.fromhex("00000001000000000789")
    steps = (bytes.fromhex(factor), bytes.fromhex("4355434100000001"), card_factor(asn))
    assert key.value == derive(Algorithm.TDES, bytes.fromhex(master), *steps) == bytes.fromhex(value)


@pytest.mark.parametrize(
    ("was", "becomes", "why"),
    [
        ('kind = "card"', 'kind = "ticket"', "kind"),
        ('asn = "00000001000000000789"', 'asn = "0000000100000000078"', "asn"),
        ('asn = "00000001000000000789"', "asn = 789", "asn"),
        ('aid = "A00000000386980701"', 'aid = "a00000000386980701"', "aid"),
        ('aid = "A00000000386980701"', 'aid = "A0000000"', "aid"),
        ("pin_tries = 3", "pin_tries = 0", "pin_tries"),
        ("pin_tries = 3", "pin_tries = true", "pin_tries"),
        ("pin_tries = 3", "pin_trys = 3", "unknown: pin_trys"),
        ('starts = "20260101"', 'starts = "2026-1-1"', "starts"),
        ('algorithm = "sm4"', 'algorithm = "aes"', "algorithm"),
        ('usage = "tac"', 'usage = "gold"', "usage"),
        ("version = 2", "version = 256", "version"),
        ("sfi = 23", "sfi = 31", "sfi"),
        ('write = "maintenance"', 'write = "always"', "write"),
        ("staff = false", 'staff = "no"', "staff"),
        ("[holder]", "[keeper]", "holder"),
        ('id_number = "S00000789"', 'id_number = "S0000078901234567"', "holder"),
        ("balance_max_fen = 100000\n", "", "balance_max_fen"),
        ('kind = "card"', 'kind = "card', "no TOML"),
    ],
)
def test_a_mistake_is_named(was: str, becomes: str, why: str, tmp_path: Path) -> None:
    assert was in CARD
    path = tmp_path / "wrong.toml"
    path.write_text(CARD.replace(was, becomes, 1), encoding="utf-8")
    with pytest.raises(Misconfigured, match=why):
        read_profile(path, allow_test_keys=True)


def test_flags_become_the_options_of_the_card(tmp_path: Path) -> None:
    path = tmp_path / "flags.toml"
    flags = '[flags]\npin_before_ed = false\nlog_seq = "before"\nalgorithm_byte_3des = "01"\n'
    path.write_text(CARD + flags, encoding="utf-8")
    assert read_card_profile(path, allow_test_keys=True).options == 0x02 | 0x04 | 0x20
    path.write_text(CARD, encoding="utf-8")
    assert read_card_profile(path, allow_test_keys=True).options == 0x03
    path.write_text(CARD + flags.replace('"before"', '"never"'), encoding="utf-8")
    with pytest.raises(Misconfigured, match="log_seq"):
        read_card_profile(path, allow_test_keys=True)


def test_neither_pin_nor_key_is_shown_by_a_profile() -> None:
    profile = read_card_profile(ROOT / "hil_rig" / "profiles" / "card-both.toml", allow_test_keys=True)
    shown = repr(profile)
    assert isinstance(profile, CardProfile)
    assert "pin=" not in shown
    for key in profile.keys:
        assert key.value is not None
        assert repr(key.value) not in shown


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be read"):
        read_profile(tmp_path / "none.toml")
