"""What each terminal lacks of what the node has said to all: hotlists and parameters (B3, A10). Pure.

The latest of each kind is kept, so that it goes on while the node is away. A terminal reports what it has;
what it lacks is told to it inside its session, again and again until it reports that it has it.
"""

from collections.abc import Iterator
from typing import Final

from campuscard.v1 import gateway_pb2 as pb
from campuscard.v1 import terminal_pb2 as wire

DELTAS_MAX: Final = 64  # of one issuer; who is further behind waits for a distribution
TOLD_AT_ONCE_MAX: Final = 8  # deltas to one terminal at a time
EVERYBODY: Final = b""


class Fanout:
    """What the node said last."""

    def __init__(self) -> None:
        self._deltas: dict[bytes, dict[int, wire.HotlistDelta]] = {}
        self._parameters: dict[bytes, wire.Parameters] = {}
        self._versions: dict[bytes, int] = {}

    def take_delta(self, delta: wire.HotlistDelta) -> bool:
        """Keep a change of a hotlist; False if it is known."""
        known = self._deltas.setdefault(delta.issuer, {})
        if delta.to_version in known:
            return False
        known[delta.to_version] = delta
        if not delta.from_version:  # everything anew: what came before has no use
            for version in [version for version in known if version < delta.to_version]:
                del known[version]
        while len(known) > DELTAS_MAX:
            del known[min(known)]
        self._versions[delta.issuer] = max(self._versions.get(delta.issuer, 0), delta.to_version)
        return True

    def take_parameters(self, given: pb.ParametersFor) -> bool:
        """Keep parameters; False if nothing in them is newer."""
        newer = False
        for terminal_id in given.terminal_ids or [EVERYBODY]:
            known = self._parameters.get(terminal_id)
            if known is None or known.version < given.parameters.version:
                self._parameters[terminal_id] = given.parameters
                newer = True
        return newer

    def take_versions(self, given: pb.HotlistVersions) -> None:
        """Note where each issuer's hotlist stands at the node."""
        for each in given.versions:
            self._versions[each.issuer] = each.version

    def parameters_of(self, terminal_id: bytes) -> wire.Parameters | None:
        """Return the latest that hold for a terminal, None if there are none."""
        found = [self._parameters[key] for key in (terminal_id, EVERYBODY) if key in self._parameters]
        return max(found, key=lambda each: each.version, default=None)

    def lacking(self, terminal_id: bytes, report: wire.TerminalReport) -> list[wire.FromGateway]:
        """Return what a terminal that reports this is to be told, in order."""
        has = {each.issuer: each.version for each in report.hotlists}
        told = [
            wire.FromGateway(hotlist=delta)
            for issuer in sorted(self._deltas)
            for delta in self._path(issuer, has.get(issuer, 0))
        ][:TOLD_AT_ONCE_MAX]
        parameters = self.parameters_of(terminal_id)
        if parameters is not None and parameters.version > report.parameters_version:
            told.append(wire.FromGateway(parameters=parameters))
        return told

    def behind(self, report: wire.TerminalReport) -> bool:
        """Tell whether a terminal's hotlists are older than the node's."""
        has = {each.issuer: each.version for each in report.hotlists}
        return any(has.get(issuer, 0) < version for issuer, version in self._versions.items())

    def deltas(self) -> Iterator[wire.HotlistDelta]:
        """Yield every delta that is kept."""
        for known in self._deltas.values():
            yield from known.values()

    def parameters(self) -> Iterator[pb.ParametersFor]:
        """Yield all parameters that are kept, by terminal."""
        for terminal_id, each in self._parameters.items():
            yield pb.ParametersFor(terminal_ids=[terminal_id] if terminal_id else [], parameters=each)

    def _path(self, issuer: bytes, version: int) -> Iterator[wire.HotlistDelta]:
        known = self._deltas[issuer]
        for _ in range(TOLD_AT_ONCE_MAX):
            fits = [
                delta
                for delta in known.values()
                if delta.to_version > version and delta.from_version in {0, version}
            ]
            if not fits:
                return
            delta = max(fits, key=lambda each: each.to_version)
            yield delta
            version = delta.to_version
