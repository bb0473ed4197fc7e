"""The notice desk: what is signed is newer than ever, and everybody gets what he lacks (A15, rule 32)."""

import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine, delete, update

from campus_node.database.connect import writing
from campus_node.lines import notice
from campus_node.lines.can.broadcast import NOTICE_BYTES_MAX
from campus_node.notices.desk import NoticeDesk
from campus_node.notices.hotlists import CHANGED_MAX, HotlistChange
from campus_node.notices.key import signing_key
from campus_node.notices.tables import announcements, hotlist_entries, hotlists, notice_head
from campus_node.operators import audit
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import VirtualClock
from federation.errors import NotFound, Refused
from tests.firmware.conftest import ALICE

ISSUER = bytes.fromhex("1000000000000012")
LOST = wire.HOTLIST_REASON_LOST
TILL = bytes(5) + b"\x01"
OTHER = bytes(5) + b"\x02"


def asn(number: int) -> bytes:
    return bytes.fromhex(f"{number:020d}")


def listed(*numbers: int) -> HotlistChange:
    return HotlistChange(ISSUER, dict.fromkeys(map(asn, numbers), LOST))


def report(version: int = 0, parameters: int = 0) -> wire.TerminalReport:
    said = wire.TerminalReport(parameters_version=parameters)
    if version:
        said.hotlists.add(issuer=ISSUER, version=version)
    return said


def keys(desk: NoticeDesk) -> dict[bytes, Ed25519PublicKey]:
    key = Ed25519PublicKey.from_public_bytes(desk.public_key)
    return {notice.key_id(key): key}


def told(desk: NoticeDesk, gateway: str = "canteen", mark: int = 0) -> dict[str, list[pb.NodeToGateway]]:
    by_body: dict[str, list[pb.NodeToGateway]] = {}
    for message in desk.told_since(gateway, mark).messages:
        by_body.setdefault(str(message.WhichOneof("body")), []).append(message)
    return by_body


def content(desk: NoticeDesk, order: pb.Order) -> bytes:
    announced = notice.hear(order.notice, keys(desk), 0, 0).notice.manifest
    return desk.shelf.get(announced.hash)


def test_a_revocation_is_one_signed_notice_that_fits_onto_a_bus(desk: NoticeDesk) -> None:
    assert desk.change_hotlist(ALICE, listed(1), "lost").urgent
    (message,) = told(desk)["notice"]
    assert len(message.notice) <= NOTICE_BYTES_MAX
    heard = notice.hear(message.notice, keys(desk), 0, 0).notice
    assert (heard.hotlist.from_version, heard.hotlist.to_version) == (0, 1)
    assert [entry.asn for entry in heard.hotlist.added] == [asn(1)]
    (versions,) = told(desk)["hotlists"]
    assert [(v.issuer, v.version) for v in versions.hotlists.versions] == [(ISSUER, 1)]


def test_the_same_change_again_says_nothing(desk: NoticeDesk) -> None:
    first = desk.change_hotlist(ALICE, listed(1), "lost")
    mark = desk.told_since("canteen", 0).mark
    assert desk.change_hotlist(ALICE, listed(1), "lost").version == first.version == 1
    assert desk.told_since("canteen", mark).messages == []


def test_numbers_of_notices_never_come_again_even_if_the_database_is_restored(
    desk: NoticeDesk, db: Engine, clock: VirtualClock
) -> None:
    numbers = []
    for number in range(3):
        desk.change_hotlist(ALICE, listed(number), "lost")
    numbers += [_number(desk, message) for message in told(desk)["notice"]]
    with writing(db) as connection:  # a backup from before all of this comes back
        for table in (notice_head, announcements, hotlists, hotlist_entries):
            connection.execute(delete(table))
        connection.execute(delete(notice_head.metadata.tables["hotlist_changes"]))
    clock.advance(1000)
    desk.change_hotlist(ALICE, listed(9), "lost")
    numbers += [_number(desk, message) for message in told(desk)["notice"]]
    assert numbers == sorted(set(numbers))
    clock.step(-3_600_000)  # the clock was set back: the last number still counts
    desk.change_hotlist(ALICE, listed(10), "lost")
    assert max(_number(desk, message) for message in told(desk)["notice"]) > numbers[-1]


def _number(desk: NoticeDesk, message: pb.NodeToGateway) -> int:
    return notice.hear(message.notice, keys(desk), 0, 0).notice.number


def test_any_delta_leads_to_the_same_list_as_everything_anew(desk: NoticeDesk, seed: int) -> None:
    rng = random.Random(seed)
    states: list[dict[bytes, int]] = [{}]
    for _ in range(25):
        now = dict(states[-1])
        added = {asn(rng.randrange(40)): rng.randrange(5) for _ in range(rng.randrange(4))}
        removed = frozenset(rng.sample(sorted(now), min(len(now), rng.randrange(3)))) - added.keys()
        desk.change_hotlist(ALICE, HotlistChange(ISSUER, added, removed), "random")
        now = {card: reason for card, reason in (now | added).items() if card not in removed}
        if now != states[-1]:
            states.append(now)
    newest = len(states) - 1
    assert desk.hotlist_versions() == {ISSUER: newest}
    for version, before in enumerate(states[:-1]):
        delta = desk.hotlist_delta(ISSUER, version)
        assert delta is not None
        assert (delta.from_version, delta.to_version) == (version, newest)
        after = {card: reason for card, reason in before.items() if card not in set(delta.removed)}
        after |= {entry.asn: entry.reason for entry in delta.added}
        assert after == states[-1]
    assert desk.hotlist_delta(ISSUER, newest) is None


def test_many_cards_are_ordered_for_those_who_lack_them_and_not_twice(
    desk: NoticeDesk, clock: VirtualClock
) -> None:
    desk.change_hotlist(ALICE, listed(1), "lost")
    desk.take_reports("canteen", {TILL: report(1), OTHER: report(1)})
    assert "order" not in told(desk), "they have the newest"
    assert not desk.change_hotlist(ALICE, listed(*range(2, 102)), "a batch").urgent
    (message,) = told(desk)["order"]
    assert list(message.order.terminal_ids) == [TILL, OTHER]
    delta = wire.HotlistDelta.FromString(content(desk, message.order))
    assert (delta.from_version, delta.to_version, len(delta.added)) == (1, 2, 100)
    desk.take_reports("canteen", {TILL: report(1), OTHER: report(1)})
    assert told(desk)["order"] == [message], "it is under way"
    clock.advance(11 * 60_000)
    desk.take_reports("canteen", {TILL: report(1), OTHER: report(2)})
    open_orders = [each for each in told(desk)["order"] if each.order.terminal_ids]
    assert [list(each.order.terminal_ids) for each in open_orders][-1] == [TILL]
    assert "order" not in told(desk, "library"), "another gateway has nothing to do with it"


def test_a_terminal_without_a_list_gets_all_of_it(desk: NoticeDesk) -> None:
    desk.change_hotlist(ALICE, listed(1, 2), "lost")
    desk.change_hotlist(ALICE, listed(3), "lost")
    desk.take_reports("canteen", {TILL: report(0)})
    (message,) = told(desk)["order"]
    delta = wire.HotlistDelta.FromString(content(desk, message.order))
    assert (delta.from_version, delta.to_version) == (0, 2)
    assert {entry.asn for entry in delta.added} == {asn(1), asn(2), asn(3)}


def test_after_a_restore_versions_go_above_what_terminals_have_and_they_get_everything_anew(
    desk: NoticeDesk, db: Engine
) -> None:
    for number in range(5):
        desk.change_hotlist(ALICE, listed(number), "lost")
    with writing(db) as connection:
        connection.execute(update(hotlists).values(version=3))
    desk.take_reports("canteen", {TILL: report(5)})
    assert desk.hotlist_versions() == {ISSUER: 6}
    (message,) = told(desk)["order"]
    delta = wire.HotlistDelta.FromString(content(desk, message.order))
    assert (delta.from_version, delta.to_version, len(delta.added)) == (0, 6, 5)


def test_parameters_have_versions_and_the_same_again_is_none(desk: NoticeDesk) -> None:
    desk.take_reports("canteen", {TILL: report()})
    assert desk.set_parameters(ALICE, {"limit_fen": "2000"}, 0, "first") == 1
    assert desk.set_parameters(ALICE, {"limit_fen": "2000"}, 0, "again") == 1
    assert desk.set_parameters(ALICE, {"limit_fen": "3000"}, 1_788_300_000_000, "more") == 2
    (message,) = told(desk)["parameters"]
    assert message.parameters.parameters.version == 2
    assert message.parameters.parameters.effective_at_unix_ms == 1_788_300_000_000
    opened = [each.order for each in told(desk)["order"] if each.order.terminal_ids]
    assert wire.Parameters.FromString(content(desk, opened[-1])) == message.parameters.parameters
    assert len(opened) == 1, "the first version's order is called off"


def test_an_order_is_over_when_every_terminal_said_so_itself(desk: NoticeDesk) -> None:
    desk.take_reports("canteen", {TILL: report(0), OTHER: report(0)})
    desk.change_hotlist(ALICE, listed(*range(1, 50)), "a batch")
    (message,) = told(desk)["order"]
    digest = notice.hear(message.order.notice, keys(desk), 0, 0).notice.manifest.hash
    progress = pb.OrderProgress(order=message.order.order)
    active = wire.DistributionReport(hash=digest, state=wire.DISTRIBUTION_STATE_ACTIVE)
    progress.terminals.add(terminal_id=TILL, report=active)
    progress.terminals.add(terminal_id=OTHER, silent=True)
    desk.take_progress("canteen", progress)
    assert "order" in told(desk)
    progress.terminals[1].report.CopyFrom(active)
    desk.take_progress("canteen", progress)
    assert "order" not in told(desk)
    desk.take_progress("canteen", progress)  # said again: nothing changes


def test_nobody_tells_of_what_is_not_his(desk: NoticeDesk) -> None:
    desk.take_reports("canteen", {TILL: report(0)})
    desk.change_hotlist(ALICE, listed(*range(1, 50)), "a batch")
    (message,) = told(desk)["order"]
    progress = pb.OrderProgress(order=message.order.order)
    with pytest.raises(Refused, match="no order"):
        desk.take_progress("library", progress)
    progress.terminals.add(terminal_id=OTHER)
    with pytest.raises(Refused, match="not for terminal"):
        desk.take_progress("canteen", progress)


def test_changes_leave_their_trail(desk: NoticeDesk, db: Engine) -> None:
    desk.change_hotlist(ALICE, listed(1), "reported at the desk")
    desk.set_parameters(ALICE, {"limit_fen": "2000"}, 0, "first")
    assert [(e.action, e.operator) for e in audit.entries(db)] == [
        ("parameters.change", "alice"),
        ("hotlist.change", "alice"),
    ]


def test_what_cannot_be_listed_is_refused() -> None:
    too_many = dict.fromkeys(map(asn, range(CHANGED_MAX + 1)), LOST)
    for wrong in ({bytes(9): LOST}, {asn(1): 99}, too_many):
        with pytest.raises(Refused):
            HotlistChange(ISSUER, wrong)
    with pytest.raises(Refused):
        HotlistChange(bytes(7))
    with pytest.raises(Refused):
        HotlistChange(ISSUER, {asn(1): LOST}, frozenset({asn(1)}))


def test_the_shelf_gives_parts_and_whole_and_nothing_that_decayed(desk: NoticeDesk, tmp_path: Path) -> None:
    image = random.Random("shelf").randbytes(150_000)
    digest = desk.shelf.put(image)
    assert desk.shelf.part(digest, 65_536) == image[65_536:131_072]
    assert desk.shelf.part(digest, 150_000) == b""
    assert desk.shelf.get(digest) == image
    (file,) = (tmp_path / "distribution").iterdir()
    file.write_bytes(image[:-1] + b"\0")
    for nowhere in (digest, bytes(32), b"../../etc/passwd"):
        with pytest.raises(NotFound):
            desk.shelf.get(nowhere)


def test_the_key_is_made_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    first = signing_key(tmp_path)
    assert signing_key(tmp_path).private_bytes_raw() == first.private_bytes_raw()
    assert (tmp_path / "notice.key").stat().st_mode & 0o077 == 0
    assert isinstance(first, Ed25519PrivateKey)
