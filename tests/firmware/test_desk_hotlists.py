"""What the desk issues is signed: a terminal that pinned the issuer's key takes it, in full and by deltas."""

import random
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from campus_node.lines import notice
from campus_node.notices.desk import NoticeDesk
from campus_node.notices.hotlists import HotlistChange
from campus_node.notices.key import HOTLIST_FILE_NAME, signing_key
from campuscard.v1 import terminal_pb2 as wire
from federation.errors import Refused
from federation.hotlist import Reason, asn_of
from federation.hotlist_delta import Delta, HotlistForged
from federation.hotlist_reception import Reception, Taken
from federation.hotlist_wire import read
from tests.firmware.conftest import ALICE

ISSUER = bytes.fromhex("1000000000000012")
LOST = wire.HOTLIST_REASON_LOST


def listed(*numbers: int) -> HotlistChange:
    return HotlistChange(ISSUER, dict.fromkeys(map(asn_of, numbers), LOST))


def a_terminal(hotlist_key: Ed25519PrivateKey) -> Reception:
    return Reception(ISSUER, [hotlist_key.public_key()])


def issued(desk: NoticeDesk, from_version: int) -> Delta:
    message = desk.hotlist_delta(ISSUER, from_version)
    assert message is not None
    delta = read(message)
    assert isinstance(delta, Delta)
    return delta


def test_a_terminal_takes_everything_anew_and_each_delta_after_it(
    desk: NoticeDesk, hotlist_key: Ed25519PrivateKey, seed: int
) -> None:
    rng = random.Random(seed)
    receptions = [a_terminal(hotlist_key)]  # each begins at another version and is told all that follows
    expected: dict[int, Reason] = {}
    for _ in range(12):
        number = rng.randrange(60)
        added = {asn_of(card): rng.randrange(1, 5) for card in range(number, number + rng.randrange(1, 9))}
        gone = frozenset(map(asn_of, rng.sample(sorted(expected), min(len(expected), 2)))) - added.keys()
        desk.change_hotlist(ALICE, HotlistChange(ISSUER, added, gone), "random")
        expected = {card: why for card, why in expected.items() if asn_of(card) not in gone}
        expected |= {int(card.hex()): Reason(why) for card, why in added.items()}
        for reception in receptions:
            if reception.hotlist.version < desk.hotlist_versions()[ISSUER]:
                assert reception.take(issued(desk, reception.hotlist.version)) is Taken.APPLIED
            assert dict(reception.hotlist.entries()) == expected
        new = a_terminal(hotlist_key)
        assert new.take(issued(desk, 0)) is Taken.APPLIED
        receptions.append(new)
    assert len({reception.signed for reception in receptions}) == 1


def test_a_revocation_is_signed_twice_and_a_terminal_takes_what_it_says(
    desk: NoticeDesk, hotlist_key: Ed25519PrivateKey
) -> None:
    for number in (42, 43):
        assert desk.change_hotlist(ALICE, listed(number), "lost").urgent
    key = Ed25519PublicKey.from_public_bytes(desk.public_key)
    by_campus = {notice.key_id(key): key}
    said = [each.notice for each in desk.told_since("canteen", 0).messages if each.notice]
    heard = [read(notice.hear(each, by_campus, 0, 0).notice.hotlist) for each in said]
    till = a_terminal(hotlist_key)
    first, second = heard
    assert isinstance(first, Delta)
    assert isinstance(second, Delta)
    assert till.take(second) is Taken.WAITS, "the first notice was lost"
    assert till.take(first) is Taken.APPLIED
    assert till.hotlist.find(asn_of(42)) is till.hotlist.find(asn_of(43)) is Reason.LOST


def test_what_was_changed_on_the_way_or_signed_by_the_notice_key_is_forged(
    desk: NoticeDesk, hotlist_key: Ed25519PrivateKey, notice_key: Ed25519PrivateKey
) -> None:
    desk.change_hotlist(ALICE, listed(1, 2), "lost")
    message = desk.hotlist_delta(ISSUER, 0)
    assert message is not None
    del message.added[0]
    changed, whole = read(message), issued(desk, 0)
    assert isinstance(changed, Delta)
    for pinned, delta in ((hotlist_key, changed), (notice_key, whole)):
        with pytest.raises(HotlistForged):
            a_terminal(pinned).take(delta)


@pytest.mark.parametrize("number", ["0a000000000000000001", "01000000000000000000"])
def test_what_is_no_number_of_a_card_is_not_listed(number: str) -> None:
    with pytest.raises(Refused):
        HotlistChange(ISSUER, {bytes.fromhex(number): LOST})


def test_the_key_of_hotlists_is_another_one_than_that_of_notices(tmp_path: Path) -> None:
    of_hotlists, of_notices = signing_key(tmp_path, HOTLIST_FILE_NAME), signing_key(tmp_path)
    assert of_hotlists.private_bytes_raw() != of_notices.private_bytes_raw()
    assert signing_key(tmp_path, HOTLIST_FILE_NAME).private_bytes_raw() == of_hotlists.private_bytes_raw()
