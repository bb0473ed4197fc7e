"""A certificate is looked at again when it expires, every hour, and when our trust changes."""

from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from campus_node.pki import files
from campus_node.pki.campus_pki import Reason
from campus_node.pki.trust import make_trust
from campus_node.serving.callers import PEM_KEY, RECHECK_MS, Callers
from federation.clock import SystemClock, VirtualClock
from federation.errors import NotIdentified
from federation.identity import Role
from tests.serving.node import Campus

DAY_MS = 86_400_000


@dataclass
class Context:
    """What gRPC tells of a caller."""

    pems: tuple[bytes, ...]

    def auth_context(self) -> Mapping[str, tuple[bytes, ...]]:
        return {PEM_KEY: self.pems}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(SystemClock().unix_ms())


@pytest.fixture
def callers(north: Campus, clock: VirtualClock) -> Callers:
    return Callers(lambda: make_trust("north", north.pki.authority_certificate(), north.pki.crl()), clock)


def shown(north: Campus, originator: str) -> Context:
    leaf = files.read_certificate(north.path / "pki" / "leaves" / f"{originator.replace('/', '-')}.pem")
    return Context((files.certificate_pem(leaf),))


def test_a_caller_is_recognised_once_and_remembered(north: Campus, callers: Callers) -> None:
    north.issue(Role.TERMINAL, "0001")
    first = callers.of(shown(north, "terminal/0001"))
    assert first.identity.uri == "campuscard://north/terminal/0001"
    assert callers.of(shown(north, "terminal/0001")) is first
    assert callers.renew(first) is first


def test_no_certificate_is_nobody(callers: Callers) -> None:
    with pytest.raises(NotIdentified, match="no certificate was shown"):
        callers.of(Context(()))


def test_a_caller_that_was_revoked_is_refused_after_a_reload(north: Campus, callers: Callers) -> None:
    stolen, honest = north.issue(Role.TERMINAL, "0001"), north.issue(Role.TERMINAL, "0002")
    thief = callers.of(shown(north, stolen.originator_name))
    other = callers.of(shown(north, honest.originator_name))
    north.pki.revoke(stolen, Reason.KEY_COMPROMISE, north.clock.unix_ms())
    assert callers.renew(thief) is thief, "nothing was reloaded yet"
    callers.reload()
    with pytest.raises(NotIdentified, match="revoked"):
        callers.renew(thief)
    with pytest.raises(NotIdentified, match="revoked"):
        callers.of(shown(north, "terminal/0001"))
    assert callers.renew(other).identity == honest


def test_every_hour_a_caller_is_checked_anew(north: Campus, callers: Callers, clock: VirtualClock) -> None:
    north.issue(Role.TERMINAL, "0001")
    first = callers.of(shown(north, "terminal/0001"))
    clock.advance(RECHECK_MS - 1)
    assert callers.renew(first) is first
    clock.advance(1)
    assert callers.renew(first) is not first


def test_a_caller_whose_certificate_expires_is_refused_from_then_on(
    north: Campus, callers: Callers, clock: VirtualClock
) -> None:
    north.issue(Role.TERMINAL, "0001", at_unix_ms=clock.unix_ms() - 30 * DAY_MS + 60_000)
    caller = callers.of(shown(north, "terminal/0001"))
    assert caller.good_until_unix_ms - clock.unix_ms() <= 60_000
    clock.advance(61_000)
    with pytest.raises(NotIdentified, match="expired on"):
        callers.renew(caller)
