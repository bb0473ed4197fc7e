"""protos/ follows its rules, and the committed stubs are what protoc makes of it."""

import filecmp
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tidy.proto_descriptors import load
from tests.tidy.proto_rules import complaints
from tests.tidy.source_files import ROOT

GOOD = """
syntax = "proto3";
package demo.v1;

// What a payment asks for.
message PayRequest {
  // In fen, above zero.
  int64 amount_fen = 1;
  // Chosen by the payer; 16 bytes.
  bytes transfer_id = 2;
  // How long to wait, in ms.
  uint32 valid_for_ms = 3;
}

// What became of it.
message PayResponse {}

// How it ended.
enum Outcome {
  // Not stated.
  OUTCOME_UNSPECIFIED = 0;
}

// Takes payments.
service Payments {
  // Pays once.
  rpc Pay(PayRequest) returns (PayResponse);
}
"""


def lint(folder: Path, text: str) -> list[str]:
    file = folder / "demo" / "v1" / "demo.proto"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    return [line for descriptor in load(folder) for line in complaints(descriptor)]


def test_every_message_and_field_says_what_it_is_with_unit_and_size() -> None:
    found = [line for file in load(ROOT / "protos") for line in complaints(file)]
    assert not found, "\n".join(found)


def test_the_rules_accept_a_good_file(tmp_path: Path) -> None:
    assert lint(tmp_path, GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("  // In fen, above zero.\n", "", "PayRequest.amount_fen has no comment"),
        ("In fen, above zero.", "Above zero.", "state the unit"),
        ("int64 amount_fen", "double amount_fen", "is a float"),
        ("; 16 bytes.", ".", "state the size"),
        (", in ms.", ".", "state the unit"),
        ("// What became of it.\n", "", "PayResponse has no comment"),
        ("  // Not stated.\n", "", "OUTCOME_UNSPECIFIED has no comment"),
        ("  // Pays once.\n", "", "Payments.Pay has no comment"),
        ("OUTCOME_UNSPECIFIED", "OUTCOME_UNKNOWN", "name it OUTCOME_UNSPECIFIED"),
        ("PayResponse", "Paid", "not …Request and …Response"),
        ("bytes transfer_id", "bytes transferId", "is not lower_snake_case"),
        ("package demo.v1", "package demo.v2", "does not lie in a folder"),
    ],
)
def test_the_rules_find_what_is_missing(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    assert complaint in "\n".join(lint(tmp_path, GOOD.replace(old, new)))


def test_the_committed_stubs_are_fresh(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, ROOT / "scripts" / "protos", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert made.returncode == 0, made.stderr

    fresh, committed = tmp_path / "campuscard", ROOT / "campuscard"
    names = sorted(_files(fresh) | _files(committed))
    assert names
    _, different, missing = filecmp.cmpfiles(fresh, committed, names, shallow=False)
    assert not different + missing, f"run `make protos` and commit campuscard/: {different + missing}"


def _files(folder: Path) -> set[str]:
    paths = folder.rglob("*")
    return {str(p.relative_to(folder)) for p in paths if p.is_file() and "__pycache__" not in p.parts}
