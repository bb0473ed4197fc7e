"""The messages of this tree: their definitions, and one of every type with every field filled."""

import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor, FileDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

import campuscard.v1


def files() -> list[FileDescriptor]:
    """Return every file of campuscard.v1, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(campuscard.v1.__path__) if m.name.endswith("_pb2"))
    return [import_module(f"campuscard.v1.{name}").DESCRIPTOR for name in names]


def definitions() -> descriptor_pb2.FileDescriptorSet:
    """Return the definitions of all messages, without comments."""
    found = descriptor_pb2.FileDescriptorSet()
    for file in files():
        file.CopyToProto(found.file.add())
    return found


def filled_messages() -> Iterator[dict[str, Any]]:
    """Yield type, bytes in hex and content of a message of every type; of alternatives, one with each."""
    for file in files():
        for descriptor in file.message_types_by_name.values():
            for chosen in range(max((len(one.fields) for one in descriptor.oneofs), default=1)):
                message = _filled(descriptor, chosen)
                yield {
                    "type": descriptor.full_name,
                    "hex": message.SerializeToString(deterministic=True).hex().upper(),
                    "says": content(message),
                }


def content(message: Message) -> dict[str, Any]:
    """Return what a message says, by field name."""
    return MessageToDict(message, preserving_proto_field_name=True)


def _filled(descriptor: Descriptor, chosen: int = 0) -> Message:
    message = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        one = field.containing_oneof
        if one is not None and one.fields[chosen % len(one.fields)] != field:
            continue
        value = _value(field)
        if field.is_repeated:
            getattr(message, field.name).extend([value, value])
        elif isinstance(value, Message):
            getattr(message, field.name).CopyFrom(value)
        else:
            setattr(message, field.name, value)
    return message


def _value(field: FieldDescriptor) -> Any:
    """Return a value that differs from field to field and is not the type's default."""
    if field.message_type is not None:
        return _filled(field.message_type)
    if field.enum_type is not None:
        return field.enum_type.values[-1].number
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_BOOL:
            return True
        case FieldDescriptor.CPPTYPE_STRING:
            is_bytes = field.type == FieldDescriptor.TYPE_BYTES
            return bytes([field.number]) * 16 if is_bytes else f"name-{field.number}"
        case _:
            return 1_000 + field.number
