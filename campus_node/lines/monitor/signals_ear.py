"""Class P3 as a bystander hears it: words of our own, fields by the shipped DBC (B4.3)."""

from cantools.database.can import Database
from cantools.database.errors import Error as DatabaseError

from campus_node.lines.can.ids import Frame
from campus_node.lines.can.signals import (
    Condition,
    Distress,
    Emergency,
    FollowUp,
    Heartbeat,
    Sync,
    dbc_text,
    said_by,
)
from campus_node.lines.monitor.seen import Layer, Seen
from campus_node.wording import Sentence


class SignalsEar:
    """Reads the single frames by the DBC."""

    def __init__(self) -> None:
        self._database = Database()
        self._database.add_dbc_string(dbc_text())

    def take(self, frame: Frame) -> Seen:
        """Return what a frame of P3 says. Nothing makes it raise."""
        name, signals = self._signals(frame)
        match said_by(frame):
            case Heartbeat() as heartbeat:
                words = Sentence(
                    "heartbeat: {condition}, {waiting} records wait, errors {receive}/{send}, "
                    "bus-offs {offs}, serial {serial}",
                    condition=_condition(heartbeat.condition),
                    waiting=heartbeat.records_waiting,
                    receive=heartbeat.receive_errors,
                    send=heartbeat.send_errors,
                    offs=heartbeat.bus_offs,
                    serial=f"{heartbeat.serial:04X}",
                )
                trouble = heartbeat.condition is Condition.FAULTY
            case Emergency() as emergency:
                words = Sentence("EMERGENCY: {distress}", distress=_distress(emergency.distress))
                trouble = True
            case Sync(sequence):
                words, trouble = Sentence("SYNC {sequence}", sequence=sequence), False
            case FollowUp(sequence, unix_us):
                words = Sentence("FOLLOW_UP {sequence}: it was {us} us", sequence=sequence, us=unix_us)
                trouble = False
            case _:
                words, trouble = Sentence("a single frame that makes no sense"), True
        return Seen(0.0, Layer.FRAME, name, words, fields={"signals": signals}, trouble=trouble)

    def _signals(self, frame: Frame) -> tuple[str, dict[str, object]]:
        try:
            message = self._database.get_message_by_frame_id(frame.can_id & ~0xFF)
            decoded = message.decode(frame.payload)
        except (KeyError, DatabaseError, ValueError):
            return "broken", {}
        assert isinstance(decoded, dict)
        return message.name, {
            name: value if isinstance(value, int | float) else str(value) for name, value in decoded.items()
        }


def _condition(condition: Condition) -> Sentence:
    match condition:
        case Condition.STARTING:
            return Sentence("starting")
        case Condition.SELLING:
            return Sentence("selling")
        case Condition.CLOSED:
            return Sentence("closed")
        case Condition.FAULTY:
            return Sentence("faulty")
        case Condition.UPGRADING:
            return Sentence("upgrading")


def _distress(distress: Distress) -> Sentence:
    match distress:
        case Distress.TAMPER_SWITCH:
            return Sentence("somebody opens it")
        case Distress.STORE_FULL:
            return Sentence("its store is full")
        case Distress.STORE_BROKEN:
            return Sentence("its store is broken")
        case Distress.PSAM_GONE:
            return Sentence("its PSAM is gone")
        case Distress.POWER_FAILING:
            return Sentence("its power fails")
