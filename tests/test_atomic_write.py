"""Files that are written whole or not at all, wherever a command writes one."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from loader import atomic_write
from loader.atomic_write import new_file, write_text
from loader.cli import main
from loader.data.export import write_file
from loader.errors import ExecuteError, LoaderError, StageError
from loader.executor.read import batches_of, on_disk
from loader.warehouse.duckdb.driver import DuckDBSession
from tests.conftest import MakeProject

OLD, NEW = "what was there", "what is new"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(list(words))
    return int(stop.value.code or 0)


@pytest.mark.parametrize("error", [ExecuteError("gone"), KeyboardInterrupt(), OSError(28, "full")])
@pytest.mark.parametrize("there", [True, False])
def test_what_fails_leaves_what_was_there(
    tmp_path: Path, error: BaseException, there: bool
) -> None:
    """A file whose writing fails is unchanged, and nothing lies beside it."""
    path = tmp_path / "a.csv"
    if there:
        path.write_text(OLD)

    def write() -> None:
        with new_file(path) as file:
            file.write(b"half of it")
            raise error

    with pytest.raises(StageError if isinstance(error, OSError) else type(error)):
        write()
    assert names(tmp_path) == (["a.csv"] if there else [])
    assert not there or path.read_text() == OLD


def test_nothing_is_seen_of_a_file_before_it_is_whole(tmp_path: Path) -> None:
    """While a file is written, its name holds what it held, and what is written has a dot-name."""
    path = tmp_path / "a.csv"
    path.write_text(OLD)
    with new_file(path) as file:
        file.write(NEW.encode())
        file.flush()
        assert path.read_text() == OLD
        (aside,) = set(names(tmp_path)) - {"a.csv"}
        assert aside.startswith(".")
    assert path.read_text() == NEW
    assert names(tmp_path) == ["a.csv"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_rights_are_kept(tmp_path: Path, mode: int) -> None:
    """A file that is replaced has the rights it had, and nobody more reads it meanwhile."""
    path = tmp_path / "a.csv"
    path.write_text(OLD)
    path.chmod(mode)
    with new_file(path):
        (aside,) = set(names(tmp_path)) - {"a.csv"}
        assert stat.S_IMODE((tmp_path / aside).stat().st_mode) & ~mode == 0
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_new_file_has_the_rights_of_any(tmp_path: Path) -> None:
    """A file that was not there gets the rights that the umask leaves."""
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a", NEW)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_a_link(tmp_path: Path, there: bool) -> None:
    """What a link leads to is written, whether it was there before or not."""
    (tmp_path / "far").mkdir()
    target, link = tmp_path / "far" / "a.csv", tmp_path / "link.csv"
    if there:
        target.write_text(OLD)
    link.symlink_to(target)
    write_text(link, NEW)
    assert link.is_symlink()
    assert target.read_text() == NEW


def test_all_names_of_a_file_see_what_is_written(tmp_path: Path) -> None:
    """A file with a second name (a hard link) keeps it."""
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text(OLD)
    other.hardlink_to(path)
    write_text(path, NEW)
    assert other.read_text() == NEW
    assert path.samefile(other)


@pytest.mark.parametrize("number", [1, 13, 30])
def test_a_file_in_a_folder_that_is_not_writable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Who may write the file and not its folder writes it; a new one is an error that names it."""
    path = tmp_path / "a"
    path.write_text(OLD)
    real = os.open

    def refuse(name: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & os.O_EXCL and Path(name).parent == tmp_path:
            raise OSError(number, os.strerror(number), str(name))
        return real(name, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    write_text(path, NEW)
    assert path.read_text() == NEW
    with pytest.raises(StageError, match="new cannot be written: "):
        write_text(tmp_path / "new", NEW)


def test_a_mounted_file_is_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a file cannot be put in another's place, its bytes are."""
    path = tmp_path / "a"
    path.write_text(OLD)

    def busy(self: Path, _: Path) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    write_text(path, NEW)
    assert path.read_text() == NEW
    assert names(tmp_path) == ["a"]


def test_a_file_that_is_not_writable_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file without the right to write it is not replaced, though its folder would allow it."""
    path = tmp_path / "a"
    path.write_text(OLD)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StageError, match="Permission denied"):
        write_text(path, NEW)
    assert path.read_text() == OLD


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "Is a directory"),
        ("file/a", "Not a directory"),
        ("missing/a", "No such file"),
        ("loop", "symbolic links"),
        ("x" * 300, "too long"),
    ],
)
def test_where_no_file_can_be(tmp_path: Path, name: str, said: str) -> None:
    """A name that no file can have is an error that says so."""
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StageError, match=said):
        write_text(tmp_path / name, NEW)


def test_pipes_and_devices_are_written_to(tmp_path: Path) -> None:
    """A pipe or a device gets the bytes, and is not replaced by a file."""
    write_text(Path("/dev/null"), NEW)
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    with pytest.raises(StageError, match="No space left"):
        write_text(Path("/dev/full"), NEW)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, NEW)
    assert os.read(reader, 99) == NEW.encode()
    os.close(reader)


def test_standard_output_that_is_a_file(tmp_path: Path) -> None:
    """`/dev/stdout` is written to where it stands, also when the shell made it a file."""
    script = (
        "import sys; from pathlib import Path; from loader.atomic_write import write_text;"
        "print('before', flush=True); write_text(Path('/dev/stdout'), 'x\\n'); print('after')"
    )
    with (tmp_path / "out").open("wb") as out:
        subprocess.run([sys.executable, "-c", script], stdout=out, check=True, timeout=60)
    assert (tmp_path / "out").read_text() == "before\nx\nafter\n"


# Commands


@pytest.fixture
def broken(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project with a table that breaks off after its first batch."""
    columns = [{"name": "id", "data_type": "integer"}, {"name": "t", "data_type": "varchar"}]
    project = make_project({"t.yml": {"schema": "s", "name": "t", "columns": columns}})
    project.load(project.spec("s/t"), pa.table({"id": [1, 2], "t": ["a", "b"]}))
    whole: Callable[..., Iterator[pa.RecordBatch]] = DuckDBSession.stream

    def stream(self: Any, sql: str, schema: Any) -> Iterator[pa.RecordBatch]:
        yield from whole(self, sql, schema)
        raise OSError("Invalid Input Error: the disk has a hole")

    monkeypatch.setattr(DuckDBSession, "stream", stream)
    monkeypatch.chdir(project.config.root)
    return project


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet", "arrow", None, "stdout json"])
def test_a_read_that_breaks_off(
    broken: Any, capfd: pytest.CaptureFixture[str], suffix: str | None
) -> None:
    """A read that fails midway says why, and leaves the file that was to be replaced."""
    path = broken.config.root / f"out.{suffix}"
    path.write_text(OLD)
    options = ["-o", str(path)] if suffix in ("csv", "json", "parquet", "arrow") else []
    options += ["--format", "json"] if suffix == "stdout json" else []
    assert run("read", "s/t", *options) == 1
    err = capfd.readouterr().err
    assert "s.t cannot be read" in err
    assert "a hole" in err
    assert "Traceback" not in err
    assert path.read_text() == OLD
    assert not [name for name in names(broken.config.root) if name.startswith(".loader-")]


def test_a_stream_that_breaks_off_tells_its_own_error(broken: Any, tmp_path: Path) -> None:
    """Who takes the batches of a read gets the error of the read, not Arrow's text of it."""
    spec = broken.spec("s/t")
    for take in (
        lambda stream: list(batches_of(stream)),
        on_disk,
        lambda stream: write_file(
            batches_of(stream), stream.schema, spec, tmp_path / "a.csv", "csv"
        ),
    ):
        with pytest.raises(ExecuteError, match="a hole"):
            take(broken.read(spec, as_="batches"))
    with pytest.raises(LoaderError):
        broken.read(spec, as_="arrow")


@pytest.mark.parametrize(
    "words",
    [
        ["plan", "-o"],
        ["export", "--to", "dbt", "-o"],
        ["export", "--to", "odcs", "-o"],
        ["read", "s/t", "-o"],
    ],
)
def test_every_command_writes_aside(
    make_project: MakeProject,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    words: list[str],
) -> None:
    """Where the disk is full, a command says so and what was there is still there."""
    columns = [{"name": "id", "data_type": "integer"}]
    project = make_project({"t.yml": {"schema": "s", "name": "t", "columns": columns}})
    project.load(project.spec("s/t"), pa.table({"id": [1]}))
    monkeypatch.chdir(project.config.root)
    path = Path("out.json")
    path.write_text(OLD)

    def full(aside: Path, _: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_write, "_replace", full)
    assert run(*words, str(path)) == 1
    assert "out.json cannot be written: No space left" in capfd.readouterr().err
    assert path.read_text() == OLD
