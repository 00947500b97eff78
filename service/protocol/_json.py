"""Protobuf messages as Triton's REST interface shows them.

protobuf's own JSON form writes 64-bit numbers as strings (`"dims": ["-1"]`), which REST clients do not expect.
"""

from __future__ import annotations

import base64
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message


def to_json(message: Message) -> dict[str, Any]:
    """A message as plain lists, dicts and values; enums by name, bytes in base64.

    Fields without presence are always there; messages, and members of a `oneof`, only if they are set.
    """
    document: dict[str, Any] = {}
    for field in message.DESCRIPTOR.fields:
        value = getattr(message, field.name)
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            of = field.message_type.fields_by_name["value"]
            document[field.name] = {str(key): _value(of, value[key]) for key in value}
        elif field.is_repeated:
            document[field.name] = [_value(field, item) for item in value]
        elif not field.has_presence or message.HasField(field.name):
            document[field.name] = _value(field, value)
    return document


def _value(field: FieldDescriptor, value: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value
