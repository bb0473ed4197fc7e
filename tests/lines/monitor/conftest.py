"""One real conversation over a bus, heard by a bystander and written to files; and tshark."""

import shutil
from pathlib import Path
from typing import NamedTuple

import can
import pytest

from campus_node.lines.monitor.recording import write_capture
from tests.lines.monitor.exchange import capture_of_a_conversation, key_file

ADVICE = "tshark is missing: scripts/services tshark (Debian: apt-get install tshark)"


class Capture(NamedTuple):
    """What a bystander heard, in memory and in files."""

    messages: list[can.Message]
    log: Path
    blf: Path
    key: Path


@pytest.fixture(scope="session")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Capture:
    directory = tmp_path_factory.mktemp("capture")
    messages = capture_of_a_conversation(directory)
    assert len(messages) > 100
    files = [directory / "conversation.log", directory / "conversation.blf"]
    for path in files:
        write_all(path, messages)
    return Capture(messages, files[0], files[1], key_file(directory))


@pytest.fixture
def tshark() -> str:
    found = shutil.which("tshark")
    if found is None:
        pytest.skip(ADVICE)
    return found


def write_all(path: Path, messages: list[can.Message]) -> None:
    """Write a capture."""
    writing = write_capture(path)
    for message in messages:
        writing.write(message)
    writing.close()
