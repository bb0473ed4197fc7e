"""Profiles are read exactly, refused by the name of what is wrong, and the shipped ones fit one another."""

import tomllib
from pathlib import Path

import pytest

from federation.errors import Misconfigured
from hil_rig.virtual.crypto import key_of
from hil_rig.virtual.profile import (
    SHIPPED,
    load_card_profile,
    load_profile,
    load_psam_profile,
    read_profile,
)
from hil_rig.virtual.profile_entries import CardProfile, KeyEntry, PsamProfile, Usage
from tests.virtual.talk import octets

ROOTS = {0x00: "00112233445566778899AABBCCDDEEFF", 0x04: "FFEEDDCCBBAA99887766554433221100"}
GROUP = "4355434143554341"
MASTERS = {
    Usage.LOAD: "20", Usage.UNLOAD: "30", Usage.OVERDRAFT: "40", Usage.TAC: "50", Usage.MAINTENANCE: "60",
    Usage.PIN_UNBLOCK: "70", Usage.PIN_RELOAD: "80", Usage.EXTERNAL_AUTH: "90", Usage.INTERNAL_AUTH: "A0",
}  # fmt: skip
MF_MASTER = "B0"
A_KEY = {"usage": "tac", "index": 1, "version": 1, "algorithm": "sm4", "value": "00" * 16}


def master(algorithm: int, byte: str) -> str:
    """Return the public test master of a usage."""
    return byte * 8 + "1122334455667788" if algorithm == 0x00 else "1122334455667788" + byte * 8


def diversified(algorithm: int, value: str, *factors: str) -> bytes:
    key = key_of(algorithm, octets(value))
    for factor in factors:
        key = key.diversified(octets(factor))
    return key.value


@pytest.mark.parametrize("name", ["card-3des", "card-sm4", "card-both"])
def test_the_keys_of_a_shipped_card_follow_from_the_masters(name: str) -> None:
    profile = load_card_profile(name)
    serial, issuer = profile.asn[2:].hex(), profile.issuer.hex()
    assert profile.test_keys
    assert {key.type for key in profile.keys} == {Usage.PURCHASE, *MASTERS}
    for key in profile.keys:
        if key.type == Usage.PURCHASE:
            expected = diversified(key.algorithm, ROOTS[key.algorithm], GROUP, issuer, serial)
        else:
            expected = diversified(key.algorithm, master(key.algorithm, MASTERS[Usage(key.type)]), serial)
        assert key.value == expected, key
    (mf_key,) = profile.mf_keys
    assert mf_key.value == diversified(mf_key.algorithm, master(mf_key.algorithm, MF_MASTER), serial)


def test_the_shipped_psam_holds_campus_keys_and_no_root() -> None:
    profile = load_psam_profile("psam")
    for application in profile.applications:
        for key in application.keys:
            if key.type == Usage.PURCHASE:
                assert key.levels == 1
                expected = diversified(key.algorithm, ROOTS[key.algorithm], GROUP, application.name.hex())
                assert key.value == expected
            assert key.value.hex().upper() not in ROOTS.values()


def test_every_shipped_profile_is_read() -> None:
    names = {path.stem for path in SHIPPED.glob("*.toml")}
    assert {"card-3des", "card-sm4", "card-both", "card-blank", "psam", "psam-blank"} <= names
    for name in names:
        assert load_profile(name).test_keys
    assert isinstance(load_profile(SHIPPED / "psam.toml"), PsamProfile)
    assert load_card_profile("card-blank").blank
    assert load_psam_profile("psam-blank").blank


def test_no_key_and_no_pin_is_in_what_a_profile_prints() -> None:
    profile = load_card_profile("card-3des")
    printed = repr(profile)
    assert repr(profile.pin) not in printed
    assert not any(repr(key.value) in printed or key.value.hex() in printed.lower() for key in profile.keys)


def table(name: str) -> dict[str, object]:
    return tomllib.loads((SHIPPED / f"{name}.toml").read_text())


def test_a_key_may_be_given_by_its_master() -> None:
    plain = table("card-3des")
    plain["key"] = [
        {
            "usage": "purchase", "index": 1, "version": 1, "algorithm": "3des",
            "master": ROOTS[0x00], "factors": [GROUP, "4355434100000001"],
        }
    ]  # fmt: skip
    profile = read_profile(plain, "by master")
    assert isinstance(profile, CardProfile)
    expected = next(key for key in load_card_profile("card-3des").keys if key.type == Usage.PURCHASE)
    assert profile.keys == (KeyEntry(Usage.PURCHASE, 0, 1, 1, 0x00, expected.value),)


def test_flags_and_conditions_are_read() -> None:
    plain = table("card-3des")
    plain["flags"] = {"pin_before_ed": False, "log_seq": "before", "blocked_select_sw": "6283",
                      "proof_mac_for_load": "zero", "algorithm_byte_3des": "01"}  # fmt: skip
    plain["binary_file"] = [{"fid": "0006", "content": "00", "read": "pin", "write": "never"}]
    profile = read_profile(plain, "flags")
    assert isinstance(profile, CardProfile)
    flags = profile.flags
    assert (flags.pin_before_ed, flags.pin_before_ep_load, flags.log_seq_after) == (False, True, False)
    assert (flags.blocked_select_sw, flags.proof_mac_for_load, flags.algorithm_byte_3des) == (
        0x6283,
        False,
        1,
    )
    assert (profile.binary_files[0].read, profile.binary_files[0].write) == (0x01, 0xFF)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"asn": "0000000100000000012"}, "asn must be 10 bytes"),
        ({"asn": "0000000100000000012A"}, "asn must be 20 decimal digits"),
        ({"asn": None}, "asn is missing"),
        ({"aid": "A000"}, "aid must be 5 to 16 bytes"),
        ({"aid": "a00000000386980701"}, "aid must be 5 to 16 bytes in upper-case"),
        ({"pin": "12345678901234"}, "pin must be 2 to 6 bytes"),
        ({"pin_tries": 0}, "pin_tries must be a whole number from 1 to 15"),
        ({"pin_tries": True}, "pin_tries must be a whole number"),
        ({"colour": "red"}, "nobody knows colour"),
        ({"kind": "phone"}, "kind must be one of card, psam"),
        ({"purses": {"ep": {"balance_fen": 5, "balance_max_fen": 4}}}, "balance_fen must be"),
        ({"purses": {"xp": {}}}, "nobody knows xp"),
        ({"flags": {"log_seq": "never"}}, "log_seq must be one of after, before"),
        ({"holder": {"card_type": "01", "name": "很长的名字很长的名字长", "id_number": "", "id_type": "05"}},
         "name must be at most 20 bytes"),
        ({"key": [A_KEY | {"usage": "pin"}]}, "usage must be"),
        ({"key": [A_KEY | {"algorithm": "aes"}]}, "algorithm must be"),
        ({"key": [A_KEY | {"value": "00"}]}, "value must be 16 bytes"),
        ({"key": [{name: A_KEY[name] for name in A_KEY if name != "value"}]}, "value is missing"),
        ({"key": [A_KEY, A_KEY]}, "no two keys"),
        ({"binary_file": [{"fid": "0018", "content": "00"}]}, "fid must be other than"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(change: dict[str, object], told: str) -> None:
    plain = {**table("card-3des"), **change}
    plain = {name: value for name, value in plain.items() if value is not None}
    with pytest.raises(Misconfigured, match=told):
        read_profile(plain, "x.toml")


def test_a_profile_that_is_not_there_or_not_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="shipped ones are card-3des"):
        load_profile("card-4des")
    (tmp_path / "x.toml").write_text("kind = ")
    with pytest.raises(Misconfigured, match="no TOML"):
        load_profile(tmp_path / "x.toml")
    with pytest.raises(Misconfigured, match="this is a PSAM's profile"):
        load_card_profile("psam")
    with pytest.raises(Misconfigured, match="this is a card's profile"):
        load_psam_profile("card-3des")
