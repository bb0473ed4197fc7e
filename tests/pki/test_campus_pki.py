"""The pki/ directory of a campus: issuing, renewing, revoking, and what is on disk afterwards."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from campus_node.pki import files
from campus_node.pki.campus_pki import (
    CampusPki,
    Reason,
    campuses_of,
    describe,
    find_root,
    make_root_directory,
    next_free_number,
)
from campus_node.pki.credentials import load_credentials
from campus_node.settings import Settings
from federation.errors import Misconfigured
from federation.identity import Identity, Role
from tests.pki.conftest import DAY_MS, terminal

NODE = Identity("north", Role.NODE, "1")
OTHER_KEY = files.key_pem(ec.generate_private_key(ec.SECP256R1()))
OTHER_CURVE = files.key_pem(ec.generate_private_key(ec.SECP384R1()))


def _number(pki: CampusPki) -> int:
    return pki.crl().extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_every_file_is_its_owners_alone(tmp_path: Path, north: CampusPki, now_unix_ms: int) -> None:
    north.issue(NODE, now_unix_ms)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]
    assert len(found) == 10
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert stat.S_IMODE(north.directory.stat().st_mode) == 0o700


def test_a_leaf_says_who_it_is_and_lasts_thirty_days(north: CampusPki, now_unix_ms: int) -> None:
    told = describe(north.issue(NODE, now_unix_ms).certificate)
    assert told["uri"] == ["campuscard://north/node/1"]
    assert told["dns"] == ["north.campus.test", "1.node.north.campus.test"]
    assert told["authority"] is False
    leaf = north.issued()[0].certificate
    assert 30 <= (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() / 86_400 < 30.01


def test_the_intermediate_may_name_its_own_campus_only(north: CampusPki) -> None:
    told = describe(north.authority_certificate())
    assert told["permitted"] == ["north.campus.test", "north"]
    assert told["authority"] is True


def test_a_leaf_never_outlives_its_intermediate(north: CampusPki, now_unix_ms: int) -> None:
    ends = north.authority_certificate().not_valid_after_utc
    leaf = north.issue(terminal(), round(ends.timestamp() * 1000) - 2 * DAY_MS).certificate
    assert leaf.not_valid_after_utc == ends


def test_long_names_fit(north: CampusPki, now_unix_ms: int) -> None:
    long = terminal(name="x" * 63)
    assert north.issue(long, now_unix_ms).identity == long


def test_a_second_root_or_intermediate_or_leaf_is_refused(
    root: Path, north: CampusPki, now_unix_ms: int
) -> None:
    north.issue(terminal(), now_unix_ms)
    with pytest.raises(Misconfigured, match="holds a root already"):
        make_root_directory(root, "test scheme", now_unix_ms)
    with pytest.raises(Misconfigured, match="is there already: nothing was changed"):
        north.make_authority(root, 1, now_unix_ms)
    with pytest.raises(Misconfigured, match="terminal/0001 has a leaf; renew it with"):
        north.issue(terminal(), now_unix_ms)


@pytest.mark.parametrize(
    "identity", [terminal("south"), terminal(name="Kasse 1"), terminal(name="../../x"), terminal(name="")]
)
def test_a_leaf_for_no_machine_of_this_campus_is_refused(
    north: CampusPki, now_unix_ms: int, identity: Identity
) -> None:
    with pytest.raises(Misconfigured, match="is no machine of north"):
        north.issue(identity, now_unix_ms)


def test_only_what_was_issued_can_be_renewed(north: CampusPki, now_unix_ms: int) -> None:
    with pytest.raises(Misconfigured, match="has no leaf to renew"):
        north.issue(terminal(), now_unix_ms, renew=True)


def test_revoking_a_machine_revokes_all_its_leaves_that_are_in_date(
    north: CampusPki, now_unix_ms: int
) -> None:
    north.issue(terminal(), now_unix_ms - 40 * DAY_MS)  # out of date
    north.issue(terminal(), now_unix_ms - 20 * DAY_MS, renew=True)
    north.issue(terminal(), now_unix_ms, renew=True)
    north.issue(terminal(name="0002"), now_unix_ms)
    revoked = north.revoke(terminal(), Reason.KEY_COMPROMISE, now_unix_ms)
    assert len(revoked) == 2
    assert [issued.revoked is not None for issued in north.issued()] == [False, True, True, False]
    assert _number(north) == 2


def test_revoking_again_changes_nothing(north: CampusPki, now_unix_ms: int) -> None:
    north.issue(terminal(), now_unix_ms)
    north.revoke(terminal(), Reason.KEY_COMPROMISE, now_unix_ms)
    before = files.crl_pem(north.crl())
    assert north.revoke(terminal(), Reason.UNSPECIFIED, now_unix_ms + DAY_MS) == []
    assert files.crl_pem(north.crl()) == before


def test_an_unknown_machine_cannot_be_revoked(north: CampusPki, now_unix_ms: int) -> None:
    with pytest.raises(Misconfigured, match="terminal/0001 never had a certificate"):
        north.revoke(terminal(), Reason.UNSPECIFIED, now_unix_ms)


def test_after_a_revocation_the_machine_gets_a_new_key(north: CampusPki, now_unix_ms: int) -> None:
    north.issue(terminal(), now_unix_ms)
    old_key = north.leaf_paths(terminal())[1].read_bytes()
    north.revoke(terminal(), Reason.KEY_COMPROMISE, now_unix_ms)
    with pytest.raises(Misconfigured, match="was revoked; give it a new key"):
        north.issue(terminal(), now_unix_ms, renew=True)
    north.issue(terminal(), now_unix_ms)
    assert north.leaf_paths(terminal())[1].read_bytes() != old_key


def test_a_renewed_revocation_list_keeps_its_entries_and_counts_on(
    north: CampusPki, now_unix_ms: int
) -> None:
    north.issue(terminal(), now_unix_ms)
    (revoked,) = north.revoke(terminal(), Reason.SUPERSEDED, now_unix_ms)
    crl = north.renew_crl(now_unix_ms + DAY_MS)
    assert _number(north) == 3
    entry = crl.get_revoked_certificate_by_serial_number(revoked.certificate.serial_number)
    assert entry is not None
    assert (
        entry.extensions.get_extension_for_class(x509.CRLReason).value.reason is x509.ReasonFlags.superseded
    )


def test_a_campus_without_authority_says_how_to_make_one(tmp_path: Path, now_unix_ms: int) -> None:
    pki = CampusPki(tmp_path / "west", "west", "west.campus.test")
    with pytest.raises(Misconfigured, match="make one with: campus pki campus"):
        pki.issue(terminal("west"), now_unix_ms)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda path: path.unlink(), "campus.key cannot be read: No such file"),
        (lambda path: path.write_bytes(b"?"), "campus.key holds no unencrypted PEM private key"),
        (lambda path: path.write_bytes(OTHER_CURVE), "campus.key holds a key that is not on the curve P-256"),
        (lambda path: path.write_bytes(OTHER_KEY), r"campus.key is not the key of .*campus\.pem"),
    ],
    ids=["missing", "garbage", "other curve", "other key"],
)
def test_a_spoilt_key_is_told(
    north: CampusPki, now_unix_ms: int, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(north.directory / "campus.key")
    with pytest.raises(Misconfigured, match=told):
        north.issue(terminal(), now_unix_ms)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "there"
    files.write_private(target, b"old")
    (tmp_path / f".there.{os.getpid()}.tmp").mkdir()
    with pytest.raises((Misconfigured, OSError)):
        files.write_private(target, b"new")
    assert target.read_bytes() == b"old"


def test_a_place_that_does_not_exist_is_told(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="cannot be written: No such file"):
        files.write_private(tmp_path / "nowhere" / "x", b"")


def _settings() -> Settings:
    return Settings(campus={"name": "north", "number": 1})  # type: ignore[arg-type]  # as TOML gives it


@pytest.fixture
def campus(north: CampusPki, now_unix_ms: int, tmp_path: Path) -> Path:
    """A directory whose pki/ has the default paths."""
    north.issue(NODE, now_unix_ms)
    (tmp_path / "campus").mkdir()
    (tmp_path / "campus" / "pki").symlink_to(north.directory)
    return tmp_path / "campus"


def test_a_nodes_credentials_are_loaded(campus: Path, north: CampusPki, now_unix_ms: int) -> None:
    credentials = load_credentials(campus, _settings(), now_unix_ms)
    assert credentials.identity == NODE
    assert credentials.authority_pem == files.certificate_pem(north.authority_certificate())
    assert credentials.key_pem not in repr(credentials).encode()


def test_expired_credentials_say_how_to_renew(campus: Path, now_unix_ms: int) -> None:
    with pytest.raises(Misconfigured, match=r"expired on .* Renew it with: campus pki renew node/1 -C "):
        load_credentials(campus, _settings(), now_unix_ms + 31 * DAY_MS)


def test_credentials_that_do_not_belong_together_are_told(
    campus: Path, north: CampusPki, south: CampusPki, now_unix_ms: int
) -> None:
    leaf_path, key_path = north.leaf_paths(NODE)
    good_leaf, good_key = leaf_path.read_bytes(), key_path.read_bytes()
    key_path.write_bytes(OTHER_KEY)
    with pytest.raises(Misconfigured, match="put back the two files that belong together"):
        load_credentials(campus, _settings(), now_unix_ms)

    south.issue(terminal("south"), now_unix_ms)
    for theirs, ours in zip(south.leaf_paths(terminal("south")), (leaf_path, key_path), strict=True):
        ours.write_bytes(theirs.read_bytes())
    with pytest.raises(Misconfigured, match=r"was not issued by pki/campus\.pem"):
        load_credentials(campus, _settings(), now_unix_ms)

    leaf_path.write_bytes(good_leaf)
    key_path.write_bytes(good_key)
    other_name = Settings(campus={"name": "east", "number": 1})  # type: ignore[arg-type]  # as TOML gives it
    with pytest.raises(Misconfigured, match="names the campus north, the settings name east"):
        load_credentials(campus, other_name, now_unix_ms)


def test_a_root_gives_each_number_and_each_name_once(root: Path, north: CampusPki, now_unix_ms: int) -> None:
    east = CampusPki(root.parent / "east", "east", "east.campus.test")
    with pytest.raises(Misconfigured, match="knows campus north by the number 1"):
        east.make_authority(root, 1, now_unix_ms)
    again = CampusPki(root.parent / "again", "north", "north.campus.test")
    with pytest.raises(Misconfigured, match="knows campus north by the number 1"):
        again.make_authority(root, 2, now_unix_ms)
    again.make_authority(root, 1, now_unix_ms)
    assert campuses_of(root) == {1: "north"}
    assert (next_free_number(root, "north"), next_free_number(root, "east")) == (1, 2)


def test_a_root_is_found_in_a_campus_too(root: Path, tmp_path: Path) -> None:
    assert find_root(root) == root
    assert find_root(tmp_path) == root
    with pytest.raises(Misconfigured, match="holds no root; make one with: campus pki root"):
        find_root(root / "campuses")
