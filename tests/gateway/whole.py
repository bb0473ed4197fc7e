"""A whole campus around one gateway: real node, real gateway, lines of four kinds, tills that take all."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from campus_node.cli import main
from campus_node.database.connect import connect, reading, writing
from campus_node.firmware.image import Label, keys_by_id
from campus_node.keys.hierarchy import Usage, campus_key
from campus_node.keys.sealed_file import SealedFile
from campus_node.keys.sealing import Cost
from campus_node.ledger.chart import AccountClass, account_number
from campus_node.lines.can.multicast_receiver import MulticastReceiver
from campus_node.lines.can.terminal import TerminalLine
from campus_node.lines.line import Peer
from campus_node.lines.serial.terminal import SerialTerminalLine
from campus_node.lines.thin.socket_radio import SocketRadio
from campus_node.lines.thin.terminal import ThinTerminalLine
from campus_node.purse.algorithm import Algorithm
from campus_node.registry.terminals import PsamKey, Terminal, register
from campus_node.terminal.receiver import Itself, Receiver, Taking
from campus_node.watch.store import find
from campuscard.v1 import terminal_pb2 as wire
from federation.clock import SystemClock
from federation.hotlist_delta import Delta
from federation.hotlist_reception import Reception, Taken
from federation.hotlist_wire import read
from hil_rig.senders.lines import OpenLine, Waiting
from hil_rig.senders.order import SegmentLine, SenderOrder
from tests.gateway.places import make_campus, make_gateway
from tests.gateway.running import WatchedGateway
from tests.gateway.till import Till
from tests.outage_lines.segments import CAMPUS_KEY
from tests.records.node_process import ports_of, running_node

ISSUER = bytes.fromhex("4355434100000001")
MODEL = "pos-2"
VERSION = 5
PASSPHRASE = "seven green bottles on a wall"
ALICE = ("--operator", "alice", "--reason", "new readers")
BOB = ("--operator", "bob", "--reason", "told at the desk")
THIN_MESSAGE_BYTES = 1000


class WholeCampus:
    """A campus whose node runs. Args: place: its directory."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def say(self, *command: object) -> dict[str, Any]:
        """Run a command of `campus` here and return its JSON."""
        told = StringIO()
        with redirect_stdout(told):
            code = main([*map(str, command), "-C", str(self.place), "--json"])
        assert code == 0, command
        said: dict[str, Any] = json.loads(told.getvalue().splitlines()[-1])
        return said

    def alarms(self) -> set[tuple[str, str]]:
        """Return name and subject of each row of the node's table of alarms."""
        db = connect(f"sqlite:///{self.place / 'data' / 'ledger.sqlite'}")
        with reading(db) as connection:
            found = {(each.alarm.name, each.alarm.subject) for each in find(connection)}
        db.dispose()
        return found

    def gateway(self, lines: Iterable[str]) -> WatchedGateway:
        """Make a gateway with these lines; nothing runs yet."""
        return WatchedGateway(make_gateway(self.place, ports_of(self.place).grpc, lines))


def prepared(directory: Path, tills: Mapping[str, Iterable[SenderOrder]]) -> Path:
    """Make a campus with operators, the session key of these terminals' PSAMs, and them by line."""
    place = make_campus(directory)
    clock = SystemClock()
    store = SealedFile.create(place / "keys", ISSUER, PASSPHRASE, Cost(64, 1, 1))
    key = PsamKey(0x28, 1, Algorithm.TDES)
    store.put(campus_key(Usage.PSAM_SESSION, key.version, key.algorithm, ISSUER), CAMPUS_KEY, clock)
    (place / "keys.passphrase").write_text(PASSPHRASE + "\n")
    db = connect(f"sqlite:///{place / 'data' / 'ledger.sqlite'}")
    merchant = account_number(AccountClass.MERCHANT_PAYABLE, 1)
    with writing(db) as connection:
        for line, there in tills.items():
            for each in there:
                known = Terminal(
                    bytes.fromhex(each.terminal_id), each.name, MODEL, bytes.fromhex(each.psam_serial), key,
                    "canteen", merchant, line, each.address,
                )  # fmt: skip
                register(connection, known, clock.unix_ms())
    db.dispose()
    campus = WholeCampus(place)
    campus.say("operator", "add", "alice")
    campus.say("operator", "add", "bob", "--role", "card-office", *ALICE)
    return place


@contextmanager
def whole_campus(
    directory: Path, tills: Mapping[str, Iterable[SenderOrder]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[WholeCampus]:
    """Give a campus with these tills by line, its node running."""
    monkeypatch.setenv("CAMPUS_KEYS__STORE", "keys")
    monkeypatch.setenv("CAMPUS_KEYS__PASSPHRASE_FILE", "keys.passphrase")
    for room in ("GRPC", "METRICS", "WEB", "DEVICES"):
        monkeypatch.setenv(f"CAMPUS_{room}__LISTEN", "127.0.0.1:0")
    place = prepared(directory, tills)
    with running_node(place):
        yield WholeCampus(place)


class WholeTill(Till):
    """A till that takes firmware, hotlists and notices, and believes only what `campus terminal pins` said.

    Args:
        pins: the JSON of that command.
        radio: the socket of its radio module, instead of a line; else None.
    """

    def __init__(
        self,
        directory: Path,
        line: SegmentLine,
        who: SenderOrder,
        pins: dict[str, Any],
        radio: Path | None = None,
    ) -> None:
        self._radio = radio
        super().__init__(directory, line, who)
        self.images: list[Label] = []
        issuer, _, key = pins["hotlist_keys"][0].partition(":")
        self.hotlists = Reception(bytes.fromhex(issuer), public_keys([key]))
        self.receiver = Receiver(
            directory / f"{who.name}.images",
            Itself(bytes.fromhex(who.terminal_id), MODEL, VERSION, who.address),
            keys_by_id(public_keys(pins["notice_keys"])),
            keys_by_id(public_keys(pins["firmware_keys"])),
            Taking(self._take_hotlist, lambda _new: True, lambda _path, label: self.images.append(label)),
            clock=self._clock,
            say=self._say,
        )
        match self._open.line:
            case TerminalLine() as on_can:
                on_can.attach(MulticastReceiver(who.address, self.receiver.blocks))
            case SerialTerminalLine() as on_wire:
                on_wire.attach_receiver(self.receiver.blocks)
        self._seen = [0, 0]
        self._tell()

    def open_line(self, line: SegmentLine, who: SenderOrder) -> OpenLine:
        if self._radio is None:
            return super().open_line(line, who)
        radio = SocketRadio(self._radio, Peer(who.address))
        thin = ThinTerminalLine(who.name, radio, who.address, os.urandom)
        return OpenLine(thin, Waiting(thin, self._stop).wait, THIN_MESSAGE_BYTES)

    def refuses(self, asn: bytes) -> bool:
        """Tell whether a card is on its hotlist."""
        return self.hotlists.hotlist.find(asn) is not None

    def _say(self, report: wire.DistributionReport) -> bool:
        return self.uplink.say(wire.FromTerminal(distribution=report), self._clock.monotonic_s())

    def _take_hotlist(self, message: wire.HotlistDelta) -> bool:
        delta = read(message)
        taken = self.hotlists.take(delta) if isinstance(delta, Delta) else self.hotlists.take_whole(delta)
        self._tell()
        return taken is not Taken.WAITS

    def _tell(self) -> None:
        self.report = wire.TerminalReport(selling=True, firmware_version=VERSION)
        hotlist = self.hotlists.hotlist
        self.report.hotlists.add(issuer=hotlist.issuer, version=hotlist.version)

    def _run(self) -> None:
        while self._thread_goes_on():
            now_s = self._clock.monotonic_s()
            with self._moved:
                due_s = self._open.line.step(now_s)
                due_s = min(due_s, self.uplink.step(now_s))
                for notice in self.notices[self._seen[0] :]:
                    self.receiver.notice(notice)
                for said in self.said[self._seen[1] :]:
                    self.receiver.heed(said)
                self._seen = [len(self.notices), len(self.said)]
                due_s = min(due_s, self.receiver.step(now_s), self._open.line.step(now_s))
                self._moved.notify_all()
            self._open.wait(min(max(due_s - self._clock.monotonic_s(), 0.0), 0.02))


def public_keys(texts: Iterable[str]) -> list[Ed25519PublicKey]:
    return [Ed25519PublicKey.from_public_bytes(bytes.fromhex(each)) for each in texts]
