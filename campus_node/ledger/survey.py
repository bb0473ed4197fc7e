"""What a batch speaks of: which ids are known, and which the database must be asked about. Pure."""

from collections.abc import Collection, Iterable, Sequence
from typing import Final, NamedTuple

from campus_node.ledger.books import Key
from campus_node.ledger.decision import Known
from campus_node.ledger.recent import RecentAnswers
from federation.transfer import TRANSFER_ID_BYTES, Request, Verb

_POST: Final = int(Verb.POST)
_RESERVE: Final = int(Verb.RESERVE)


class Survey(NamedTuple):
    """What is known of the ids that a batch speaks of, and what must be looked up."""

    known: dict[Key, Known]
    unsure: list[Key]  # may be in the journal
    of_interest: list[Key]  # transfers whose state matters

    @property
    def needs_store(self) -> bool:
        return bool(self.unsure or self.of_interest)


def survey(
    requests: Sequence[Request], recent: RecentAnswers, reservations: Collection[Key], *, look_up_all: bool
) -> Survey:
    """Look through a batch.

    Args:
        requests: the batch, not checked yet.
        recent: the newest answers.
        reservations: ids of the open ones, whose state is in memory.
        look_up_all: something may have been written that memory does not know.
    """
    keys = [request[:2] for request in requests]
    known = recent.known(keys)
    unsure = keys if look_up_all else recent.maybe_older(keys)
    of_interest: set[Key] = set()
    for request in requests:
        if request.verb == _POST:
            continue
        reserve = request.verb == _RESERVE
        of_interest.add(request.key if reserve else (request.target_originator, request.target_id))
    return Survey(
        known,
        _well_formed(key for key in unsure if key not in known),
        _well_formed(key for key in of_interest if key not in reservations),
    )


def _well_formed(keys: Iterable[Key]) -> list[Key]:
    """Leave out what cannot be in a journal; deciding refuses it as malformed."""
    return [key for key in keys if len(key[1]) == TRANSFER_ID_BYTES and 0 <= key[0] < 2**31]
