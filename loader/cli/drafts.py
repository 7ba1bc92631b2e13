"""Drafts specs from files for `loader infer`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from loader.data.files.open import DataFile
    from loader.inference.infer import Draft


def draft_files(
    files: Sequence[str | DataFile],
    schema: str,
    name: str,
    *,
    encoding: str,
    sheet: str | None,
    stdin: BinaryIO | None = None,
    source: Mapping[str, Any] | None = None,
) -> Draft:
    """Draft a spec; the arguments are those of `infer_files`, ``sheet`` as it was typed.

    Raises:
        LoaderError: no spec fits the files; what the usual hint sets in a spec, which does not
            exist yet, is an option of the command.
    """
    from loader.data.files.open import EncodingError, SheetError  # noqa: PLC0415
    from loader.data.from_pandas import block_pandas_import  # noqa: PLC0415
    from loader.inference.infer import infer_files  # noqa: PLC0415  # pyarrow is slow to import

    block_pandas_import()
    try:
        return infer_files(
            files,
            schema=schema,
            name=name,
            encoding=encoding,
            sheet=int(sheet) if sheet and sheet.isdecimal() else sheet,
            stdin=stdin,
            source=source,
        )
    except SheetError as error:
        error.hint = (error.hint or "").replace("source: {sheet: ", "--sheet ").rstrip("}")
        raise
    except EncodingError as error:
        error.hint = f"give its encoding: --encoding {error.encoding}"
        raise


def describe_draft(draft: Draft) -> Iterator[str]:
    """What was found in files beside their types, and what they leave open."""
    source = draft.spec.source
    words = [word for word in source.null_values if word]
    if words:
        yield f"read as NULL where it is not quoted: {', '.join(words)}"
    for key in ("delimiter", "escape", "decimal", "date_format", "timestamp_format"):
        if key in source.model_fields_set:
            yield f"read with {key}: {getattr(source, key)}"
    yield from draft.notes
