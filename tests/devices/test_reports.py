"""What devices of others may tell, whichever way it comes, and what is made of it (B5.2)."""

from dataclasses import replace

import pytest

from campus_node.database.connect import writing
from campus_node.devices import board
from campus_node.devices.board import forget
from campus_node.devices.health import Health
from campus_node.devices.reports import REPORTS_MAX, DeviceReport, Figure
from campus_node.devices.topology import topology_json
from federation.errors import Refused, Unreadable
from tests.devices.conftest import Bench


def test_a_report_is_shown_with_all_it_said(bench: Bench) -> None:
    assert bench.report(bench.door(Health.DEGRADED)) == 1
    assert topology_json(bench.all())["reported"] == [
        {
            "device": "east-1",
            "kind": "door-controller",
            "health": "degraded",
            "since": "2026-09-01T00:00:00.000Z",
            "reported_health": "degraded",
            "reason": "",
            "place": "east gate",
            "at": "2026-09-01T00:00:00.000Z",
            "received_at": "2026-09-01T00:00:00.000Z",
            "silent_after_s": 120,
            "figures": [{"name": "temperature_c", "value_thousandths": 21_500}],
            "reported_by": "doors",
        }
    ]
    assert bench.alarms() == [("device.degraded", "door-controller/east-1", "NOTICE")]


def test_the_newest_report_wins_and_an_older_or_repeated_one_changes_nothing(bench: Bench) -> None:
    failed = bench.door(Health.FAILED)
    assert bench.report(failed) == 1
    assert bench.report(failed) == 0
    assert bench.report(bench.door(Health.WELL, age_s=30)) == 0
    assert bench.all().reported[0].health is Health.FAILED
    assert bench.occurrences() == [1]
    bench.clock.advance(1)
    assert bench.report(bench.door(Health.WELL, age_s=30), bench.door(), bench.door(age_s=5)) == 1
    assert bench.all().reported[0].health is Health.WELL
    assert bench.alarms() == []


def test_a_device_that_stops_reporting_is_silent_and_well_again_with_its_next_report(bench: Bench) -> None:
    bench.report(bench.door())
    bench.after(120)
    assert bench.alarms() == []
    bench.after(1)
    bench.after(60)
    assert bench.alarms() == [("device.silent", "door-controller/east-1", "WARNING")]
    (door,) = bench.all().reported
    assert (door.health, door.late, door.report.health) == (Health.SILENT, True, Health.WELL)
    bench.report(bench.door())
    assert bench.alarms() == []
    assert bench.all().reported[0].health is Health.WELL


def test_a_device_that_had_failed_and_falls_silent_keeps_one_alarm_and_says_what_it_was(bench: Bench) -> None:
    bench.report(bench.door(Health.FAILED))
    bench.after(121)
    assert bench.alarms() == [("device.silent", "door-controller/east-1", "WARNING")]
    bench.report(bench.door(Health.FAILED))
    assert bench.alarms() == [("device.failed", "door-controller/east-1", "SERIOUS")]


def test_a_device_that_promised_nothing_is_never_late(bench: Bench) -> None:
    bench.report(replace(bench.door(), silent_after_s=0))
    bench.after(10 * 86_400)
    assert bench.alarms() == []


def test_devices_of_two_kinds_may_have_the_same_name(bench: Bench) -> None:
    bench.report(bench.door(Health.FAILED), replace(bench.door(), kind="meter"))
    assert [(each.report.kind, each.health.word) for each in bench.all().reported] == [
        ("door-controller", "failed"),
        ("meter", "well"),
    ]


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"device": ""}, "device must be"),
        ({"device": "East 1"}, "device must be"),
        ({"device": "x" * 64}, "device must be"),
        ({"kind": "door_controller"}, "kind must be"),
        ({"health": Health.UNSPECIFIED}, "health must be"),
        ({"reason": "x" * 501}, "at most 500"),
        ({"place": "x" * 101}, "at most 100"),
        ({"reason": "two\nlines"}, "one line"),
        ({"at_unix_ms": 0}, "set the device's clock"),
        ({"at_unix_ms": 1_788_220_800_000 + 300_001}, "set the device's clock"),
        ({"silent_after_s": -1}, "silent_after_s must be"),
        ({"silent_after_s": 30 * 86_400 + 1}, "silent_after_s must be"),
        ({"figures": (Figure("Temp", 1),)}, "figure's name"),
        ({"figures": (Figure("a", 1), Figure("a", 2))}, "named once"),
        ({"figures": (Figure("a", 2**53),)}, "too large"),
        ({"figures": tuple(Figure(f"a{n}", 1) for n in range(33))}, "at most 32 figures"),
    ],
)
def test_one_report_that_makes_no_sense_refuses_all_of_its_message(
    bench: Bench, changes: dict[str, object], why: str
) -> None:
    wrong: DeviceReport = replace(bench.door(), **changes)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(Unreadable, match=rf"report 1: .*{why}"):
        bench.report(bench.door(device="west-1"), wrong)
    assert bench.all().reported == []


def test_the_largest_allowed_message_is_taken_and_a_larger_one_is_not(bench: Bench) -> None:
    most = [bench.door(device=f"door-{n}") for n in range(REPORTS_MAX)]
    assert bench.report(*most) == REPORTS_MAX
    with pytest.raises(Unreadable, match="1 to 256 reports, not 257"):
        bench.report(*most, bench.door())
    with pytest.raises(Unreadable, match="not 0"):
        bench.report()


def test_a_key_cannot_fill_the_board_with_made_up_names(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board, "DEVICES_PER_KEY_MAX", 20)
    bench.report(*(bench.door(device=f"door-{n}") for n in range(15)))
    with pytest.raises(Refused, match="at most 20 devices"):
        bench.report(*(bench.door(device=f"gate-{n}") for n in range(6)))
    bench.report(*(bench.door(device=f"gate-{n}") for n in range(5)))
    with pytest.raises(Refused, match="at most 20 devices"):
        bench.report(bench.door(device="one-more"))
    bench.clock.advance(1)
    assert bench.report(bench.door(device="door-7")) == 1, "those that are known go on"
    assert bench.report(bench.door(device="one-more"), key="others") == 1


def test_a_device_that_was_removed_is_forgotten_with_its_alarm(bench: Bench) -> None:
    bench.report(bench.door(Health.FAILED), bench.door(device="west-1"))
    with writing(bench.db) as connection:
        forget(connection, "door-controller/east-1", bench.clock.unix_ms())
    assert bench.alarms() == []
    assert [each.report.device for each in bench.all().reported] == ["west-1"]
