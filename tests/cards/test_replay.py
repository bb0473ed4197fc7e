"""A trace is played against a card again: the same card answers the same, every other difference is found."""

import re
from pathlib import Path

import pytest

from campus_node.purse.apdu import exchange
from campus_node.purse.commands import get_challenge, select_name
from campus_node.purse.trace import Trace
from campus_node.purse.trace_file import read_trace
from federation.clock import VirtualClock
from hil_rig.replay import TraceExhausted, fill_in, recorded_random, replay
from hil_rig.virtual.card import VirtualCard
from hil_rig.virtual.in_process import VirtualReader
from hil_rig.virtual.profile import load_card_profile
from tests.cards.conftest import Desk

AID = bytes.fromhex("A00000000386980701")


@pytest.fixture
def trace(desk: Desk) -> Path:
    """A purchase by a new card that was loaded in the same session: the trace of both."""
    path = desk.directory / "load.trace"
    said = desk.campus("card", "load", "--reader", "soft:card-3des", "--amount-fen", 700, "--trace", path)
    assert said.code == 0, said.err
    return path


def test_the_same_card_answers_the_same_to_the_byte(desk: Desk, trace: Path) -> None:
    told = desk.campus("card", "replay", trace, "--reader", "soft:card-3des", "--json")
    assert told.code == 0
    assert told.json["same"] is True
    assert (told.json["sent"], told.json["skipped"]) == (4, 0)  # SELECT, VERIFY, INIT, CREDIT
    assert told.json["hidden_bytes"] == 4, "of the card number; the PIN is filled in from the profile"
    assert told.json["compared_bytes"] > 50


def test_a_purchase_with_its_psam_is_played_again(desk: Desk) -> None:
    desk.load(700)
    (desk.directory / "copy").write_bytes((desk.directory / "card-sm4").read_bytes())
    path = desk.directory / "trace"
    said = desk.campus("card", "purchase", "--reader", desk.card(), "--sam", "soft:psam", "--amount-fen", 5,
                       "--trace", path)  # fmt: skip
    assert said.code == 0, said.err
    copy = f"soft:card-sm4,state={desk.directory / 'copy'}"
    told = desk.campus("card", "replay", path, "--reader", copy, "--sam", "soft:psam", "--json")
    assert told.json["same"] is True, told.json
    assert told.json["skipped"] == 0
    again = desk.campus("card", "replay", path, "--reader", copy, "--sam", "soft:psam", "--json").json
    assert again["same"] is False, "the card has paid meanwhile"
    assert again["difference"]["command"].startswith("80500102"), "its balance is the first that differs"


@pytest.mark.parametrize("place", range(5))
def test_a_changed_byte_is_found_where_it_is(desk: Desk, trace: Path, place: int) -> None:
    lines = trace.read_text(encoding="utf-8").splitlines()
    answers = [i for i, line in enumerate(lines) if line.startswith("  < ")]
    line = answers[min(place, len(answers) - 1)]
    digits = [i for i, digit in enumerate(lines[line]) if digit in "0123456789ABCDEF" and i > 3]
    changed = digits[-1 - place]
    new = f"{(int(lines[line][changed], 16) + 1) % 16:X}"
    lines[line] = lines[line][:changed] + new + lines[line][changed + 1 :]
    trace.write_text("\n".join(lines) + "\n", encoding="utf-8")

    told = desk.campus("card", "replay", trace, "--reader", "soft:card-3des", "--json")
    assert told.code == 1
    difference = told.json["difference"]
    position = (len(re.sub(" ", "", lines[line][4:])) - 1 - place) // 2
    head = max(i for i, text in enumerate(lines[:line]) if re.match(r"\d{4}-", text))
    assert (difference["line"], difference["position"]) == (head + 1, position)
    assert difference["expected"].replace(" ", "") == lines[line][4:].replace(" ", "")
    shown = desk.campus("card", "replay", trace, "--reader", "soft:card-3des", "--lang", "zh")
    assert "应答不同。" in shown.out


def test_without_the_profiles_pin_the_command_is_skipped_counted_and_named_as_a_cause(
    tmp_path: Path, trace: Path
) -> None:
    found = read_trace(trace)
    card = VirtualCard(load_card_profile("card-3des"), None, recorded_random(found, "card"))
    outcome = replay(found, {"card": VirtualReader(card).channel()})
    assert outcome.skipped == 1
    assert outcome.difference is not None, "the card wants the PIN before a load"
    assert outcome.difference.skipped_before == 1
    assert outcome.difference.answered.endswith(("6982", "6985"))


def test_a_device_that_is_not_there_is_skipped(trace: Path) -> None:
    outcome = replay(read_trace(trace), {})
    assert (outcome.sent, outcome.skipped, outcome.difference) == (0, 4, None)


def test_a_replay_that_sends_nothing_has_shown_nothing(desk: Desk, trace: Path) -> None:
    said = desk.campus("card", "replay", trace, "--sam", "soft:psam", "--json")
    assert (said.code, said.json["sent"]) == (1, 0)


def test_a_real_cards_own_random_number_is_the_first_difference(trace: Path) -> None:
    found = read_trace(trace)
    profile = load_card_profile("card-3des")
    channel = VirtualReader(VirtualCard(profile)).channel()
    outcome = replay(found, {"card": channel}, fill_in(profile.asn, profile.pin))
    assert outcome.difference is not None
    assert outcome.difference.command.startswith("80500002")
    assert outcome.difference.position >= 8, "balance, counter, version and algorithm are the same"


def test_a_card_that_draws_otherwise_than_the_trace_is_told(tmp_path: Path) -> None:
    path = tmp_path / "trace"
    with Trace(path, VirtualClock()) as trace:
        channel = trace.channel(VirtualReader(VirtualCard(load_card_profile("card-3des"))).channel(), "card")
        exchange(channel, select_name(AID))
    draw = recorded_random(read_trace(path), "card")
    card = VirtualCard(load_card_profile("card-3des"), None, draw)
    with pytest.raises(TraceExhausted):
        exchange(VirtualReader(card).channel(), get_challenge(8))
