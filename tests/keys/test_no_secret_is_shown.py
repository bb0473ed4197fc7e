"""Whatever is printed, raised or logged by accident, no key, share or passphrase is in it."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from campus_node.keys.ceremony import Custodian, Root, hold, open_share, share_file_name
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.operations import KeyOperations
from campus_node.keys.sealed_file import KEYS_FILE, SealedFile
from campus_node.keys.sealing import Sealer, unseal
from campus_node.keys.shares import SECRET_BYTES, split
from campus_node.keys.transfer import OwnKey, unwrap, wrap
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from federation.errors import CampusCardError
from tests.keys.conftest import ISSUER, PASSPHRASE, QUICK

NAME = campus_key(Usage.LOAD, 1, Algorithm.SM4, ISSUER)


def forms(secret: bytes) -> list[str]:
    """How a secret could show itself in a text."""
    halves = [secret[: len(secret) // 2], secret[len(secret) // 2 :]]
    return [
        form
        for half in halves
        for form in (
            half.hex(),
            half.hex().upper(),
            repr(half)[2:-1],
            half.hex(" ").upper(),
            str(list(half))[1:-1],
        )
    ]


def assert_silent(text: str, *secrets: bytes) -> None:
    for secret in secrets:
        for form in forms(secret):
            assert form not in text


def test_objects_that_hold_secrets_do_not_show_them(sealed: SealedFile, clock: VirtualClock) -> None:
    key, secret = os.urandom(16), os.urandom(SECRET_BYTES)
    sealed.put(NAME, key, clock)
    root = Root(secret)
    share = split(secret, 2, 2, bytes(4), os.urandom)[0]
    sealer = Sealer.make(PASSPHRASE, QUICK)
    unsealed = unseal(sealer.seal("x", 1, key), "x", PASSPHRASE, "here")
    own = root.own_key
    assert isinstance(own, OwnKey)
    holders = [sealed, KeyOperations(sealed), root, share, sealer, unsealed, own, Custodian("li", PASSPHRASE)]
    for each in holders:
        text = f"{each!r} {each}"
        assert_silent(text, key, secret, share.values, sealer.sealing_key, own.private)
        assert PASSPHRASE not in text
    assert_silent("".join(map(repr, sealed.entries())), key)


def test_errors_and_their_tracebacks_hold_no_secret(
    sealed: SealedFile, clock: VirtualClock, tmp_path: Path
) -> None:
    key = os.urandom(16)
    sealed.put(NAME, key, clock)
    keepers = [Custodian("li", "the first passphrase"), Custodian("wang", "the second passphrase")]
    hold(tmp_path / "root", 1, 2, keepers, clock, cost=QUICK)
    other = SealedFile.create(tmp_path / "other", ISSUER, PASSPHRASE, QUICK)
    package = wrap(NAME, key, sealed, sealed.identity, foreign=True)
    path = tmp_path / "keys" / KEYS_FILE
    content = sealed._sealer.seal("key store", 9, b'{"issuer": "' + key.hex().encode() + b'", "private": 1}')

    def open_broken() -> object:
        path.write_bytes(content)
        return SealedFile.open(tmp_path / "keys", PASSPHRASE)

    operations = KeyOperations(sealed)
    mistakes: list[Callable[[], object]] = [
        lambda: SealedFile.open(tmp_path / "other", "a wrong passphrase"),
        lambda: open_share(tmp_path / "root" / share_file_name(1, "li"), "the second passphrase"),
        lambda: sealed.put(NAME, os.urandom(16), clock),
        lambda: operations.tac(NAME, (bytes(8),), b""),
        lambda: operations.wrap_key(NAME, (), NAME, (), b""),
        lambda: unwrap(package, other, sealed.identity),
        open_broken,
    ]
    for mistake in mistakes:
        with pytest.raises(CampusCardError) as refusal:
            mistake()
        text = "".join(traceback.format_exception(refusal.value))
        assert_silent(text, key)
        for phrase in (PASSPHRASE, "a wrong passphrase", *(keeper.passphrase for keeper in keepers)):
            assert phrase not in text.replace(f'"{phrase}"', "")  # the test's own source lines
