"""The key store in a file: what opens it, what does not, and what it says then."""

import os
import stat
from pathlib import Path

import pytest

from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.sealed_file import KEYS_FILE, MARK_FILE, SealedFile
from campus_node.keys.store import (
    KeyForbidden,
    KeyUnknown,
    StoreDamaged,
    StoreRolledBack,
    WrongPassphrase,
)
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from federation.errors import Misconfigured, NotFound, Refused, Tampered
from tests.keys.conftest import ISSUER, PASSPHRASE, QUICK

LOAD = campus_key(Usage.LOAD, 1, Algorithm.SM4, ISSUER)
TAC = campus_key(Usage.TAC, 1, Algorithm.TDES, ISSUER)


def test_what_was_put_in_is_there_when_it_is_opened_again(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    drawn = sealed.draw(LOAD, clock)
    given = sealed.put(TAC, os.urandom(16), clock)
    again = SealedFile.open(tmp_path / "keys", PASSPHRASE)
    assert list(again.entries()) == [drawn, given]
    assert (again.issuer, again.identity) == (ISSUER, sealed.identity)
    assert again.generation == 3


def test_the_files_are_for_their_owner_alone(sealed: SealedFile, tmp_path: Path) -> None:
    for name in (KEYS_FILE, MARK_FILE):
        assert stat.S_IMODE((tmp_path / "keys" / name).stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    (tmp_path / "keys" / KEYS_FILE).chmod(0o640)
    with pytest.raises(Misconfigured, match="chmod 600"):
        SealedFile.open(tmp_path / "keys", PASSPHRASE)


def test_a_wrong_passphrase_is_told_from_a_damaged_file(sealed: SealedFile, tmp_path: Path) -> None:
    with pytest.raises(WrongPassphrase, match="not the passphrase") as refusal:
        SealedFile.open(tmp_path / "keys", PASSPHRASE + "?")
    assert isinstance(refusal.value, Refused)
    assert issubclass(StoreDamaged, Tampered)


def test_a_flipped_bit_anywhere_is_noticed(sealed: SealedFile, clock: VirtualClock, tmp_path: Path) -> None:
    sealed.draw(LOAD, clock)
    path = tmp_path / "keys" / KEYS_FILE
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StoreDamaged):
            SealedFile.open(tmp_path / "keys", PASSPHRASE)


def test_a_file_cut_at_any_byte_is_noticed(sealed: SealedFile, clock: VirtualClock, tmp_path: Path) -> None:
    path = tmp_path / "keys" / KEYS_FILE
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(StoreDamaged):
            SealedFile.open(tmp_path / "keys", PASSPHRASE)


def test_whoever_computes_the_checksum_anew_is_still_noticed(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    import hashlib

    sealed.draw(LOAD, clock)
    path = tmp_path / "keys" / KEYS_FILE
    whole = path.read_bytes()[:-32]
    start = whole.index(b"\n", 25) + 1
    for at in (whole.index(b'"generation": 2') + 14, start, len(whole) - 1):
        forged = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        path.write_bytes(forged + hashlib.sha256(forged).digest())
        with pytest.raises(StoreDamaged):
            SealedFile.open(tmp_path / "keys", PASSPHRASE)


def test_a_header_that_would_take_all_memory_is_refused(sealed: SealedFile, tmp_path: Path) -> None:
    import hashlib

    path = tmp_path / "keys" / KEYS_FILE
    forged = path.read_bytes()[:-32].replace(b'"memory_kib": 64', b'"memory_kib": 99999999')
    path.write_bytes(forged + hashlib.sha256(forged).digest())
    with pytest.raises(StoreDamaged):
        SealedFile.open(tmp_path / "keys", PASSPHRASE)


def test_an_old_copy_that_is_put_back_is_noticed(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    path = tmp_path / "keys" / KEYS_FILE
    old = path.read_bytes()
    sealed.draw(LOAD, clock)
    path.write_bytes(old)
    with pytest.raises(StoreRolledBack, match="generation 1, and 2 was written here"):
        SealedFile.open(tmp_path / "keys", PASSPHRASE)
    with pytest.raises(StoreRolledBack):
        sealed.draw(TAC, clock)


def test_a_mark_that_was_taken_away_or_changed_is_noticed(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    sealed.draw(LOAD, clock)
    mark = tmp_path / "keys" / MARK_FILE
    said = mark.read_bytes()
    mark.write_bytes(b"1" + said[1:])
    with pytest.raises(StoreDamaged):
        SealedFile.open(tmp_path / "keys", PASSPHRASE)
    mark.unlink()
    with pytest.raises(StoreRolledBack, match="missing"):
        SealedFile.open(tmp_path / "keys", PASSPHRASE)


def test_a_power_cut_between_file_and_mark_leaves_a_store_that_opens(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    mark = tmp_path / "keys" / MARK_FILE
    before = mark.read_bytes()
    sealed.draw(LOAD, clock)
    mark.write_bytes(before)  # the file is one ahead
    again = SealedFile.open(tmp_path / "keys", PASSPHRASE)
    assert [entry.name for entry in again.entries()] == [LOAD]
    again.draw(TAC, clock)
    assert len(SealedFile.open(tmp_path / "keys", PASSPHRASE).entries()) == 2


def test_a_power_cut_before_the_very_first_mark_leaves_a_store_that_opens(
    sealed: SealedFile, tmp_path: Path
) -> None:
    (tmp_path / "keys" / MARK_FILE).unlink()
    assert SealedFile.open(tmp_path / "keys", PASSPHRASE).generation == 1
    assert (tmp_path / "keys" / MARK_FILE).exists()


def test_two_that_have_it_open_see_each_others_keys(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    other = SealedFile.open(tmp_path / "keys", PASSPHRASE)
    sealed.draw(LOAD, clock)
    other.draw(TAC, clock)
    assert {entry.name for entry in other.entries()} == {LOAD, TAC}
    with pytest.raises(KeyForbidden, match="already"):
        other.draw(LOAD, clock)


def test_a_changed_passphrase_opens_and_the_old_one_does_not(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    entry = sealed.draw(LOAD, clock)
    other = SealedFile.open(tmp_path / "keys", PASSPHRASE)
    sealed.change_passphrase("another long passphrase", QUICK)
    assert list(SealedFile.open(tmp_path / "keys", "another long passphrase").entries()) == [entry]
    with pytest.raises(WrongPassphrase):
        SealedFile.open(tmp_path / "keys", PASSPHRASE)
    with pytest.raises(WrongPassphrase):
        other.draw(TAC, clock)


def test_the_same_key_again_changes_nothing_and_another_one_is_refused(
    sealed: SealedFile, clock: VirtualClock
) -> None:
    key = os.urandom(16)
    entry = sealed.put(LOAD, key, clock)
    clock.advance(1000)
    assert sealed.put(LOAD, key, clock) == entry
    with pytest.raises(KeyForbidden, match="already"):
        sealed.put(LOAD, os.urandom(16), clock)


def test_a_removed_key_is_gone(sealed: SealedFile, clock: VirtualClock) -> None:
    sealed.draw(LOAD, clock)
    sealed.remove(LOAD)
    with pytest.raises(KeyUnknown):
        sealed.entry(LOAD)
    with pytest.raises(KeyUnknown):
        sealed.remove(LOAD)


def test_a_store_is_not_made_over_another_nor_opened_where_none_is(
    sealed: SealedFile, tmp_path: Path
) -> None:
    with pytest.raises(Misconfigured, match="there already"):
        SealedFile.create(tmp_path / "keys", ISSUER, PASSPHRASE, QUICK)
    with pytest.raises(NotFound):
        SealedFile.open(tmp_path / "nothing", PASSPHRASE)
    with pytest.raises(Misconfigured, match="at least 12"):
        SealedFile.create(tmp_path / "short", ISSUER, "short", QUICK)


def test_a_write_that_fails_leaves_the_store_as_it_was(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed.draw(LOAD, clock)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", full)
        with pytest.raises(Misconfigured, match="No space"):
            sealed.draw(TAC, clock)
    assert [entry.name for entry in SealedFile.open(tmp_path / "keys", PASSPHRASE).entries()] == [LOAD]
    assert [entry.name for entry in sealed.entries()] == [LOAD]
    assert sorted(path.name for path in (tmp_path / "keys").iterdir()) == [".lock", MARK_FILE, KEYS_FILE]
