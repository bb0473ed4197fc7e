"""The messages of protos/ as descriptors with their comments, as protoc sees them."""

import subprocess
import sys
import tempfile
from functools import cache
from importlib.resources import files
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)


@cache
def load(protos: Path) -> tuple[FileDescriptorProto, ...]:
    """Compile every .proto file below a folder and return their descriptors, comments included."""
    sources = sorted(str(path.relative_to(protos)) for path in protos.rglob("*.proto"))
    assert sources, f"no .proto file below {protos}"
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "descriptors"
        compiled = subprocess.run(
            [sys.executable, "-m", "grpc_tools.protoc", f"-I{protos}", f"-I{files('grpc_tools') / '_proto'}",
             "--include_source_info", f"--descriptor_set_out={out}", *sources],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert compiled.returncode == 0, compiled.stderr
        return tuple(FileDescriptorSet.FromString(out.read_bytes()).file)


def comments(file: FileDescriptorProto) -> dict[tuple[int, ...], str]:
    """Return the comment above each element, by its path in the descriptor."""
    return {tuple(at.path): at.leading_comments.strip() for at in file.source_code_info.location}


def all_names(protos: Path) -> list[str]:
    """Return every name that protos/ gives: of files, messages, fields, enums, values, services, calls."""
    names: list[str] = []
    for file in load(protos):
        names.append(Path(file.name).stem)
        for message in file.message_type:
            names += _names_of(message)
        for enum in file.enum_type:
            names += _values_of(enum)
        for service in file.service:
            names += [service.name, *(method.name for method in service.method)]
    return names


def _names_of(message: DescriptorProto) -> list[str]:
    names = [
        message.name,
        *(field.name for field in message.field),
        *(one.name for one in message.oneof_decl),
    ]
    for nested in message.nested_type:
        names += _names_of(nested)
    for enum in message.enum_type:
        names += _values_of(enum)
    return names


def _values_of(enum: EnumDescriptorProto) -> list[str]:
    return [enum.name, *(value.name for value in enum.value)]
