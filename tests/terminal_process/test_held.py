"""What a terminal was told outlives it: hotlists with and without a pinned key, parameters (A15, B2.3)."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from campus_node.spending import parameters as p
from campus_node.spending.parameter_values import ParametersWrong
from campus_node.terminal.held import Held
from campuscard.v1 import terminal_pb2 as wire
from federation.hotlist import Hotlist, IssuedRange, Reason
from federation.hotlist_delta import HotlistForged, between, sign
from federation.hotlist_wire import delta_message, whole_message

ISSUER = bytes.fromhex("4355434100000001")
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
FIRST = 1_000_000_000_000


def listed(version: int, *numbers: int) -> Hotlist:
    return Hotlist(ISSUER).changed(
        version, {FIRST + each: Reason.LOST for each in numbers}, (), (IssuedRange(FIRST, 1000),)
    )


def held_at(directory: Path, *, pinned: bool) -> Held:
    keys = {ISSUER: [KEY.public_key()]} if pinned else {}
    return Held(directory, keys, lambda: 1_000)


def unsigned(message: wire.HotlistDelta) -> wire.HotlistDelta:
    message.signature = b""
    return message


@pytest.mark.parametrize("pinned", [True, False])
def test_a_list_and_a_delta_to_it_are_there_after_a_restart(tmp_path: Path, pinned: bool) -> None:
    one, two = sign(listed(1, 5), KEY), sign(listed(2, 5, 9), KEY)
    held = held_at(tmp_path, pinned=pinned)
    heard: list[int] = []
    held.on_hotlist = lambda hotlist: heard.append(hotlist.version)
    assert held.take_hotlist(whole_message(one))
    assert held.take_hotlist(delta_message(between(one.hotlist, two)))
    assert held.take_hotlist(whole_message(one)), "an older one changes nothing and is no mistake"
    assert heard == [1, 2]
    held.close()
    again = held_at(tmp_path, pinned=pinned)
    (hotlist,) = again.hotlists
    assert hotlist == two.hotlist
    assert [(each.issuer, each.version) for each in again.versions()] == [(ISSUER, 2)]
    again.close()


def test_a_delta_from_a_version_that_is_not_here_does_not_fit(tmp_path: Path) -> None:
    for pinned in (True, False):
        held = held_at(tmp_path / str(pinned), pinned=pinned)
        two, three = listed(2, 5), sign(listed(3, 5, 9), KEY)
        assert not held.take_hotlist(delta_message(between(two, three)))
        assert held.hotlists == []
        held.close()


def test_an_issuer_whose_key_is_pinned_is_believed_by_its_signature_alone(tmp_path: Path) -> None:
    held = held_at(tmp_path, pinned=True)
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    for message in (
        whole_message(sign(listed(1, 5), stranger)),
        unsigned(delta_message(between(Hotlist(ISSUER), sign(listed(1, 5), KEY)))),
    ):
        with pytest.raises(HotlistForged):
            held.take_hotlist(message)
    assert held.hotlists == []
    held.close()


def test_an_issuer_without_a_key_is_believed_as_the_campus_passes_it_on(tmp_path: Path) -> None:
    held = held_at(tmp_path, pinned=False)
    assert held.take_hotlist(unsigned(delta_message(between(Hotlist(ISSUER), sign(listed(1, 5), KEY)))))
    assert [len(each) for each in held.hotlists] == [1]
    held.close()
    pinned = held_at(tmp_path, pinned=True)  # its key was pinned since: ask anew
    assert pinned.hotlists == []
    pinned.close()


def parameters(version: int, effective_at_unix_ms: int, **texts: str) -> wire.Parameters:
    return wire.Parameters(
        version=version,
        effective_at_unix_ms=effective_at_unix_ms,
        parameters=[wire.Parameter(name=name, value=value) for name, value in texts.items()],
    )


def test_parameters_that_wait_for_their_instant_outlive_a_restart(tmp_path: Path) -> None:
    held = held_at(tmp_path, pinned=False)
    assert held.take_parameters(parameters(3, 0, payment_max_fen="700"))
    assert held.take_parameters(parameters(4, 9_000, payment_max_fen="900"))
    assert held.take_parameters(parameters(2, 0, payment_max_fen="1")), "an older one changes nothing"
    held.close()
    again = held_at(tmp_path, pinned=False)
    schedule = again.schedule
    assert (schedule.current.number, schedule.latest) == (3, 4)
    assert schedule.current.values.of(p.PAYMENT_MAX) == 700
    assert schedule.at(9_000).current.values.of(p.PAYMENT_MAX) == 900
    again.close()


def test_wrong_parameters_change_nothing(tmp_path: Path) -> None:
    held = held_at(tmp_path, pinned=False)
    with pytest.raises(ParametersWrong):
        held.take_parameters(parameters(1, 0, payment_max_fen="a lot"))
    assert held.schedule.latest == 0
    held.close()


def test_when_an_issuer_was_last_heard_of_outlives_a_restart(tmp_path: Path) -> None:
    held = held_at(tmp_path, pinned=False)
    held.take_hotlist(whole_message(sign(listed(1, 5), KEY)))
    assert held.heard(1_700_000_000_000) == [ISSUER]
    held.close()
    again = held_at(tmp_path, pinned=False)
    assert again.heard_unix_ms(ISSUER) == 1_700_000_000_000
    again.close()
