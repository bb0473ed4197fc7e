"""`campus keys` from the ceremony to a neighbour's PSAM key, and no secret in anything it says."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from campus_node.cli import main
from campus_node.keys import sealing
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.key_set import DRAWN
from campus_node.keys.rotation import RotationBook
from campus_node.keys.sealed_file import SealedFile
from campus_node.purse.algorithm import Algorithm
from federation.clock import VirtualClock
from tests.keys.conftest import ISSUER, NEIGHBOUR, SECRETS, TOKEN_PIN, TRANSPORT_KEY

SHARES = ("share-1-li.sealed", "share-2-wang.sealed", "share-3-zhao.sealed")


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # whatever the command's object is
        return json.loads(self.out.splitlines()[-1])


Campus = Callable[..., Said]


@pytest.fixture
def campus(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Campus]:
    """Runs command lines where a file holds each passphrase; in the end none of them was said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CAMPUS_LANG", "en")
    for name, secret in SECRETS.items():
        (tmp_path / name).write_text(secret + "\n")
    everything: list[str] = []

    def run(*arguments: object, secrets: str = "") -> Said:
        given = [part for name in secrets.split() for part in ("--passphrase-file", name)]
        capsys.readouterr()
        code = main([str(argument) for argument in arguments] + given)
        said = Said(code, *capsys.readouterr())
        everything.extend((said.out, said.err))
        return said

    yield run
    text = "\n".join(everything)
    assert not [secret for secret in SECRETS.values() if secret in text]


@pytest.fixture
def ceremony(campus: Campus) -> Said:
    keepers = [part for name in ("li", "wang", "zhao") for part in ("--custodian", name)]
    made = campus(
        "keys", "ceremony", "new", "root", "--threshold", 2, *keepers, "--json", secrets="li wang zhao"
    )
    assert made.code == 0, made.err
    return made


@pytest.fixture
def north(campus: Campus) -> Said:
    made = campus("keys", "create", "-k", "north", "--issuer", ISSUER.hex(), "--json", secrets="store")
    assert made.code == 0, made.err
    assert campus("keys", "identity", "-k", "north", "--out", "north.identity", secrets="store").code == 0
    return made


@pytest.fixture
def supplied(campus: Campus, ceremony: Said, north: Said) -> Said:
    """North has its purchase keys."""
    shares = ("--share", f"root/{SHARES[0]}", "--share", f"root/{SHARES[2]}")
    derived = campus(
        *("keys", "ceremony", "derive", "root", *shares, "--for", "north.identity", "--out", "north.package"),
        "--json",
        secrets="li zhao",
    )
    assert derived.code == 0, derived.err
    for word in ("3des", "sm4"):
        took = campus(
            *("keys", "import", f"north.package.{word}", "--from", "root/ceremony.identity", "-k", "north"),
            secrets="store",
        )
        assert took.code == 0, took.err
    return derived


def test_from_the_ceremony_to_a_neighbours_psam_key(campus: Campus, supplied: Said) -> None:
    listed = campus("keys", "list", "-k", "north", "--json", secrets="store").json
    by_name = {row["name"]: row for row in listed["keys"]}
    assert len(by_name) == 2 * len(DRAWN) + 2
    for package in supplied.json["packages"]:
        assert by_name[package["name"]]["check_value"] == package["check_value"]
    campus("keys", "create", "-k", "south", "--issuer", NEIGHBOUR.hex(), secrets="southern")
    campus("keys", "identity", "-k", "south", "--out", "south.identity", secrets="southern")
    exported = campus(
        *("keys", "export", "--version", 1, "--algorithm", "sm4", "--for", "south.identity"),
        *("--out", "for-south", "-k", "north", "--json"),
        secrets="store",
    )
    assert exported.code == 0
    took = campus(
        "keys", "import", "for-south", "--from", "north.identity", "-k", "south", "--json", secrets="southern"
    )
    assert took.json["foreign"] is True
    assert took.json["check_value"] == exported.json["check_value"]
    again = campus(
        "keys", "import", "for-south", "--from", "south.identity", "-k", "south", secrets="southern"
    )
    assert again.code == 1


def test_no_key_is_in_any_output_file_or_log(campus: Campus, supplied: Said, tmp_path: Path) -> None:
    said = [supplied.out]
    for language in ("en", "zh"):
        for arguments in (("list",), ("identity",)):
            told = campus("keys", *arguments, "-k", "north", "--lang", language, secrets="store")
            said += [told.out, told.err]
    store = SealedFile.open(tmp_path / "north", SECRETS["store"])
    written = b"\n".join(
        path.read_bytes() for path in tmp_path.rglob("*") if path.is_file() and path.name not in SECRETS
    )
    for entry in store.entries():
        key = store.working_key(entry.name, ())
        assert entry.check_value.hex().upper() in said[1]
        for part in (key[:8], key[8:]):
            assert part not in written
            assert part.hex() not in "\n".join(said).lower()
            assert part.hex().encode() not in written.lower()


def test_the_log_of_the_ceremony_has_the_check_values_of_what_was_handed_out(
    campus: Campus, supplied: Said, tmp_path: Path
) -> None:
    log = (tmp_path / "root" / "ceremony.log").read_text()
    for package in supplied.json["packages"]:
        assert f"check_value={package['check_value']}" in log
    assert len(re.findall(" handed_out ", log)) == 2


def test_any_two_shares_verify_and_one_does_not(campus: Campus, ceremony: Said) -> None:
    for first, second, secrets in ((0, 1, "li wang"), (1, 2, "wang zhao"), (2, 0, "zhao li")):
        pair = ("--share", f"root/{SHARES[first]}", "--share", f"root/{SHARES[second]}")
        assert campus("keys", "ceremony", "verify", "root", *pair, secrets=secrets).code == 0
    alone = campus("keys", "ceremony", "verify", "root", "--share", f"root/{SHARES[0]}", secrets="li")
    assert (alone.code, "1 shares are too few: 2 are needed" in alone.err) == (1, True)


def test_a_share_is_sealed_anew_and_destroyed(campus: Campus, ceremony: Said, tmp_path: Path) -> None:
    path = f"root/{SHARES[0]}"
    assert campus("keys", "ceremony", "reseal", "root", path, secrets="li new").code == 0
    pair = ("--share", path, "--share", f"root/{SHARES[1]}")
    assert campus("keys", "ceremony", "verify", "root", *pair, secrets="li wang").code == 1
    assert campus("keys", "ceremony", "verify", "root", *pair, secrets="new wang").code == 0
    assert campus("keys", "ceremony", "destroy", "root", path).code == 0
    assert not (tmp_path / path).exists()
    assert "share_destroyed" in (tmp_path / "root" / "ceremony.log").read_text()


def test_rotation_draws_the_next_version_beside_the_old_one(campus: Campus, north: Said) -> None:
    first = campus(
        "keys", "rotate", "-k", "north", "--algorithm", "sm4", "--usage", "load", "--json", secrets="store"
    )
    assert [row["name"] for row in first.json["keys"]] == [f"campus/{ISSUER.hex()}/load/2/sm4"]
    rest = campus("keys", "rotate", "-k", "north", "--version", 2, "--json", secrets="store")
    assert len(rest.json["keys"]) == 2 * len(DRAWN) - 1
    listed = campus("keys", "list", "-k", "north", "--json", secrets="store").json["keys"]
    assert {row["name"].split("/")[3] for row in listed} == {"1", "2"}
    wrong = campus("keys", "rotate", "-k", "north", "--usage", "purchase", secrets="store")
    assert (wrong.code, "comes from elsewhere" in wrong.err) == (1, True)


def test_a_key_is_removed_only_with_its_check_value(campus: Campus, north: Said) -> None:
    row = campus("keys", "list", "-k", "north", "--json", secrets="store").json["keys"][0]
    wrong = f"{int(row['check_value'], 16) ^ 1:06X}"
    assert (
        campus("keys", "remove", row["name"], "--check-value", wrong, "-k", "north", secrets="store").code
        == 1
    )
    right = campus(
        "keys", "remove", row["name"], "--check-value", row["check_value"], "-k", "north", secrets="store"
    )
    assert right.code == 0
    left = campus("keys", "list", "-k", "north", "--json", secrets="store").json["keys"]
    assert row["name"] not in {each["name"] for each in left}


def test_the_passphrase_is_changed(campus: Campus, north: Said) -> None:
    assert campus("keys", "passphrase", "-k", "north", secrets="store new").code == 0
    old = campus("keys", "list", "-k", "north", secrets="store")
    assert (old.code, "not the passphrase" in old.err) == (1, True)
    assert campus("keys", "list", "-k", "north", secrets="new").code == 0


def test_a_passphrase_comes_from_an_open_descriptor(campus: Campus, north: Said, tmp_path: Path) -> None:
    with (tmp_path / "store").open("rb") as file:
        said = campus("keys", "list", "-k", "north", "--passphrase-fd", file.fileno())
    assert said.code == 0


def test_a_transport_key_comes_from_a_file(campus: Campus, north: Said, tmp_path: Path) -> None:
    key = "404142434445464748494A4B4C4D4E4F"
    (tmp_path / "maker").write_text(key)
    took = campus(
        *("keys", "transport", "--version", 0, "--algorithm", "3des", "--key-file", "maker", "-k", "north"),
        "--json",
        secrets="store",
    )
    assert took.json["name"] == f"campus/{ISSUER.hex()}/transport/0/3des"
    assert key not in took.out + took.err
    (tmp_path / "maker").write_text(key[:-1])
    wrong = campus(
        *("keys", "transport", "--version", 1, "--algorithm", "3des", "--key-file", "maker", "-k", "north"),
        secrets="store",
    )
    assert wrong.code == 1
    assert key[:8] not in wrong.out + wrong.err


def test_progress_and_minimum_of_a_range(campus: Campus, tmp_path: Path) -> None:
    from campus_node.purse.key_writing import KeyInCard

    (tmp_path / "keys").mkdir()
    book = RotationBook(tmp_path / "keys" / "rotation.sqlite")
    for serial in range(3):
        row = KeyInCard(0x02, 1, 2 if serial else 1, 4 if serial else 0)
        book.note(bytes.fromhex(f"0000000100000000{serial:04}"), [row], VirtualClock())
    book.close()
    told = campus("keys", "progress", "--book", "keys", "--json").json
    assert told == {
        "usage": "purchase",
        "cards": 3,
        "versions": [{"versions": "2/sm4", "cards": 2}, {"versions": "1/3des", "cards": 1}],
    }
    limits = ("--first", "00000001000000000000", "--last", "00000001000000009999")
    assert (
        campus("keys", "minimum", *limits, "--version", 2, "--algorithm", "sm4", "--book", "keys").code == 0
    )
    lower = campus("keys", "minimum", *limits, "--version", 1, "--book", "keys")
    assert (lower.code, "never goes down" in lower.err) == (1, True)
    assert campus("keys", "minimum", "--book", "keys", "--json").json["minimums"] == [
        {"first": limits[1], "last": limits[3], "version": 2, "algorithm": "sm4"}
    ]


@pytest.mark.softhsm
def test_a_key_store_on_a_token(
    campus: Campus, softhsm: Path, free_tokens: Iterator[str], tmp_path: Path
) -> None:
    (tmp_path / "pin").write_text(TOKEN_PIN)
    place = ("-k", f"pkcs11:{next(free_tokens)}", "--pkcs11-module", softhsm)
    script = [sys.executable, "-m", "campus_node.cli", "keys"]  # a process each: a token is open once in one
    for arguments in (["create", "--issuer", ISSUER.hex()], ["list", "--json"]):
        said = subprocess.run(
            [*script, *arguments, *map(str, place), "--passphrase-file", "pin"],
            capture_output=True,
            text=True,
            check=True,
            cwd=tmp_path,
        )
        assert TOKEN_PIN not in said.stdout + said.stderr
    kept = {row["name"].split("/")[-1]: row["place"] for row in json.loads(said.stdout)["keys"]}
    assert kept == {"3des": "token", "sm4": "enveloped"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("keys", "create", "-k", "x", "--issuer", "4355"),
        ("keys", "remove", "campus/4355434100000001/load/1/sm4", "--check-value", "no", "-k", "x"),
        ("keys", "list"),
        ("keys", "create", "-k", "x", "--issuer", "4355434100000001", "--passphrase", "secret"),
    ],
)
def test_wrong_usage_ends_with_2_and_there_is_no_option_for_a_secret(
    campus: Campus, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CAMPUS_KEY_STORE", raising=False)
    assert campus(*arguments).code == 2


def test_the_default_costs_a_guesser_something() -> None:
    assert sealing.DEFAULT_COST.memory_kib >= 64 * 1024
    assert sealing.DEFAULT_COST.iterations >= 3


def test_a_card_is_made_upgraded_and_counted(
    campus: Campus, supplied: Said, tmp_path: Path, without_values: Callable[[str], Path], clock: VirtualClock
) -> None:
    """From a blank card with 3DES keys to SM4 keys of version 2, as a card office does it."""
    (tmp_path / "maker").write_text(TRANSPORT_KEY.hex())
    here = ("-k", "north")
    transport = ("keys", "transport", "--version", 0, "--algorithm", "3des", "--key-file", "maker")
    assert campus(*transport, *here, secrets="store").code == 0
    assert campus("keys", "rotate", *here, secrets="store").code == 0
    store = SealedFile.open(tmp_path / "north", SECRETS["store"])
    store.draw(campus_key(Usage.PURCHASE, 2, Algorithm.SM4, ISSUER), clock)
    at_reader = ("--reader", "soft:card-blank,state=my.card")
    made = campus(
        *(
            "card",
            "personalise",
            *at_reader,
            "--key-store",
            "north",
            "--profile",
            without_values("card-3des"),
        ),
        secrets="store",
    )
    assert made.code == 0, made.err
    new_keys = without_values("card-sm4")
    text = new_keys.read_text(encoding="utf-8")
    keys, heading, master = text.partition("[[mf_key]]")
    keys = re.sub(r"index = 1\nversion = \d", "index = 2\nversion = 2", keys)
    new_keys.write_text(keys + heading + master.replace("version = 1", "version = 2"))
    counts = []
    for options in (("--keep-old",), (), ()):
        said = campus(
            *("keys", "upgrade", *at_reader, "--profile", new_keys, *options, *here, "--json"),
            secrets="store",
        )
        assert said.code == 0, said.err
        counts.append(said.json["changes"])
        progress = campus("keys", "progress", "--book", "north", "--json").json["versions"]
        expected = "1/3des + 2/sm4" if options else "2/sm4"
        assert progress == [{"versions": expected, "cards": 1}]
    assert counts == [11, 10, 0]  # the master file's own key is among the first
