"""The errors of the stand-in: Redshift's own, in Redshift's words."""

from __future__ import annotations

SYNTAX = "42601"
NOT_SUPPORTED = "0A000"
BAD_DEFINITION = "42P16"
IN_TRANSACTION = "25001"
NO_DATABASE = "3D000"
INTERNAL = "XX000"


class Refusal(Exception):  # noqa: N818  # it is an answer, not a fault
    """A statement that Redshift does not accept, with the fields of its error response."""

    def __init__(
        self, message: str, code: str = INTERNAL, detail: str = "", hint: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.detail = detail
        self.hint = hint

    @property
    def fields(self) -> dict[str, str]:
        """The fields of the error response, by their letters."""
        found = {"S": "ERROR", "C": self.code, "M": self.message, "D": self.detail, "H": self.hint}
        return {letter: text for letter, text in found.items() if text}


class LoadError(Refusal):
    """A value of a staged file that does not load: what ``stl_load_errors`` keeps of it."""

    def __init__(
        self,
        message: str,
        *,
        file: str,
        line: int,
        column: str = "",
        column_type: str = "",
        raw_value: str = "",
        raw_line: str = "",
        reason: str,
        error_code: int,
        code: str = INTERNAL,
        detail: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, code, detail, hint)
        self.file = file
        self.line = line
        self.column = column
        self.column_type = column_type
        self.raw_value = raw_value
        self.raw_line = raw_line
        self.reason = reason
        self.error_code = error_code


def syntax_error(near: str) -> Refusal:
    """What the parser says; ``near`` is the text where it stopped, empty at the end."""
    where = f'at or near "{near}"' if near else "at end of input"
    return Refusal(f"syntax error {where}", SYNTAX)


def not_implemented(what: str) -> Refusal:
    """Redshift may well do it; the stand-in does not, and says so rather than pretend."""
    return Refusal(f"the stand-in for Redshift does not implement {what}", NOT_SUPPORTED)


SPECTRUM = "Spectrum Scan Error"


def spectrum_detail(error_code: int, context: str) -> str:
    """The detail of an error of a columnar COPY, laid out as Redshift does."""
    rule = "-----------------------------------------------"
    return (
        f"\n  {rule}\n  error:  {SPECTRUM}\n  code:      {error_code}\n  context:   {context}\n"
        f"  query:     0\n  location:  dory_util.cpp:1615\n  process:   fetchtask_thread [pid=0]\n"
        f"  {rule}\n"
    )


def spectrum(error_code: int, context: str) -> Refusal:
    """A columnar file that cannot be read at all."""
    return Refusal(SPECTRUM, INTERNAL, spectrum_detail(error_code, context))


def load_failed(table: str) -> str:
    """The message of a COPY of text files that met a bad row (dg/r_STL_LOAD_ERRORS)."""
    return (
        f"Load into table '{table}' failed. Check 'sys_load_error_detail' system table for details."
    )


ABORTED = Refusal(
    "current transaction is aborted, commands ignored until end of transaction block", code="25P02"
)
