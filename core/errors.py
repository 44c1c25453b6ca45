"""Errors that a person can act on: one sentence, and a code that the pages translate."""

from __future__ import annotations


class AtelierError(Exception):
    """Something went wrong that its reader can mend.

    ``code`` is stable and short (``"bundle-hash"``); ``template`` is the English sentence with
    ``{fields}``, which is also the key of its translation; ``values`` fill the fields.
    ``str(error)`` is the filled English sentence.
    """

    def __init__(self, code: str, template: str, **values: object) -> None:
        self.code = code
        self.template = template
        self.values = values
        super().__init__(template.format(**values))
