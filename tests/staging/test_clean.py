"""Cleaning removes what loads have left, and nothing that is young or was made by others."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pyarrow as pa
import pytest
from click.testing import CliRunner

from loader.cli import main
from loader.doctor.report import check_target
from loader.doctor.scratch import ScratchSchema
from loader.doctor.thorough import try_target
from loader.doctor.trials import find_trials
from loader.errors import LoaderError
from loader.project import Project
from loader.staging.clean import clean, run_folder
from loader.staging.stores.base import Store
from loader.staging.stores.local import FolderStore
from loader.warehouse.doctor import Trial
from loader.warehouse.registry import open_staging
from tests.conftest import MakeProject, redshift_target

if TYPE_CHECKING:
    from loader.testing.redshift.server import RedshiftStandIn

DAY = 86_400.0
RUN = "s.t/one/0123456789ab"
NOW = timedelta(0)
ROWS = pa.table({"id": ["1", "2", "x"], "v": ["a", "b", "c"]})
SPEC: Mapping[str, Any] = {
    "schema": "s",
    "name": "t",
    "columns": [
        {"name": "id", "data_type": "integer"},
        {"name": "v", "data_type": "varchar(9)"},
    ],
    "schema_contract": {"bad_rows": "reject", "max_rejects": 9},
    "write_disposition": "append",
}
FORMATS = [
    ("parquet", "snappy"),
    ("csv", "gzip"),
    ("csv", "none"),
    ("json", "zstd"),
    ("auto", "auto"),
]


@pytest.fixture(params=["duckdb", "redshift"])
def target(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of a target of each kind."""
    redshift = request.param == "redshift"
    found = request.getfixturevalue("stand_in") if redshift else None
    return redshift_target(found, unload_rows=0) if found else {}


@pytest.fixture
def store(target: dict[str, Any], tmp_path: Path) -> Store:
    """A staging location of each kind."""
    from loader.staging.stores.open import open_store

    return open_store(target.get("staging", str(tmp_path / "staging")))


def put(store: Store, key: str, size: int = 3, age: float = 0) -> None:
    """Make a file, in a folder as old as is wanted."""
    with store.create(key) as file:
        file.write(b"x" * size)
    if isinstance(store, FolderStore) and age:
        then = time.time() - age
        os.utime(store.uri(key), (then, then))


def left(store: Store) -> list[str]:
    """Everything there is, half files too."""
    return sorted(f.key for found in (store.files(), store.unfinished()) for f in found)


def test_all_that_loader_makes_is_known(
    make_project: MakeProject, target: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Staged files of every format, rejected rows, reads and examinations: all of it goes."""
    project: Project | None = None
    for number, (form, compression) in enumerate(FORMATS):
        staging = {"format": form, "compression": compression, "keep": "always"}
        name = "t" if number else "odd näme, and a long one: " + "x" * 70
        project = make_project({"t.yml": {**SPEC, "name": name, "staging": staging}}, **target)
        (spec,) = project.catalog.specs()
        project.load(spec, ROWS, load_id=f"../{form} {compression}")
    assert project is not None
    for kind in ("local.FolderStore", "s3.S3Store"):
        monkeypatch.setattr(f"loader.staging.stores.{kind}.delete", lambda *_: None)
    project.read(project.spec("s/t"), as_="arrow")
    with suppress(LoaderError):
        list(check_target(project, "local"))
    monkeypatch.setattr("loader.doctor.transfers.SAMPLES", {"boolean": (True,)})
    monkeypatch.setattr("loader.doctor.thorough.find_trials", _find_few_trials)
    list(try_target(project, "local"))
    settings = project.config.settings()
    location = settings.staging
    if "://" not in location:
        location = str(project.config.root / location)
    there = left(open_staging(location, settings))
    assert {key.split("/")[0] for key in there} >= {"rejects", "doctor", "s.t"}
    assert ("unload" in {key.split("/")[0] for key in there}) == bool(target)
    assert [key for key in there if run_folder(key) is None] == []
    done = project.clean(NOW)
    assert (done.files, done.foreign, done.younger) == (len(there), 0, 0)
    assert left(open_staging(location, settings)) == []
    assert not target or project.clean(NOW).removed == ()


def _find_few_trials(scratch: ScratchSchema) -> list[Trial]:
    """Trials that stage files, reject rows and unload."""
    return [trial for trial in find_trials(scratch) if trial.name in ("boolean", "append once")]


FOREIGN = [
    "readme.txt",
    "manifest.json",
    "s.t/part-00000.parquet",
    "s.t/one/part-00000.parquet",
    "s.t/one/not-a-run/part-00000.parquet",
    "s.t/one/0123456789AB/part-00000.parquet",
    f"{RUN}/notes.txt",
    f"{RUN}/part-0.parquet",
    f"{RUN}/part-00000.parquet.bak",
    f"{RUN}/deeper/part-00000.parquet",
    f"backup/{RUN}/part-00000.parquet",
    f"rejects/{RUN}/part-00000.parquet",
    "rejects/mine.parquet",
    "unload/s.t/mine/manifest",
    "doctor/notes/probe.txt",
    "day=2026-01-01/part-00000-c000.snappy.parquet",
]


def test_what_others_made_is_left_alone(store: Store) -> None:
    """Files whose place or name Loader does not give stay, also in the folders of runs."""
    for key in (*FOREIGN, f"{RUN}/part-00000.parquet", f"{RUN}/manifest.json"):
        put(store, key)
    done = clean(store, NOW)
    assert [(one.uri, one.files, one.bytes) for one in done.removed] == [(store.uri(RUN), 2, 6)]
    assert done.foreign == len(FOREIGN)
    assert sorted(done.foreign_keys) == sorted(FOREIGN) == left(store)


def test_only_runs_that_have_long_been_still_are_removed(store: Store) -> None:
    """The age of a run is that of its newest file, its rejected rows among them."""
    old = ["s.t/one/00000000000a", "s.t/one/00000000000b", "s.t/one/00000000000c"]
    for run in old:
        put(store, f"{run}/part-00000.parquet", age=9 * DAY)
    put(store, f"{old[1]}/part-00001.parquet", age=2 * DAY)
    put(store, f"rejects/{old[2]}/rejects.parquet", age=2 * DAY)
    if isinstance(store, FolderStore):
        done = clean(store)
        assert [one.uri for one in done.removed] == [store.uri(old[0])]
        assert done.younger == 3
        assert len(left(store)) == 4
    else:  # S3 says itself how old its objects are
        assert clean(store).removed == ()
    assert len(clean(store, NOW).removed) == 4 - isinstance(store, FolderStore)
    assert left(store) == []


def test_a_dry_run_tells_and_removes_nothing(store: Store) -> None:
    """It names what would go, which then goes."""
    for key in (f"{RUN}/part-00000.csv.gz", f"rejects/{RUN}/rejects.parquet", "mine"):
        put(store, key)
    before = left(store)
    would = clean(store, NOW, dry_run=True)
    assert left(store) == before
    assert clean(store, NOW) == would
    assert left(store) == ["mine"]
    assert (would.files, would.bytes) == (2, 6)


def test_half_files_of_killed_runs_go_too(store: Store) -> None:
    """What a writer that was killed has left in a folder or in S3 is removed with its run."""
    put(store, f"{RUN}/part-00000.csv")
    killed = [store.create(key) for key in (f"{RUN}/part-00001.csv", "others/half.csv")]
    for writer in killed:
        writer.__enter__().write(b"x" * (9 << 20))
    deadline = time.monotonic() + 30
    while len(list(store.unfinished())) < 2:
        assert time.monotonic() < deadline
    time.sleep(1)
    done = clean(store, NOW)
    (one,) = done.removed
    assert (one.files, one.unfinished) == (2, 1)
    assert one.bytes >= (8 << 20)
    assert left(store) == ["others/half.csv"]
    assert (done.foreign, done.foreign_keys) == (1, ("others/half.csv",))
    for writer in killed:
        with suppress(BaseException):
            writer.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)


def test_only_what_lies_below_the_prefix_is_looked_at(stand_in: RedshiftStandIn) -> None:
    """Objects and uploads of the same form elsewhere in the bucket are not Loader's to remove."""
    from loader.staging.stores.open import open_store

    client = boto3.client("s3")
    outside = [
        f"{RUN}/part-00000.csv",
        f"loader2/{RUN}/part-00000.csv",
        f"load/{RUN}/manifest.json",
    ]
    for key in outside:
        client.put_object(Bucket=stand_in.bucket, Key=key, Body=b"x")
        client.create_multipart_upload(Bucket=stand_in.bucket, Key=key)
    store = open_store(f"s3://{stand_in.bucket}/loader")
    put(store, f"{RUN}/part-00000.csv")
    client.create_multipart_upload(Bucket=stand_in.bucket, Key=f"loader/{RUN}/part-00001.csv")
    done = clean(store, NOW)
    assert (done.files, done.foreign) == (2, 0)
    assert sorted(stand_in.objects()) == sorted(outside)
    assert sorted(one["Key"] for one in stand_in.uploads()) == sorted(outside)


def test_uploads_that_may_not_be_listed_are_said(
    stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has no right to list uploads has files removed, and is told what was not looked at."""
    from loader.errors import StageError
    from loader.staging.stores.open import open_store

    store = open_store(f"s3://{stand_in.bucket}/loader")
    put(store, f"{RUN}/part-00000.csv")

    def denied(_: object) -> Iterator[Any]:
        raise StageError("AWS denied s3:ListBucketMultipartUploads")

    monkeypatch.setattr("loader.staging.stores.s3.S3Store.unfinished", denied)
    done = clean(store, NOW)
    assert done.files == 1
    assert "s3:ListBucketMultipartUploads" in done.notes[0]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """A link in a staging folder is somebody else's, and so is what it leads to."""
    store = FolderStore(tmp_path / "staging")
    put(store, f"{RUN}/part-00000.csv")
    outside = tmp_path / "outside" / "0123456789ab"
    outside.mkdir(parents=True)
    (outside / "part-00000.csv").write_text("x")
    (tmp_path / "staging/s.t/two").symlink_to(outside.parent)
    (tmp_path / "staging" / RUN / "part-00001.csv").symlink_to(outside / "part-00000.csv")
    assert clean(store, NOW).files == 1
    assert (outside / "part-00000.csv").read_text() == "x"
    assert (tmp_path / "staging" / RUN / "part-00001.csv").is_symlink()


def test_the_empty_folder_of_a_killed_run_goes(tmp_path: Path) -> None:
    """A run that was killed before its first file leaves a folder, and no more."""
    store = FolderStore(tmp_path / "staging")
    for folder in (RUN, "others/empty"):
        (tmp_path / "staging" / folder).mkdir(parents=True)
    assert clean(store, NOW, dry_run=True).files == 0
    assert clean(store, NOW).foreign == 0
    assert [path.name for path in (tmp_path / "staging").iterdir()] == ["others"]


def test_nothing_staged_yet_is_fine(store: Store) -> None:
    """A location that is not there, or empty, has nothing to remove."""
    done = clean(store, NOW)
    assert (done.removed, done.foreign, done.younger, done.notes) == ((), 0, 0, ())


# The command.

Run = Callable[..., Any]


@pytest.fixture
def command(make_project: MakeProject) -> tuple[Run, FolderStore]:
    """Runs `loader clean` in a project, and the store of its target."""
    project = make_project({"t.yml": SPEC})

    def run(*words: str) -> Any:
        return CliRunner().invoke(main, ["clean", "--project", str(project.config.root), *words])

    return run, FolderStore(project.config.root / "staging")


def test_the_command_tells_what_was_removed(command: tuple[Run, FolderStore]) -> None:
    """Text and JSON say the same: folders, files and bytes, and what stays; -v names that."""
    run, store = command
    put(store, f"{RUN}/part-00000.csv", 2_000_000, age=8 * DAY)
    put(store, "s.t/two/0123456789ab/part-00000.csv")
    put(store, "mine.txt")
    would = json.loads(run("--dry-run", "--format", "json").stdout)
    assert (would["dry_run"], would["files"], would["bytes"]) == (True, 1, 2_000_000)
    assert [one["uri"] for one in would["removed"]] == [store.uri(RUN)]
    assert (would["younger"], would["foreign"]) == (1, 1)
    assert "would be removed" in run("--dry-run").stdout
    done = run("-v")
    assert done.exit_code == 0
    assert RUN in done.stdout
    assert "2.0 MB" in done.stdout
    assert f"{store.root}/mine.txt" in done.stderr
    assert len(left(store)) == 2
    assert run("--older-than", "0s", "-q").exit_code == 0
    assert left(store) == ["mine.txt"]


@pytest.mark.parametrize("age", ["7", "d", "-1d", "7 d", "7y", "", "1.5h"])
def test_an_age_that_is_none_is_refused(command: tuple[Run, FolderStore], age: str) -> None:
    """A wrong age removes nothing, and the error shows how one is written."""
    run, store = command
    put(store, f"{RUN}/part-00000.csv", age=99 * DAY)
    answer = run(f"--older-than={age}")
    assert answer.exit_code == 64
    assert "7d" in answer.stderr
    assert len(left(store)) == 1


def test_an_age_of_too_many_digits_is_too_long() -> None:
    """An age is told to be too long, and not to be written in another way."""
    done = CliRunner().invoke(main, ["clean", "--older-than", "99999999999d"])
    assert done.exit_code == 64
    assert "is too long; at most 99999d" in done.output
