"""Images and rollouts on the command line (B4.4)."""

from pathlib import Path

import pytest

from tests.campus.conftest import Campus

ALICE = ("--operator", "alice", "--reason", "new readers")
BOB = ("--operator", "bob", "--reason", "new till")


@pytest.fixture
def image(campus: Campus, tmp_path: Path, north: Path) -> Path:
    """An image whose maker the campus believes."""
    content = tmp_path / "pos.bin"
    content.write_bytes(b"firmware" * 100)
    assert campus("firmware", "key").code == 0
    out = tmp_path / "pos-7.fw"
    key = north / "pki" / "firmware.key"
    about = ("--model", "pos-2", "--version", "7")
    signed = campus("firmware", "sign", content, "--key", key, *about, "--out", out)
    assert signed.code == 0, signed.err
    return out


def test_an_image_is_signed_shown_and_believed_where_the_key_is_known(
    campus: Campus, image: Path, north: Path
) -> None:
    shown = campus("firmware", "show", str(image), "--json")
    assert shown.code == 0
    assert (shown.json["model"], shown.json["version"], shown.json["believed"]) == ("pos-2", 7, True)
    (north / "pki" / "firmware.pub").unlink()
    assert campus("firmware", "show", str(image)).code == 1
    image.write_bytes(b"no image")
    assert "is no firmware image" in campus("firmware", "show", str(image)).err


def test_a_key_is_never_overwritten(campus: Campus, image: Path, north: Path) -> None:
    before = (north / "pki" / "firmware.key").read_bytes()
    assert campus("firmware", "key").code == 1
    assert (north / "pki" / "firmware.key").read_bytes() == before
    assert (north / "pki" / "firmware.key").stat().st_mode & 0o077 == 0


def test_a_rollout_begins_stands_still_goes_on_and_ends(staff: None, campus: Campus, image: Path) -> None:
    assert "no terminal of the model pos-2" in campus("firmware", "rollout", str(image), *ALICE).err
    for number, ring in (("1", "0"), ("2", "1")):
        named = (f"till-{number}", "--number", f"{number:0>12}", "--psam", f"{number:0>20}")
        serves = ("--gateway", "canteen", "--merchant", "merchant-payable/1", "--model", "pos-2")
        registered = campus("terminal", "register", *named, *serves, "--ring", ring, *BOB)
        assert registered.code == 0, registered.err
    assert campus("firmware", "rollout", str(image), *BOB).code == 1, "who sells cards changes no firmware"
    begun = campus("firmware", "rollout", str(image), "--force", *ALICE, "--json").json
    assert (begun["id"], begun["state"], begun["ring"], begun["of"]) == ("pos-2-7", "running", 0, 2)
    assert [t["state"] for t in begun["terminals"]] == ["waiting", "waiting"]
    assert campus("firmware", "pause", "pos-2-7", *ALICE, "--json").json["state"] == "paused"
    assert campus("firmware", "resume", "pos-2-7", *ALICE, "--json").json["state"] == "running"
    assert "till-1" in campus("firmware", "status", "pos-2-7").out
    assert campus("firmware", "stop", "pos-2-7", *ALICE, "--json").json["state"] == "stopped"
    assert campus("firmware", "resume", "pos-2-7", *ALICE).code == 1
    assert campus("firmware", "status", "unknown").code == 1
    (listed,) = campus("firmware", "status", "--json").json["rollouts"]
    assert listed["state"] == "stopped"
    assert "已终止" in campus("--lang", "zh", "firmware", "status").out
    actions = [entry["action"] for entry in campus("audit", "list", "--json").json["entries"]]
    assert actions[:4] == ["firmware.stopped", "firmware.running", "firmware.paused", "firmware.begin"]
