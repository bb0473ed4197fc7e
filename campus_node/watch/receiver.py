"""Takes the alarms that others wrote into the outbox: each counts once, however often it is delivered."""

from sqlalchemy import Connection, Engine

from campus_node.database.connect import writing
from campus_node.outbox.store import Message, is_first
from campus_node.watch.alarms import Alarm, Severity, parse_alarm
from campus_node.watch.store import raise_alarm
from federation.clock import Clock
from federation.errors import Unreadable

_RECEIVER = "watch"


class AlarmReceiver:
    """Delivers messages of the topic `alarm` into the table of alarms."""

    def __init__(self, db: Engine, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def __call__(self, message: Message) -> None:
        """Raise the alarm that the message carries, unless this very message came before.

        Raises:
            Unreadable: the body is no alarm.
            StoreDown, OutcomeUnknown: deliver it again.
        """
        try:
            alarm = parse_alarm(message.body)
        except ValueError as error:
            raise Unreadable(f"message {message.message} is no alarm: {error}") from error
        now_unix_ms = self._clock.unix_ms()
        with writing(self._db) as connection:
            if is_first(connection, _RECEIVER, message.message, now_unix_ms):
                raise_alarm(connection, alarm, now_unix_ms)


def raise_dead_letter(connection: Connection, message: Message, error: str, now_unix_ms: int) -> None:
    """Raise the alarm about a message that the relay gives up."""
    evidence = {
        "message": message.message,
        "attempts": message.attempts,
        "error": error,
        "body": message.body,
    }
    alarm = Alarm("outbox.dead_letter", Severity.SERIOUS, message.topic, evidence)
    raise_alarm(connection, alarm, now_unix_ms)
