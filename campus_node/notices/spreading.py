"""Who lacks what, and the orders that bring it there: hotlist deltas and parameters (A15; rule 32)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import update

from campus_node.lines import notice as signed_notice
from campus_node.lines.can.broadcast import NOTICE_BYTES_MAX
from campus_node.notices import holdings, hotlists, orders
from campus_node.notices.announcing import Announcing
from campus_node.notices.shelf import Shelf
from campus_node.notices.tables import hotlists as hotlists_table
from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

HOUR_MS: Final = 3_600_000
REVOCATION_VALID_MS: Final = HOUR_MS  # who did not hear it then gets a delta
ORDER_VALID_MS: Final = 24 * HOUR_MS
AGAIN_AFTER_MS: Final = 10 * 60_000  # for whom still lags then it is ordered once more
FOR_EVER_MS: Final = (1 << 62) - 1


class Spreading:
    """Says and orders within one transaction.

    Args:
        saying: the transaction.
        key: signs notices.
        hotlist_key: signs hotlists.
        shelf: takes what is distributed.
    """

    def __init__(
        self, saying: Announcing, key: Ed25519PrivateKey, hotlist_key: Ed25519PrivateKey, shelf: Shelf
    ) -> None:
        self._saying = saying
        self._key = key
        self._hotlist_key = hotlist_key
        self._shelf = shelf

    def revoke(self, issuer: bytes, before: int, after: int) -> bool:
        """Say a change to everybody at once, if that is short enough; tell whether it was."""
        delta = hotlists.delta(self._saying.connection, self._hotlist_key, issuer, before)
        if delta is None or delta.from_version != before:
            return False
        expires_at_unix_ms = self._saying.now_unix_ms + REVOCATION_VALID_MS
        said = wire.Notice(
            number=self._saying.next_number(), expires_at_unix_ms=expires_at_unix_ms, hotlist=delta
        )
        if said.ByteSize() + signed_notice.HEAD_BYTES > NOTICE_BYTES_MAX:
            return False
        message = pb.NodeToGateway(notice=signed_notice.sign(self._key, said))
        self._saying.announce(f"hotlist/{issuer.hex()}/{after}", message, expires_at_unix_ms)
        return True

    def say_versions(self) -> None:
        """Tell all gateways where each hotlist stands."""
        said = pb.HotlistVersions()
        for issuer, version in sorted(hotlists.versions(self._saying.connection).items()):
            said.versions.add(issuer=issuer, version=version)
        self._saying.announce("hotlists", pb.NodeToGateway(hotlists=said), FOR_EVER_MS)
        self._saying.forget_expired()

    def say_parameters(self, new: wire.Parameters) -> None:
        """Tell all gateways the newest parameters."""
        said = pb.NodeToGateway(parameters=pb.ParametersFor(parameters=new))
        self._saying.announce(holdings.PARAMETERS, said, FOR_EVER_MS)

    def order_hotlist(self, issuer: bytes, version: int) -> None:
        """Order a change of a hotlist for everybody who has another version."""
        groups: dict[tuple[str, int], list[bytes]] = {}
        for each in holdings.of(self._saying.connection, issuer.hex()):
            if each.version != version:
                groups.setdefault((each.gateway, each.version), []).append(each.terminal_id)
        for (gateway, has), terminals in groups.items():
            self._order_delta(gateway, issuer, has, terminals)

    def order_parameters(self, new: wire.Parameters) -> None:
        """Order parameters for everybody; what was ordered before is called off."""
        for older in orders.found(self._saying.connection, subject=holdings.PARAMETERS):
            orders.call_off(self._saying, older.number)
        groups: dict[str, list[bytes]] = {}
        for each in holdings.of(self._saying.connection, holdings.PARAMETERS):
            groups.setdefault(each.gateway, []).append(each.terminal_id)
        content = new.SerializeToString(deterministic=True)
        wanted = orders.Wanted(
            wire.DISTRIBUTION_KIND_PARAMETERS,
            holdings.PARAMETERS,
            new.version,
            self._shelf.put(content),
            content,
            self._saying.now_unix_ms + ORDER_VALID_MS,
        )
        for gateway, terminals in groups.items():
            orders.make(self._saying, self._key, gateway, terminals, wanted)

    def order_missing(self, gateway: str, reports: Mapping[bytes, wire.TerminalReport]) -> None:
        """Order what these terminals lack, unless that is under way already."""
        since_unix_ms = self._saying.now_unix_ms - AGAIN_AFTER_MS
        for issuer, version in self._catch_up(reports.values()).items():
            subject = issuer.hex()
            lagging: dict[int, list[bytes]] = {}
            for terminal_id, report in reports.items():
                has = holdings.held(report).get(subject, 0)
                if has != version:
                    lagging.setdefault(has, []).append(terminal_id)
            if not lagging:
                continue
            covered = orders.covered(self._saying.connection, subject, version, since_unix_ms)
            for has, terminals in sorted(lagging.items()):
                some = [each for each in terminals if each not in covered]
                self._order_delta(gateway, issuer, has, some)

    def _catch_up(self, reports: Iterable[wire.TerminalReport]) -> dict[bytes, int]:
        """Return versions; where a terminal is ahead of a restored database, ours goes above it."""
        current = hotlists.versions(self._saying.connection)
        ahead: dict[bytes, int] = {}
        for report in reports:
            for each in report.hotlists:
                if each.issuer in current and each.version > current[each.issuer]:
                    ahead[each.issuer] = max(each.version, ahead.get(each.issuer, 0))
        for issuer, version in ahead.items():
            current[issuer] = version + 1
            row = hotlists_table.c.issuer == issuer
            values = {"version": version + 1, "floor": version + 1}  # everybody gets everything anew
            self._saying.connection.execute(update(hotlists_table).where(row).values(**values))
        if ahead:
            self.say_versions()
        return current

    def _order_delta(self, gateway: str, issuer: bytes, has: int, terminals: Sequence[bytes]) -> None:
        if not terminals:
            return
        delta = hotlists.delta(self._saying.connection, self._hotlist_key, issuer, has)
        if delta is None:
            return
        for older in orders.found(self._saying.connection, subject=issuer.hex()):
            if older.gateway == gateway and set(orders.terminal_ids_of(older.terminal_ids)) <= set(terminals):
                orders.call_off(self._saying, older.number)  # this one leads further
        content = delta.SerializeToString(deterministic=True)
        wanted = orders.Wanted(
            wire.DISTRIBUTION_KIND_HOTLIST,
            issuer.hex(),
            delta.to_version,
            self._shelf.put(content),
            content,
            self._saying.now_unix_ms + ORDER_VALID_MS,
            from_version=delta.from_version,
        )
        orders.make(self._saying, self._key, gateway, terminals, wanted)
