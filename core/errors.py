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


NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
"""In what torch, which raises RuntimeError, says where there is no memory."""


def recognise_memory_error(error: BaseException) -> BaseException:
    """``error`` itself, or, where there was no memory, an ``AtelierError`` ``memory`` that says so."""
    of_torch = isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
    if not (of_torch or isinstance(error, MemoryError)):
        return error
    return AtelierError(
        "memory",
        "There is not enough memory for so much at once: ask for less, or try again later.",
    )
