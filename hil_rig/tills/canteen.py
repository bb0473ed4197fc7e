"""A canteen: a building whose lines carry tills, and cards to lay on them; every part a process (A7, B4.1).

campus/, gateway/   see `Building`
LINE/               the tills of one line, see `TillsProcess`
"""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from sqlalchemy import func, select

from campus_node.database.connect import connect, reading, writing
from campus_node.ledger.chart import AccountClass, account_number
from campus_node.records.spooled import Outcome
from campus_node.records.tables import terminal_records
from campus_node.registry import cards
from federation.clock import SystemClock
from hil_rig.building import PURCHASE_KEY, TAC_KEY, Building, Segment, free_port
from hil_rig.gateway_process import can_bus, serial_bus
from hil_rig.processes import POLL_S, ProcessFailed
from hil_rig.senders.order import SegmentLine
from hil_rig.tills.chips import ISSUER
from hil_rig.tills.order import CardOrder, TillsOrder
from hil_rig.tills.process import TillsProcess
from hil_rig.tills.standing import Standing
from hil_rig.tills.taps import Round, Tap
from hil_rig.virtual.can_bus.broker_node import BrokerOrders

CAN_BITRATE: Final = 250_000
BAUD: Final = 115_200
CAMPUS_NUMBER: Final = 1
SPOOL_TIMEOUT_S: Final = 60.0
SETTLED_TIMEOUT_S: Final = 240.0
READY_TIMEOUT_S: Final = 120.0
DEBIT: Final = 7  # the command of a sale that charges the card
LEAD_S: Final = 0.5  # between telling all processes what to tap and the moment when they do


@dataclass(frozen=True, slots=True)
class LinePlan:
    """One line of a canteen. Its kind is how its name begins: can, serial or tcp."""

    name: str
    tills: int


def asn_of(serial: int) -> str:
    """Return the number of a card of this campus, as hex."""
    return f"0000{CAMPUS_NUMBER:04d}{serial:012d}"


class Canteen:
    """Buses, node, gateway and tills. A context manager: all of it ends with the block.

    Args:
        directory: new.
        sockets: a short path for the sockets and pseudo-terminals of the buses.
        lines: a process each.
        cards_each: how many cards belong to each till's queue.
        balance_fen: what is in each card's purse at first.
        database: URL of the node's; None = SQLite.
        lasting: cards and PSAMs outlive the processes of their tills.
    """

    def __init__(
        self,
        directory: Path,
        sockets: Path,
        lines: Sequence[LinePlan],
        *,
        cards_each: int = 1,
        balance_fen: int = 20_000,
        database: str | None = None,
        lasting: bool = False,
        merchant: str = "canteen 1",
    ) -> None:
        self.sockets = sockets
        self._directory = directory
        self._stack = ExitStack()
        self._clock = SystemClock()
        self._database = database
        self._segments = [_segment(plan, sockets) for plan in lines]
        self._cards: dict[str, list[CardOrder]] = {}
        self._taps = 0
        self._asked: Counter[str] = Counter()  # taps, by line
        first = 1
        for segment in self._segments:
            serials = range(first, first + segment.senders * cards_each)
            self._cards[segment.name] = [CardOrder(asn_of(serial), balance_fen) for serial in serials]
            first = serials.stop
        self.building: Building
        self.tills: dict[str, TillsProcess] = {}
        self._lasting, self._merchant = lasting, merchant

    def __enter__(self) -> Self:
        """Start buses, node and gateway."""
        with ExitStack() as stack:
            for segment in self._segments:
                stack.enter_context(_bus(segment, self.sockets))
            self.building = Building(self._directory, self._segments, self._database)
            self._register()
            stack.enter_context(self.building)
            self.building.campus.open_accounts()
            self.building.campus.issue_purses(self._purses(), "purses")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def open(self) -> None:
        """Start the tills, and wait until each has a session and knows the time. Raise ProcessFailed."""
        for segment in self._segments:
            process = TillsProcess(self._order(segment), segment.name)
            self.tills[segment.name] = self._stack.enter_context(process)
        for process in self.tills.values():
            process.wait_until(lambda now: now.ready == now.tills, READY_TIMEOUT_S)

    def cut_power(self, line: str) -> None:
        """kill -9 all tills of a line, and switch them on again; what was to be tapped there is forgotten."""
        process = self.tills[line]
        process.kill()
        self._asked[line] = 0
        process.start()
        process.wait_until(lambda now: now.ready == now.tills, READY_TIMEOUT_S)

    @property
    def files(self) -> list[Path]:
        """What tills and cards durably know: for the checker."""
        return [*self.till_files, *(process.card_file for process in self.tills.values())]

    @property
    def till_files(self) -> list[Path]:
        """What tills durably know."""
        return [path for process in self.tills.values() for path in process.files]

    @property
    def is_settled(self) -> bool:
        """Whether everything was tapped and every record is acknowledged. Raise ProcessFailed."""
        for process in self.tills.values():
            process.demand_alive()
        return all(_is_settled(self._asked[name], now) for name, now in self.standings.items())

    @property
    def standings(self) -> Mapping[str, Standing]:
        return {name: process.standing for name, process in self.tills.items()}

    @property
    def taps(self) -> int:
        """How many taps were asked for so far."""
        return self._taps

    @property
    def processes(self) -> int:
        """How many run: node, gateway, buses, tills."""
        buses = sum(segment.line.kind != "tcp" for segment in self._segments)
        return 2 + buses + len(self.tills)

    def total(self, field: str) -> int:
        """Return the sum of one of the counters of `Standing` over all lines."""
        return sum(getattr(standing, field) for standing in self.standings.values())

    def wait_until_settled(self, timeout_s: float = SETTLED_TIMEOUT_S) -> None:
        """Wait until everything was tapped and every record is acknowledged. Raise ProcessFailed."""
        for name, process in self.tills.items():
            process.wait_until(partial(_is_settled, self._asked[name]), timeout_s)

    def frames(self) -> int:
        """Return how many frames the CAN buses have carried."""
        count = 0
        for segment in self._segments:
            if segment.line.kind == "can":
                with BrokerOrders(segment.line.channel) as orders:
                    count += int(orders.order("health")["frames_sent"])
        return count

    def tap_all(
        self,
        amounts_fen: Sequence[int],
        *,
        queue: int = 0,
        every_s: float = 0.0,
        torn: Collection[int] = (),
    ) -> int:
        """Lay a card on every till at the same moment, once for each amount; return how many taps that is.

        Args:
            amounts_fen: the first of all tills at once, then the next `every_s` later.
            queue: which card of each till's queue, from 0.
            torn: numbers from 0, of taps whose card is taken away when it was charged and has not answered.
        """
        first = self._taps + 1
        at_s = self._clock.monotonic_s() + LEAD_S
        before = self._taps
        for place, amount_fen in enumerate(amounts_fen):
            for segment in self._segments:
                self.tills[segment.name].tap(
                    Round(
                        at_s + place * every_s,
                        self._round(segment, amount_fen, queue, {first + number for number in torn}),
                    )
                )
        return self._taps - before

    def stop(self) -> None:
        """Stop tills, gateway and node in order; files and tables are complete then. Raise ProcessFailed."""
        for process in self.tills.values():
            process.stop()
        gateway = self.building.gateway
        self._wait(lambda: not gateway.status()["spool"]["waiting"], "the gateway keeps records back")
        self._wait(lambda: not self._pending(), "the node books nothing more")
        gateway.terminate()
        self.building.node.terminate()

    def _pending(self) -> int:
        """Return how many records the node has not judged yet."""
        database = connect(self.building.campus.database_url)
        with reading(database) as connection:
            query = select(func.count()).where(terminal_records.c.outcome == int(Outcome.PENDING))
            count: int = connection.execute(query).scalar_one()
        database.dispose()
        return count

    def _wait(self, reached: Callable[[], bool], otherwise: str) -> None:
        deadline_s = self._clock.monotonic_s() + SPOOL_TIMEOUT_S
        while not reached():
            if self._clock.monotonic_s() > deadline_s:
                raise ProcessFailed(f"{otherwise}:\n{self.building.gateway.log_tail()}")
            self._clock.sleep(POLL_S)

    def _round(self, segment: Segment, amount_fen: int, queue: int, torn: Collection[int]) -> tuple[Tap, ...]:
        taps = []
        cards_each = len(self._cards[segment.name]) // segment.senders
        for place, who in enumerate(self.building.terminals[segment.name]):
            self._taps += 1
            self._asked[segment.name] += 1
            card = self._cards[segment.name][place * cards_each + queue % cards_each]
            torn_after = DEBIT if self._taps in torn else 0
            taps.append(Tap(self._taps, who.name, card.asn, amount_fen, torn_after))
        return tuple(taps)

    def _order(self, segment: Segment) -> TillsOrder:
        return TillsOrder(
            str(self._directory / segment.name),
            self.building.line_of(segment),
            tuple(self.building.terminals[segment.name]),
            tuple(self._cards[segment.name]),
            PURCHASE_KEY.hex(),
            TAC_KEY.hex(),
            self._merchant,
            lasting=self._lasting,
        )

    def _purses(self) -> dict[int, int]:
        """Return what is on each card, by the account of its purse."""
        return {
            account_number(AccountClass.CARD_PURSE, int(card.asn[8:])): card.balance_fen
            for card in self._all_cards()
        }

    def _all_cards(self) -> list[CardOrder]:
        return [card for each in self._cards.values() for card in each]

    def _register(self) -> None:
        """Write the cards into the registry: whose they are."""
        database = connect(self.building.campus.database_url)
        with writing(database) as connection:
            for card in self._all_cards():
                account = account_number(AccountClass.ONLINE, int(card.asn[8:]))
                known = cards.Card(bytes.fromhex(card.asn), ISSUER, account)
                cards.register(connection, known, self._clock.unix_ms())
        database.dispose()


def _is_settled(asked: int, now: Standing) -> bool:
    return now.tapped >= asked and now.settled


def _segment(plan: LinePlan, sockets: Path) -> Segment:
    if plan.name.startswith("can"):
        return Segment(plan.name, SegmentLine("can", str(sockets / plan.name), CAN_BITRATE), plan.tills)
    if plan.name.startswith("serial"):
        place = sockets / plan.name
        line = SegmentLine("serial", str(place), BAUD)
        return Segment(plan.name, line, plan.tills, device=str(place / "head"))
    return Segment(plan.name, SegmentLine("tcp", f"127.0.0.1:{free_port()}"), plan.tills)


def _bus(segment: Segment, sockets: Path) -> ExitStack:
    """Return the process of a line's bus, not yet started; nothing where there is none."""
    stack = ExitStack()
    match segment.line.kind:
        case "can":
            stack.enter_context(can_bus(Path(segment.line.channel), segment.line.rate))
        case "serial":
            place = sockets / segment.name
            place.mkdir()
            names = [f"{segment.name}-{number:03d}" for number in range(1, segment.senders + 1)]
            stack.enter_context(serial_bus(place, ["head", *names]))
    return stack
