"""The ceremony gives every campus its purchase keys, to nobody else, and writes down no key."""

import json
from pathlib import Path

import pytest

from campus_node.keys.ceremony import (
    LOG_FILE,
    RECORD_FILE,
    Ceremony,
    CeremonyLog,
    Custodian,
    Root,
    WrongShares,
    destroy_share,
    gather,
    hold,
    open_share,
    read_ceremony,
    reseal_share,
    share_file_name,
)
from campus_node.keys.hierarchy import Usage, campus_factor, campus_key, derive, group_factor, group_of
from campus_node.keys.key_set import hand_out, take_in
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.shares import Share
from campus_node.keys.store import KeyForbidden, KeyUnknown, StoreDamaged, WrongPassphrase
from campus_node.keys.transfer import Package, SenderWrong, parse_identity, parse_package, unwrap
from campus_node.purse.algorithm import Algorithm, check_value
from federation.clock import VirtualClock
from federation.errors import Misconfigured
from tests.keys.conftest import ISSUER, NEIGHBOUR, PASSPHRASE, QUICK

KEEPERS = [Custodian(name, f"{name} has a passphrase") for name in ("li", "wang", "zhao")]


@pytest.fixture
def shown() -> list[tuple[str, Share]]:
    return []


@pytest.fixture
def ceremony(tmp_path: Path, clock: VirtualClock, shown: list[tuple[str, Share]]) -> Ceremony:
    return hold(
        tmp_path / "root",
        1,
        2,
        KEEPERS,
        clock,
        cost=QUICK,
        show=lambda name, share: shown.append((name, share)),
    )


@pytest.fixture
def root(ceremony: Ceremony, shown: list[tuple[str, Share]]) -> Root:
    return gather(ceremony, [share for _, share in shown])


@pytest.fixture
def neighbour(tmp_path: Path) -> SealedFile:
    return SealedFile.create(tmp_path / "neighbour", NEIGHBOUR, PASSPHRASE, QUICK)


def test_each_custodians_file_opens_with_their_own_passphrase_only(
    ceremony: Ceremony, shown: list[tuple[str, Share]], tmp_path: Path
) -> None:
    for (name, share), keeper in zip(shown, KEEPERS, strict=True):
        path = tmp_path / "root" / share_file_name(share.number, name)
        assert open_share(path, keeper.passphrase) == share
        for other in KEEPERS:
            if other is not keeper:
                with pytest.raises(WrongPassphrase):
                    open_share(path, other.passphrase)


def test_any_two_of_three_give_the_root_and_one_does_not(
    ceremony: Ceremony, shown: list[tuple[str, Share]]
) -> None:
    shares = [share for _, share in shown]
    for chosen in (shares[:2], shares[1:], shares[::2], shares):
        assert gather(ceremony, chosen).check_values() == ceremony.check_values
    with pytest.raises(Misconfigured, match="too few"):
        gather(ceremony, shares[:1])


def test_a_changed_share_is_noticed_by_the_check_values(
    ceremony: Ceremony, shown: list[tuple[str, Share]]
) -> None:
    first, second = shown[0][1], shown[1][1]
    forged = Share(second.ceremony, second.threshold, second.number, bytes(32))
    with pytest.raises(WrongShares):
        gather(ceremony, [first, forged])


def test_the_record_is_read_as_it_was_written_and_a_damaged_one_is_not(
    ceremony: Ceremony, tmp_path: Path
) -> None:
    assert read_ceremony(tmp_path / "root") == ceremony
    path = tmp_path / "root" / RECORD_FILE
    path.write_text(path.read_text().replace('"version"', '"verses"'))
    with pytest.raises(Misconfigured, match="no record"):
        read_ceremony(tmp_path / "root")


def test_a_ceremony_is_not_held_over_another(ceremony: Ceremony, tmp_path: Path, clock: VirtualClock) -> None:
    before = {path: path.read_bytes() for path in (tmp_path / "root").iterdir()}
    with pytest.raises(Misconfigured, match="already"):
        hold(tmp_path / "root", 1, 2, KEEPERS, clock, cost=QUICK)
    assert {path: path.read_bytes() for path in (tmp_path / "root").iterdir()} == before


@pytest.mark.parametrize(
    ("keepers", "why"),
    [
        ([KEEPERS[0], KEEPERS[0]], "same name"),
        ([KEEPERS[0], Custodian("wang", KEEPERS[0].passphrase)], "same passphrase"),
        ([KEEPERS[0], Custodian("wang", "short")], "at least 12"),
        ([KEEPERS[0], Custodian("../wang", "long enough for all")], "no name"),
        ([KEEPERS[0]], "cannot be"),
    ],
)
def test_custodians_that_protect_nothing_are_refused_before_anything_is_made(
    keepers: list[Custodian], why: str, tmp_path: Path, clock: VirtualClock
) -> None:
    with pytest.raises(Misconfigured, match=why):
        hold(tmp_path / "other", 1, 2, keepers, clock, cost=QUICK)
    assert not (tmp_path / "other").exists()


def test_a_campus_gets_the_key_that_the_hierarchy_says(
    root: Root, ceremony: Ceremony, shown: list[tuple[str, Share]], sealed: SealedFile, clock: VirtualClock
) -> None:
    from campus_node.keys.shares import combine

    secret = combine([share for _, share in shown])
    for algorithm, own in ((Algorithm.TDES, secret[:16]), (Algorithm.SM4, secret[16:])):
        group_kcv, package = root.hand_out(1, algorithm, ISSUER, sealed.identity)
        entry = take_in(sealed, package, ceremony.identity, clock)
        group = derive(algorithm, own, group_factor(group_of(ISSUER)))
        campus = derive(algorithm, group, campus_factor(ISSUER))
        assert sealed.working_key(entry.name, ()) == campus
        assert (entry.check_value, group_kcv) == (
            check_value(algorithm, campus),
            check_value(algorithm, group),
        )


def test_a_package_is_of_no_use_to_anybody_else(
    root: Root, ceremony: Ceremony, sealed: SealedFile, neighbour: SealedFile
) -> None:
    _, package = root.hand_out(1, Algorithm.SM4, ISSUER, sealed.identity)
    with pytest.raises(SenderWrong):
        unwrap(package, neighbour, ceremony.identity)


def test_a_package_that_somebody_else_made_in_the_ceremonys_name_is_refused(
    root: Root, ceremony: Ceremony, sealed: SealedFile, neighbour: SealedFile, clock: VirtualClock
) -> None:
    from campus_node.keys.transfer import wrap

    name = campus_key(Usage.PURCHASE, 1, Algorithm.SM4, ISSUER)
    forged = wrap(name, bytes(16), neighbour, sealed.identity, foreign=False)
    with pytest.raises(SenderWrong):
        take_in(sealed, forged, ceremony.identity, clock)
    assert not sealed.entries()


def test_every_field_of_a_package_is_covered(root: Root, ceremony: Ceremony, sealed: SealedFile) -> None:
    _, package = root.hand_out(1, Algorithm.SM4, ISSUER, sealed.identity)
    text = json.loads(package.to_json())
    changes = {
        "key": text["key"].replace("/1/", "/2/"),
        "check_value": "000000",
        "foreign": True,
        "from": "0000",
        "to": "0000",
        "wrapped": "00" + text["wrapped"][2:],
    }
    for name, value in changes.items():
        changed = parse_package(json.dumps({**text, name: value}), "changed")
        with pytest.raises((SenderWrong, StoreDamaged)):
            unwrap(changed, sealed, ceremony.identity)


def test_a_purchase_key_reaches_a_neighbour_for_psams_alone(
    root: Root, ceremony: Ceremony, sealed: SealedFile, neighbour: SealedFile, clock: VirtualClock
) -> None:
    from campus_node.keys.operations import KeyOperations

    _, package = root.hand_out(1, Algorithm.SM4, ISSUER, sealed.identity)
    own = take_in(sealed, package, ceremony.identity, clock)
    entry = take_in(neighbour, hand_out(sealed, 1, Algorithm.SM4, neighbour.identity), sealed.identity, clock)
    assert (entry.name, entry.check_value, entry.foreign) == (own.name, own.check_value, True)
    with pytest.raises(KeyForbidden):
        KeyOperations(neighbour).session_mac(entry.name, (bytes(8),), bytes(8), b"")
    with pytest.raises(KeyUnknown):
        hand_out(neighbour, 1, Algorithm.SM4, sealed.identity)


def test_no_other_key_travels(
    root: Root, ceremony: Ceremony, sealed: SealedFile, neighbour: SealedFile, clock: VirtualClock
) -> None:
    from campus_node.keys.transfer import wrap

    tac = campus_key(Usage.TAC, 1, Algorithm.SM4, NEIGHBOUR)
    with pytest.raises(KeyForbidden, match="only campus-level purchase keys"):
        take_in(
            sealed, wrap(tac, bytes(16), neighbour, sealed.identity, foreign=True), neighbour.identity, clock
        )
    third = campus_key(Usage.PURCHASE, 1, Algorithm.SM4, bytes.fromhex("4355434100000003"))
    with pytest.raises(KeyForbidden, match="own issuer"):
        take_in(
            sealed,
            wrap(third, bytes(16), neighbour, sealed.identity, foreign=True),
            neighbour.identity,
            clock,
        )
    ours = campus_key(Usage.PURCHASE, 1, Algorithm.SM4, ISSUER)
    with pytest.raises(KeyForbidden, match="ceremony alone"):
        take_in(
            sealed,
            wrap(ours, bytes(16), neighbour, sealed.identity, foreign=False),
            neighbour.identity,
            clock,
        )


def test_files_of_identities_and_packages_are_read_as_written(root: Root, sealed: SealedFile) -> None:
    _, package = root.hand_out(1, Algorithm.TDES, ISSUER, sealed.identity)
    assert parse_package(package.to_json(), "here") == package
    assert parse_identity(sealed.identity.to_json(), "here") == sealed.identity
    swapped = sealed.identity.to_json().replace(ISSUER.hex().upper(), NEIGHBOUR.hex().upper())
    for parse in (parse_identity, parse_package):
        for wrong in ("", "{}", "[]", swapped, "x"):
            with pytest.raises(Misconfigured):
                parse(wrong, "here")
    assert isinstance(package, Package)


def test_a_share_gets_a_new_passphrase_or_a_new_file_and_is_destroyed_in_the_end(
    ceremony: Ceremony, shown: list[tuple[str, Share]], tmp_path: Path
) -> None:
    path = tmp_path / "root" / share_file_name(1, "li")
    reseal_share(path, shown[0][1], "li has another passphrase", QUICK)
    assert open_share(path, "li has another passphrase") == shown[0][1]
    with pytest.raises(WrongPassphrase):
        open_share(path, KEEPERS[0].passphrase)
    destroy_share(path)
    assert not path.exists()


def test_the_log_tells_everything_but_keys(
    root: Root,
    ceremony: Ceremony,
    shown: list[tuple[str, Share]],
    sealed: SealedFile,
    tmp_path: Path,
    clock: VirtualClock,
) -> None:
    from campus_node.keys.shares import combine

    _, package = root.hand_out(1, Algorithm.SM4, ISSUER, sealed.identity)
    CeremonyLog(tmp_path / "root", clock).handed_out(package.name, package.check_value, sealed.identity)
    log = (tmp_path / "root" / LOG_FILE).read_text()
    assert [line.split()[1] for line in log.splitlines()] == [
        "made",
        "share_sealed",
        "share_sealed",
        "share_sealed",
        "root_check_values",
        "handed_out",
    ]
    assert ceremony.check_values[Algorithm.SM4].hex().upper() in log
    assert package.check_value.hex().upper() in log
    secret = combine([share for _, share in shown])
    written = b"".join(path.read_bytes() for path in (tmp_path / "root").iterdir()).lower()
    for part in (secret[:16], secret[16:], *(share.values[:16] for _, share in shown)):
        assert part not in written
        assert part.hex().encode() not in written
