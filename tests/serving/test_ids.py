"""Transfer ids are UUIDv7: unique, in order, and never made of time going back."""

import uuid

from federation.clock import VirtualClock
from federation.ids import COUNTER_MAX, TransferIds

AT_UNIX_MS = 1_788_220_800_000


def test_an_id_is_a_uuid_of_version_7_with_its_instant() -> None:
    made = TransferIds(VirtualClock(AT_UNIX_MS)).next()
    as_uuid = uuid.UUID(bytes=made)
    assert (as_uuid.version, as_uuid.variant) == (7, uuid.RFC_4122)
    assert int.from_bytes(made[:6]) == AT_UNIX_MS


def test_ids_sort_as_they_were_made_even_many_in_one_millisecond() -> None:
    ids = TransferIds(VirtualClock(AT_UNIX_MS))
    made = [ids.next() for _ in range(3 * (COUNTER_MAX + 1))]
    assert made == sorted(set(made))


def test_a_clock_that_is_set_back_gives_no_older_ids() -> None:
    clock = VirtualClock(AT_UNIX_MS)
    ids = TransferIds(clock)
    before = ids.next()
    clock.step(-3_600_000)
    assert ids.next() > before


def test_two_sources_at_the_same_instant_differ() -> None:
    clock = VirtualClock(AT_UNIX_MS)
    assert TransferIds(clock).next() != TransferIds(clock).next()
