"""What the engine tells while it works: figures to the metrics, alarms to the recorder."""

from collections.abc import Mapping

from campus_node.serving.alarm_recorder import AlarmRecorder
from campus_node.serving.metrics import NodeMetrics


class NodeObserver:
    """The engine's observer; nothing here waits."""

    def __init__(self, metrics: NodeMetrics, alarms: AlarmRecorder) -> None:
        self._metrics = metrics
        self._alarms = alarms

    def batch_committed(
        self, items: int, rows: int, refusals: Mapping[int, int], commit_s: float, queued_items: int
    ) -> None:
        """Count a batch; how much waits is read when somebody asks."""
        del queued_items
        self._metrics.batch_committed(items, rows, refusals, commit_s)

    def alarm(self, name: str, severity: str, subject: str, evidence: Mapping[str, object]) -> None:
        """Count and record an alarm."""
        self._metrics.alarm_raised(name, severity)
        self._alarms.record(name, severity, subject, evidence)
