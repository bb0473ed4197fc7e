"""Rules for .proto files, in the manner of buf's: names, comments, units of numbers and sizes of bytes."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)

from tests.tidy.proto_descriptors import comments

Path_ = tuple[int, ...]

# Numbers of the elements in descriptor.proto: what the paths in source_code_info are made of.
FILE_MESSAGE, FILE_ENUM, FILE_SERVICE = 4, 5, 6
MESSAGE_FIELD, MESSAGE_NESTED, MESSAGE_ENUM, MESSAGE_ONEOF = 2, 3, 4, 8

# Suffix of a field → what its comment must say.
UNITS: Final = {
    "_fen": r"\bfen\b",
    "_unix_ms": r"\b(ms|milliseconds) since 1970\b",
    "_ms": r"\b(ms|milliseconds)\b",
    "_s": r"\b(s|seconds)\b",
    "_mv": r"\b(mV|millivolts)\b",
    "_date": r"\bYYYYMMDD\b",
}
SIZE: Final = r"\b\d[\d,]*( to \d[\d,]*)? bytes\b"
NUMBERS: Final = {
    FieldDescriptorProto.TYPE_INT32, FieldDescriptorProto.TYPE_INT64, FieldDescriptorProto.TYPE_UINT32,
    FieldDescriptorProto.TYPE_UINT64, FieldDescriptorProto.TYPE_SINT32, FieldDescriptorProto.TYPE_SINT64,
    FieldDescriptorProto.TYPE_FIXED32, FieldDescriptorProto.TYPE_FIXED64, FieldDescriptorProto.TYPE_SFIXED32,
    FieldDescriptorProto.TYPE_SFIXED64,
}  # fmt: skip
FLOATS: Final = {FieldDescriptorProto.TYPE_FLOAT, FieldDescriptorProto.TYPE_DOUBLE}


def complaints(file: FileDescriptorProto) -> list[str]:
    """Return what is wrong with one file; each line names the element."""
    found = list(_file(file))
    above = comments(file)
    for i, message in enumerate(file.message_type):
        found += _message(message, (FILE_MESSAGE, i), above)
    for i, enum in enumerate(file.enum_type):
        found += _enum(enum, (FILE_ENUM, i), above)
    for i, service in enumerate(file.service):
        found += _service(service, (FILE_SERVICE, i), above)
    return [f"{file.name}: {line}" for line in found]


def _file(file: FileDescriptorProto) -> Iterator[str]:
    if file.syntax != "proto3":
        yield "write proto3"
    if file.package.replace(".", "/") != str(Path(file.name).parent):
        yield f"package {file.package} does not lie in a folder of that name"
    if not re.fullmatch(r"[a-z]+(\.[a-z]+)*\.v\d+", file.package):
        yield f"package {file.package} ends in no version"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", Path(file.name).stem):
        yield "the file's name is not lower_snake_case"


def _commented(name: str, path: Path_, above: dict[Path_, str]) -> Iterator[str]:
    if len(above.get(path, "").split()) < 2:
        yield f"{name} has no comment"


def _message(message: DescriptorProto, path: Path_, above: dict[Path_, str]) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield from _commented(message.name, path, above)
    if not re.fullmatch(r"([A-Z][a-z0-9]*)+", message.name):
        yield f"{message.name} is not PascalCase"
    for i, field in enumerate(message.field):
        yield from _field(message.name, field, (*path, MESSAGE_FIELD, i), above)
    for i, one in enumerate(message.oneof_decl):
        if not one.name.startswith("_"):  # made by `optional`
            yield from _commented(f"{message.name}.{one.name}", (*path, MESSAGE_ONEOF, i), above)
    for i, nested in enumerate(message.nested_type):
        yield from _message(nested, (*path, MESSAGE_NESTED, i), above)
    for i, enum in enumerate(message.enum_type):
        yield from _enum(enum, (*path, MESSAGE_ENUM, i), above)


def _field(owner: str, field: FieldDescriptorProto, path: Path_, above: dict[Path_, str]) -> Iterator[str]:
    name = f"{owner}.{field.name}"
    yield from _commented(name, path, above)
    comment = " ".join(above.get(path, "").split())
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", field.name):
        yield f"{name} is not lower_snake_case"
    if field.type in FLOATS:
        yield f"{name} is a float: use an integer and a unit"
    if field.type in NUMBERS:
        unit = next((said for suffix, said in UNITS.items() if field.name.endswith(suffix)), "")
        if not re.search(unit, comment, re.IGNORECASE):
            yield f"{name}: the comment does not state the unit that the name ends with ({unit})"
    if field.type == FieldDescriptorProto.TYPE_BYTES and not re.search(SIZE, comment):
        yield f"{name}: the comment does not state the size in bytes"


def _enum(enum: EnumDescriptorProto, path: Path_, above: dict[Path_, str]) -> Iterator[str]:
    yield from _commented(enum.name, path, above)
    prefix = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", enum.name).upper() + "_"
    for i, value in enumerate(enum.value):
        yield from _commented(value.name, (*path, 2, i), above)
        if not re.fullmatch(r"[A-Z][A-Z0-9_]*", value.name) or not value.name.startswith(prefix):
            yield f"{value.name} is not {prefix}…"
    if enum.value[0].name not in {f"{prefix}UNSPECIFIED", f"{prefix}NONE"}:
        yield f"{enum.value[0].name} is zero: name it {prefix}UNSPECIFIED, or {prefix}NONE if it answers"


def _service(service: ServiceDescriptorProto, path: Path_, above: dict[Path_, str]) -> Iterator[str]:
    yield from _commented(service.name, path, above)
    for i, method in enumerate(service.method):
        yield from _commented(f"{service.name}.{method.name}", (*path, 2, i), above)
        given, got = method.input_type.split(".")[-1], method.output_type.split(".")[-1]
        unary = not (method.client_streaming or method.server_streaming)
        if unary and (given, got) != (f"{method.name}Request", f"{method.name}Response"):
            yield f"{service.name}.{method.name} takes {given} and gives {got}: not …Request and …Response"
