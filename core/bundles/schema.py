"""What ``config.json`` of a bundle must look like before anything else of it is read.

Types and sizes alone: which architectures there are is asked of ``core.families``.
"""

from __future__ import annotations

from jsonschema import Draft202012Validator

LONGEST_TEXT, MOST_KEYS = 10_000, 200
LONGEST_NAME, MOST_CLASSES = 100, 1000
TEXT = {"type": "string", "maxLength": LONGEST_TEXT}
SOME = {"type": "object", "maxProperties": MOST_KEYS}
COUNT = {"type": "integer", "minimum": 0, "maximum": 100_000_000}
CONFIG = {
    "type": "object",
    "required": [
        "format",
        "family",
        "architecture",
        "preprocessing",
        "data",
        "training",
        "seed",
        "code_version",
    ],
    "maxProperties": MOST_KEYS,
    "properties": {
        "format": {"type": "integer"},
        "family": {"type": "string", "pattern": "^[a-z][a-z0-9_]{0,31}$"},
        "architecture": SOME,
        "preprocessing": SOME,
        "data": {
            **SOME,
            "required": ["name", "split", "test_split", "pictures", "test_pictures"],
            "properties": {
                "name": {"type": "string", "maxLength": LONGEST_NAME},
                "split": {"type": "string", "maxLength": LONGEST_NAME},
                "test_split": {"type": "string", "maxLength": LONGEST_NAME},
                "pictures": COUNT,
                "test_pictures": COUNT,
                "class_names": {
                    "type": "array",
                    "maxItems": MOST_CLASSES,
                    "items": {"type": "string", "maxLength": LONGEST_NAME},
                },
                "fingerprint": TEXT,
                "test_fingerprint": TEXT,
            },
        },
        "training": SOME,
        "seed": {"type": "integer", "minimum": 0, "maximum": 2**64},
        "code_version": {"type": "string", "maxLength": LONGEST_NAME},
        "weights_kept": {"type": "boolean"},
    },
}
"""JSON Schema, draft 2020-12."""


def fault(config: object) -> str | None:
    """The part of a configuration that is not as it must be, as ``data.pictures``; None: all is."""
    error = next(Draft202012Validator(CONFIG).iter_errors(config), None)
    if error is None:
        return None
    if error.validator == "required":
        return ".".join([*map(str, error.path), *missing(error)])
    return ".".join(map(str, error.path)) or "object"


def missing(error: object) -> list[str]:
    """The first key that a required-error names."""
    return [key for key in error.validator_value if key not in error.instance][:1]
