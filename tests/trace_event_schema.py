"""The Trace Event Format (JSON object form) as a JSON schema, written down from the format's description.

What it says there: an object with traceEvents and optional displayTimeUnit ("ms" or "ns"), systemTraceEvents, otherData,
stackFrames, samples. Every event has ph, one character; what else it must have depends on it. ts and dur are microseconds,
fractions allowed, whatever displayTimeUnit says. A metadata event needs no ts; its arguments depend on its name.
"""

from typing import Any

_NUMBER, _STRING, _OBJECT = {"type": "number"}, {"type": "string"}, {"type": "object"}
_ID: dict[str, Any] = {"anyOf": [_STRING, {"type": "integer"}]}
_PHASES = "BEXiICbneSTpFstfPNODMRcV(),v"

#: Metadata name -> its one argument and what that may be.
_METADATA: dict[str, tuple[str, dict[str, Any]]] = {
    "process_name": ("name", _STRING),
    "process_labels": ("labels", _STRING),
    "process_sort_index": ("sort_index", {"type": "integer"}),
    "thread_name": ("name", _STRING),
    "thread_sort_index": ("sort_index", {"type": "integer"}),
}


def _when(field: str, values: list[str], then: dict[str, Any]) -> dict[str, Any]:
    return {"if": {"properties": {field: {"enum": values}}, "required": [field]}, "then": then}


def _needs(*fields: str, **properties: Any) -> dict[str, Any]:
    return {"required": list(fields), "properties": properties}


_EVENT: dict[str, Any] = {
    "type": "object",
    "required": ["ph", "pid"],
    "properties": {
        "ph": {"enum": list(_PHASES)},
        "name": _STRING,
        "cat": _STRING,
        "pid": {"type": "integer", "minimum": 0},
        "tid": {"type": "integer", "minimum": 0},
        "ts": {"type": "number", "minimum": 0},
        "dur": {"type": "number", "minimum": 0},
        "tts": _NUMBER,
        "tdur": _NUMBER,
        "args": _OBJECT,
        "cname": _STRING,
        "id": _ID,
        "sf": _ID,
        "stack": {"type": "array", "items": _STRING},
    },
    "allOf": [
        {"if": {"properties": {"ph": {"const": "M"}}}, "else": _needs("ts")},
        _when("ph", ["X"], _needs("name", "ts", "dur", "tid")),
        _when("ph", ["B"], _needs("name", "tid")),
        _when("ph", ["E"], _needs("tid")),
        _when("ph", ["i", "I"], _needs("name", s={"enum": ["g", "p", "t"]})),
        _when("ph", ["C"], _needs("name", "args", args={"type": "object", "additionalProperties": _NUMBER})),
        _when("ph", ["b", "n", "e"], {**_needs("name", "cat"), "anyOf": [{"required": ["id"]}, {"required": ["id2"]}]}),
        _when("ph", ["s", "t", "f"], _needs("name", "cat", "id", "tid")),
        _when("ph", ["M"], _needs("name", "args", name={"enum": list(_METADATA)})),
        *(
            _when(
                "name",
                [name],
                {"if": {"properties": {"ph": {"const": "M"}}}, "then": _needs(args=_needs(field, **{field: kind}))},
            )
            for name, (field, kind) in _METADATA.items()
        ),
        {"if": {"required": ["sf"]}, "then": {"not": {"required": ["stack"]}}},
    ],
}

TRACE: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "traceEvents": {"type": "array", "items": _EVENT},
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "systemTraceEvents": _STRING,
        "otherData": _OBJECT,
        "stackFrames": _OBJECT,
        "samples": {"type": "array"},
    },
}
