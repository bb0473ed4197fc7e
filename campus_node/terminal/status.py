"""How a terminal is, as run/status.json says it: for `campus terminal status` and for whoever watches."""

from collections.abc import Mapping

from campus_node.terminal.pos.view import Mood, View
from campus_node.terminal.settings import Settings
from campus_node.terminal.station import Running, Station


def status_of(
    settings: Settings, running: Running, view_port: int, station: Station | None, shown: View
) -> Mapping[str, object]:
    """Return a JSON object. Only what changes seldom stands there: it is written when it has changed."""
    content: dict[str, object] = {
        "campus": settings.terminal.campus,
        "name": settings.terminal.name,
        "mode": settings.till.mode,
        "mood": shown.mood.value,
        "headline": str(shown.headline),
        "lines": [str(line) for line in shown.lines],
        "online": shown.online,
        "view_port": view_port,
        "firmware": {
            "slot": running.slot,
            "version": running.version,
            "on_trial": running.on_trial,
        },
    }
    if station is None:
        return {**content, "state": "blocked" if shown.mood is Mood.BLOCKED else "starting"}
    journal = station.journal
    return {
        **content,
        "state": "selling" if station.sells else "blocked",
        "terminal_id": station.terminal_id.hex().upper(),
        "psam_serial": station.serial.hex().upper(),
        "health_code": station.health_code,
        "line": {
            "kind": settings.line.kind,
            "open": station.line.is_open,
            "why_down": station.line.why_down,
            "session": station.uplink.connected,
            "unadmitted": station.link.unadmitted,
        },
        "clock_valid": station.clock.valid,
        "journal": {
            "last_seq": journal.last_seq,
            "durable_through": journal.durable_through,
            "backed_up_through": journal.backed_up_through,
            "capacity": journal.capacity,
            "free": journal.free,
            "unsettled": len(station.log.unsettled()),
        },
        "hotlists": [
            {"issuer": each.issuer.hex().upper(), "version": each.version, "cards": len(each)}
            for each in station.held.hotlists
        ],
        "parameters_version": station.held.schedule.latest,
    }
