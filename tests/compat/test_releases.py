"""What an earlier release sends is understood by this one, and the other way round."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2, symbol_database
from google.protobuf.message_factory import GetMessageClass

from tests.compat.messages import content, definitions, files, filled_messages

RELEASES = sorted(path.parent for path in Path(__file__).parent.glob("*/descriptors.binpb"))
Names = dict[str, tuple[int, int, int]]


def fields_of(found: descriptor_pb2.FileDescriptorSet) -> Names:
    """Return number, type and label of every field, by full name; of enumerations the values' numbers."""
    names: Names = {}

    def walk(prefix: str, messages: Iterator[descriptor_pb2.DescriptorProto]) -> None:
        for message in messages:
            for field in message.field:
                names[f"{prefix}.{message.name}.{field.name}"] = (field.number, field.type, field.label)
            walk(f"{prefix}.{message.name}", iter(message.nested_type))

    for file in found.file:
        walk(file.package, iter(file.message_type))
        for enumeration in file.enum_type:
            for value in enumeration.value:
                names[f"{file.package}.{enumeration.name}.{value.name}"] = (value.number, 0, 0)
        for service in file.service:
            for call in service.method:
                types = f"{call.input_type} {call.output_type}"
                names[f"{file.package}.{service.name}.{call.name} {types}"] = (
                    call.client_streaming,
                    call.server_streaming,
                    0,
                )
    return names


def release(folder: Path) -> descriptor_pb2.FileDescriptorSet:
    return descriptor_pb2.FileDescriptorSet.FromString((folder / "descriptors.binpb").read_bytes())


def test_there_is_a_release_to_compare_with() -> None:
    assert RELEASES


@pytest.mark.parametrize("folder", RELEASES, ids=lambda path: path.name)
def test_nothing_that_a_release_knew_was_taken_away_or_given_another_meaning(folder: Path) -> None:
    then, now = fields_of(release(folder)), fields_of(definitions())
    assert {name: now.get(name) for name in then} == then


@pytest.mark.parametrize("folder", RELEASES, ids=lambda path: path.name)
def test_what_a_release_recorded_still_says_the_same(folder: Path) -> None:
    lines = (folder / "messages.jsonl").read_text().splitlines()
    types = {f"{f.package}.{message.name}" for f in release(folder).file for message in f.message_type}
    assert {json.loads(line)["type"] for line in lines} == types
    assert files(), "all messages are registered"
    for line in lines:
        recorded = json.loads(line)
        descriptor = symbol_database.Default().pool.FindMessageTypeByName(recorded["type"])
        message = GetMessageClass(descriptor).FromString(bytes.fromhex(recorded["hex"]))
        now = content(message)
        assert {name: now.get(name) for name in recorded["says"]} == recorded["says"]


def test_a_field_that_changed_its_number_is_noticed() -> None:
    changed = definitions()
    changed.file[-1].message_type[0].field[0].number += 100
    then, now = fields_of(definitions()), fields_of(changed)
    assert {name: now.get(name) for name in then} != then


def test_every_message_is_recorded_with_every_field_filled() -> None:
    said: dict[str, set[str]] = {}
    for message in filled_messages():
        said.setdefault(message["type"], set()).update(message["says"])
    for name, fields in said.items():
        descriptor = symbol_database.Default().pool.FindMessageTypeByName(name)
        assert fields == {field.name for field in descriptor.fields}
