"""Error families and status codes, there and back."""

import pytest
from grpc import StatusCode

from campus_node.lines.errors import MessageSize
from campus_node.purse.errors import AlgorithmUnknown, CardRefused
from federation import errors
from federation.errors import CampusCardError, Overloaded, Refused, Tampered, TransferRefused, Unavailable
from federation.grpc_status import error_of, error_of_number, number_of, status_of, trailing_metadata


def leaves(family: type[CampusCardError]) -> list[type[CampusCardError]]:
    below = [leaf for sub in family.__subclasses__() for leaf in leaves(sub)]
    return below or [family]


def make(kind: type[CampusCardError]) -> CampusCardError:
    if issubclass(kind, CardRefused):
        return kind(0x6985, "DEBIT", "why")
    special = {
        Overloaded: Overloaded(70),
        TransferRefused: TransferRefused("EXPIRED"),
        AlgorithmUnknown: AlgorithmUnknown(0x7F),
        MessageSize: MessageSize(5_000, 4_095),
    }
    return special.get(kind) or kind("why")


@pytest.mark.parametrize("kind", leaves(CampusCardError))
def test_an_error_keeps_its_family_over_the_wire(kind: type[CampusCardError]) -> None:
    error = make(kind)
    back = error_of(status_of(error), str(error), trailing_metadata(error))
    number = error_of_number(number_of(error), str(error), 70 if isinstance(error, Unavailable) else 0)
    for family in (Refused, Unavailable, Tampered):
        assert isinstance(back, family) == isinstance(error, family)
        assert isinstance(number, family) == isinstance(error, family)


def test_every_family_has_an_error_to_prove_it() -> None:
    assert {errors.StoreDown, errors.NotPermitted, errors.JournalBroken} <= set(leaves(CampusCardError))


def test_an_overload_brings_its_hint() -> None:
    back = error_of(StatusCode.RESOURCE_EXHAUSTED, "full", trailing_metadata(Overloaded(70)))
    assert isinstance(back, Overloaded)
    assert back.retry_after_ms == 70


def test_a_message_that_is_too_large_is_no_overload() -> None:
    back = error_of(StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 8)")
    assert isinstance(back, errors.Unreadable)
    assert isinstance(error_of(StatusCode.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!"), Overloaded)


@pytest.mark.parametrize("code", [c for c in StatusCode if c is not StatusCode.OK])
def test_whatever_is_not_surely_final_is_to_be_repeated(code: StatusCode) -> None:
    final = {
        StatusCode.PERMISSION_DENIED, StatusCode.UNAUTHENTICATED, StatusCode.INVALID_ARGUMENT,
        StatusCode.NOT_FOUND, StatusCode.FAILED_PRECONDITION, StatusCode.OUT_OF_RANGE,
        StatusCode.UNIMPLEMENTED, StatusCode.DATA_LOSS,
    }  # fmt: skip
    assert isinstance(error_of(code, "why"), Unavailable) == (code not in final)
