"""The open interface for devices of others: gRPC and REST, the same rules, the same answers (B5.2)."""

import json
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import grpc
import pytest

from campus_node.campus_directory import CampusDirectory
from campus_node.devices.keys import revoke_key
from campus_node.devices.rest_messages import DevicesMessage, ErrorAnswer
from campus_node.operators.audit import Actor, auditing
from campuscard.v1 import gateway_pb2 as pb
from federation.grpc_status import RETRY_AFTER_KEY
from tests.devices.served import Served, answer_of, serving
from tests.serving.node import Campus, make_campus


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("devices") / "north"
    patch = pytest.MonkeyPatch()
    for section in ("WEB", "DEVICES"):
        patch.setenv(f"CAMPUS_{section}__LISTEN", "127.0.0.1:0")
    patch.setenv("CAMPUS_DEVICES__CALLS_PER_S", "200")
    campus = make_campus(path)
    with serving(campus, CampusDirectory(path).settings()) as running:
        yield running
    patch.undo()


@pytest.fixture
def key(served: Served, request: pytest.FixtureRequest) -> str:
    names = "".join(c if c.isalnum() else "-" for c in request.node.name.lower())
    return served.key(names[:50].strip("-") + f"-{abs(hash(request.node.name)) % 10**8}")


def message(served: Served, **changes: object) -> pb.ReportRequest:
    at = served.clock.unix_ms()
    report = pb.DeviceReport(device="east-1", kind="door-controller", health=pb.HEALTH_WELL, at_unix_ms=at)
    for name, value in changes.items():
        setattr(report, name, value)
    return pb.ReportRequest(reports=[report])


def refused(served: Served, request: pb.ReportRequest, key: str) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        served.grpc_report(request, key)
    code = raised.value.code()
    assert isinstance(code, grpc.StatusCode)
    return code


def test_what_is_told_by_rest_and_by_grpc_stands_on_the_same_board(served: Served, key: str) -> None:
    told = served.report(served.door(health="degraded", reason="门没关"), key=key)
    assert (told.status, told.content) == (200, {"taken": 1})
    assert served.grpc_report(message(served, device="west-1", place="西门"), key) == 1
    read = served.ask("GET", "/v1/devices", key=key)
    DevicesMessage.model_validate_json(json.dumps(read.content), strict=True)
    doors = {each["device"]: each for each in read.content["reported"]}
    assert (doors["east-1"]["health"], doors["east-1"]["place"]) == ("degraded", "东门")
    assert doors["east-1"]["figures"] == [{"name": "temperature_c", "value_thousandths": 21_500}]
    assert doors["west-1"]["place"] == "西门"


def test_a_repeated_report_is_taken_once_whichever_way_it_comes(served: Served, key: str) -> None:
    door = served.door("repeat-1")
    assert served.report(door, key=key).content == {"taken": 1}
    assert served.report(door, key=key).content == {"taken": 0}
    twin = message(served, device="repeat-2")
    assert [served.grpc_report(twin, key), served.grpc_report(twin, key)] == [1, 0]


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"device": "East 1"}, 400, grpc.StatusCode.INVALID_ARGUMENT),
        ({"kind": "meter"}, 403, grpc.StatusCode.PERMISSION_DENIED),
        ({"reason": "x" * 501}, 400, grpc.StatusCode.INVALID_ARGUMENT),
        ({"silent_after_s": 3_000_000}, 400, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_the_same_mistake_gets_the_same_answer_by_both(
    served: Served, key: str, changes: dict[str, object], status: int, code: grpc.StatusCode
) -> None:
    told = served.report(served.door(**changes), key=key)  # type: ignore[arg-type]  # a device's name, or others
    assert told.status == status
    ErrorAnswer.model_validate_json(json.dumps(told.content), strict=True)
    assert refused(served, message(served, **changes), key) is code


def test_nobody_gets_in_without_a_key_by_either(served: Served) -> None:
    for wrong in ("", "cck_doors.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"):
        told = served.report(served.door(), key=wrong)
        assert (told.status, told.error, told.headers["www-authenticate"]) == (
            401,
            "not_identified",
            "Bearer",
        )
        assert served.ask("GET", "/v1/devices", key=wrong).status == 401
        assert refused(served, message(served), wrong) is grpc.StatusCode.UNAUTHENTICATED


def test_a_revoked_key_is_out_by_both(served: Served) -> None:
    key = served.key("short-lived")
    with auditing(served.db, served.clock) as change:
        revoke_key(change, Actor("alice", "test"), "short-lived", "lost")
    assert served.report(served.door(), key=key).status == 401
    assert refused(served, message(served), key) is grpc.StatusCode.UNAUTHENTICATED


def test_a_key_that_may_not_read_reads_nothing(served: Served) -> None:
    key = served.key("tells-only", reads=False)
    assert served.report(served.door("silent-1"), key=key).status == 200
    assert served.ask("GET", "/v1/devices", key=key).error == "not_permitted"


def test_errors_speak_the_callers_language(served: Served, key: str) -> None:
    chinese = served.report(served.door("East 1"), key=key, Accept_Language="fr, zh-CN;q=0.9, en;q=0.8")
    english = served.report(served.door("East 1"), key=key, Accept_Language="en-GB,zh;q=0.1")
    nothing = served.report(served.door("East 1"), key=key)
    assert chinese.headers["content-language"] == "zh"
    assert any("\u4e00" <= c <= "\u9fff" for c in chinese.content["error"]["message"])
    assert english.content == nothing.content
    assert english.content["error"]["message"].startswith("report 0: device must be")
    assert [chinese.error, english.error] == ["unreadable", "unreadable"]


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b"null", b"[]", b"7", b"{}", b'{"reports": 7}', b'{"reports": [7]}',
     b'{"reports": [], "more": 1}', b"[" * 50_000, b'{"reports": [{"device": "a"}]}',
     b'{"reports": [{"device": "a", "kind": "door-controller", "health": "well", "at": 5}]}',
     b'{"reports": [{"device": "a", "kind": "door-controller", "health": "well", "at": "2026-09-01"}]}',
     b'{"reports": [{"device": "a", "kind": "door-controller", "health": "well", "at": "9999-12-31T23Z"}]}',
     b'{"reports": [{"device": "a", "kind": "door-controller", "health": "well",'
     b' "at": "2026-09-01T00:00:00Z", "silent_after_s": true}]}',
     b'{"reports": [{"device": "a", "kind": "door-controller", "health": "well", "at": "2026-09-01T00:00Z",'
     b' "figures": [{"name": "a", "value_thousandths": 1' + b"0" * 400 + b"}]}]}"],
)  # fmt: skip
def test_garbage_is_refused_with_a_clear_answer(served: Served, key: str, body: bytes) -> None:
    told = served.ask("POST", "/v1/devices/reports", body, key)
    assert (told.status, told.error) == (400, "unreadable")
    served.require_alive(key)


def test_wrong_addresses_and_methods_are_named(served: Served, key: str) -> None:
    assert served.ask("GET", "/v1/nothing", key=key).error == "not_found"
    assert served.ask("GET", "/v1/devices/", key=key).error == "not_found"
    assert served.ask("GET", "/docs", key=key).error == "not_found"
    assert served.ask("DELETE", "/v1/devices", key=key).error == "method_not_allowed"


def test_the_description_is_served_to_all_and_names_every_call_and_answer(served: Served, key: str) -> None:
    told = served.ask("GET", "/v1/openapi.json")
    assert told.status == 200
    described = told.content
    assert described["openapi"].startswith("3.")
    calls = {(path, method) for path, methods in described["paths"].items() for method in methods}
    assert calls == {("/v1/devices/reports", "post"), ("/v1/devices", "get")}
    for path, method in calls:
        call = described["paths"][path][method]
        assert {"200", "400", "401", "403", "413", "429", "503"} <= call["responses"].keys()
        assert "422" not in call["responses"], "our answer for what makes no sense is 400"
        assert call["security"] == [{"HTTPBearer": []}]
    assert described["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    report = described["components"]["schemas"]["ReportMessage"]
    assert set(report["required"]) == {"device", "kind", "health", "at"}
    assert report["properties"]["health"]["enum"] == ["well", "degraded", "failed", "silent", "isolated"]
    assert report["properties"]["silent_after_s"]["maximum"] == 2_592_000
    for name in report["properties"]["health"]["enum"]:
        assert served.report(served.door(f"described-{name}", health=name), key=key).status == 200


def test_a_connection_serves_many_calls(served: Served, key: str) -> None:
    connection = HTTPSConnection(served.campus.settings.domain, served.web_port, timeout=20)
    connection.sock = served.connected()
    for _ in range(5):
        connection.request("GET", "/v1/devices", headers={"Authorization": f"Bearer {key}"})
        assert answer_of(connection.getresponse()).status == 200
    connection.close()


def test_who_calls_too_often_is_told_when_to_come_back_by_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for section in ("WEB", "DEVICES"):
        monkeypatch.setenv(f"CAMPUS_{section}__LISTEN", "127.0.0.1:0")
    monkeypatch.setenv("CAMPUS_DEVICES__CALLS_PER_S", "0.2")  # one at once, then one in 5 s
    campus: Campus = make_campus(tmp_path / "north")
    with serving(campus, campus.directory.settings()) as served:
        hasty, patient = served.key("hasty"), served.key("patient")
        assert served.report(served.door(), key=hasty).status == 200
        told = served.report(served.door(), key=hasty)
        assert (told.status, told.error) == (429, "overloaded")
        assert 0 < told.content["error"]["retry_after_ms"] <= 5_000
        assert 1 <= int(told.headers["retry-after"]) <= 5
        with pytest.raises(grpc.RpcError) as raised:
            served.grpc_report(message(served), hasty)
        trailing: list[tuple[str, str]] = list(raised.value.trailing_metadata())  # type: ignore[arg-type]  # pairs
        hints = [int(value) for name, value in trailing if name == RETRY_AFTER_KEY]
        assert len(hints) == 1
        assert 0 < hints[0] <= 5_000
        assert served.report(served.door(), key=patient).status == 200
