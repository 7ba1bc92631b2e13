"""Files in S3 as frames: named by URL or glob, fetched one at a time, and gone afterwards."""

from __future__ import annotations

import gzip
import io
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.exceptions import IncompleteReadError

from loader.cli import main
from loader.data.chunk import Frame
from loader.data.files import s3
from loader.data.files.open import open_files
from loader.errors import FrameError, SourceError
from loader.inference.infer import infer_files
from loader.spec.model import Source
from loader.staging.stores import s3_errors, s3_objects
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject

SPEC = {
    "schema": "shop",
    "name": "orders",
    "columns": [{"name": "a", "data_type": "integer"}, {"name": "b", "data_type": "varchar(8)"}],
}
ROWS = [{"a": "1", "b": "x"}, {"a": "2", "b": "y"}]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary files, which holds nothing else."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def bucket(stand_in: RedshiftStandIn, temporary: Path) -> str:
    """The URL of a bucket with some files, and one that is no file."""
    for key, content in {
        "raw/2026/a.csv.gz": gzip.compress(b"a,b\n1,x\n"),
        "raw/2026/b.csv.gz": gzip.compress(b"b,a\ny,2\n"),
        "raw/2026/b.csv": b"a,b\n3,z\n",
        "raw/2026/deep/c.csv.gz": gzip.compress(b"a,b\n4,deep\n"),
        "raw/2026/.hidden.csv.gz": b"never read",
        "raw/2026/": b"",
        "odd/x y=[1]&é.csv": b"a,b\n5,odd\n",
        "top.csv": b"a,b\n6,top\n",
    }.items():
        stand_in.write_object(key, content)
    return f"s3://{stand_in.bucket}"


def rows(frame: Frame) -> list[dict[str, Any]]:
    """Everything in a frame, as Python objects."""
    return [
        dict(zip(chunk.columns, values, strict=True))
        for chunk in frame.chunks
        for values in zip(*(column.to_pylist() for column in chunk.columns.values()), strict=True)
    ]


def read(*patterns: str, **options: Any) -> list[dict[str, Any]]:
    """All rows of some files."""
    return rows(open_files(patterns, Source(**options)))


def refusal(*patterns: str) -> SourceError:
    """What reading some files is refused with."""
    with pytest.raises(SourceError) as caught:
        read(*patterns)
    return caught.value


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/raw/2026/*.csv.gz", ["1", "2"]),
        ("/raw/2026/?.csv.gz", ["1", "2"]),
        ("/raw/2026/[!a].csv*", ["3", "2"]),
        ("/raw/*/b.csv", ["3"]),
        ("/raw/**/*.csv.gz", ["1", "2", "4"]),
        ("/raw/2026/b.csv", ["3"]),
        ("/odd/x y=[1]&é.csv", ["5"]),
        ("/*.csv", ["6"]),
    ],
)
def test_a_url_or_a_glob_of_one_names_objects(bucket: str, pattern: str, found: list[str]) -> None:
    """Globs mean in S3 what they mean in folders, and a key that exists is no pattern."""
    assert [row["a"] for row in read(bucket + pattern)] == found


def test_each_object_is_read_once_and_beside_files(bucket: str, tmp_path: Path) -> None:
    """What several patterns name is read once, and files on disk go along."""
    (tmp_path / "local.csv").write_text("a,b\n7,here\n")
    found = read(f"{bucket}/raw/2026/*.gz", f"{bucket}/raw/2026/a.csv.gz", str(tmp_path / "*.csv"))
    assert [row["a"] for row in found] == ["1", "2", "7"]


def test_every_format_is_read(bucket: str, stand_in: RedshiftStandIn) -> None:
    """Parquet and Arrow IPC, which are read with random access, come from S3 as CSV does."""
    table = pa.table({"a": ["1", "2"], "b": ["x", "y"]})
    parquet, arrow = io.BytesIO(), io.BytesIO()
    pq.write_table(table, parquet)
    with pa.ipc.new_file(arrow, table.schema) as writer:
        writer.write_table(table)
    for name, content in (("t.parquet", parquet), ("t.arrow", arrow)):
        url = stand_in.write_object(f"typed/{name}", content.getvalue())
        assert read(url) == ROWS
    assert open_files([f"{bucket}/typed/t.parquet"], Source()).rows == 2


def test_one_file_at_a_time_is_kept_and_none_afterwards(bucket: str, temporary: Path) -> None:
    """A file is fetched when its turn comes and removed when its rows were read."""
    frame = open_files([f"{bucket}/raw/2026/*.csv.gz"], Source())
    kept = [[path.name for path in temporary.iterdir()] for _ in frame.chunks]
    assert [len(names) for names in kept] == [1, 1]
    assert kept[0] != kept[1]
    assert not list(temporary.iterdir())


def test_nothing_stays_of_a_frame_that_is_not_read(bucket: str, temporary: Path) -> None:
    """Whoever opens a frame and leaves it, or leaves it half read, leaves no file behind."""
    frame = open_files([f"{bucket}/raw/2026/*.csv.gz"], Source())
    assert list(temporary.iterdir())
    del frame
    assert not list(temporary.iterdir())
    frame = open_files([f"{bucket}/raw/2026/*.csv.gz"], Source())
    next(frame.chunks)
    del frame
    assert not list(temporary.iterdir())


def test_nothing_stays_of_a_broken_file(
    bucket: str, temporary: Path, stand_in: RedshiftStandIn
) -> None:
    """A file that is wrong is told under its URL, with its line, and removed."""
    stand_in.write_object("bad/t.csv", b"a,b\n1,2\n1,2,3\n")
    stand_in.write_object("bad/u.csv.gz", b"a,b\n1,2\n")
    stand_in.write_object("bad/v.csv", b"")
    assert f"{bucket}/bad/t.csv:3: the header has 2 fields" in str(refusal(f"{bucket}/bad/t.csv"))
    assert f"{bucket}/bad/u.csv.gz is not compressed as gzip" in str(
        refusal(f"{bucket}/bad/u.csv.gz")
    )
    assert f"{bucket}/bad/v.csv is empty" in str(refusal(f"{bucket}/bad/v.csv"))
    assert not list(temporary.iterdir())


def test_rows_that_do_not_fit_are_told_with_the_url(
    bucket: str, make_project: MakeProject, stand_in: RedshiftStandIn
) -> None:
    """A load from S3 refuses rows under the names their files were given by."""
    project = make_project({"orders.yml": SPEC})
    spec = project.spec("shop/orders")
    frame = open_files([f"{bucket}/raw/2026/*.csv.gz"], spec.source)
    assert project.load(spec, frame).rows_loaded == 2
    stand_in.write_object("raw/2026/z.csv", b"a,b\n8,x\nnine,y\n")
    with pytest.raises(FrameError) as caught:
        project.load(spec, open_files([f"{bucket}/raw/2026/?.csv"], spec.source))
    assert f"{bucket}/raw/2026/z.csv" in str(caught.value)
    assert "row 2: 'nine' is not an integer" in str(caught.value)


NAMES = [
    ("/raw/2026/a.csv", r"no file matches .*did you mean .*/raw/2026/a\.csv\.gz"),
    ("/raw/2026/*.parquet", r"no file matches .*"),
    ("/raw/2027/*.csv", r"no file matches .*/raw/2027/ holds nothing"),
    ("/raw/2026", r"is a folder.*use a glob for its files: 's3://[^']+/raw/2026/\*\.csv'"),
    ("/raw/2026/", r"is a folder.*use a glob for its files: 's3://[^']+/raw/2026/\*\.csv'"),
    ("", r"is a folder.*use a glob for its files: 's3://[^']+[^/]/\*\.csv'"),
]


@pytest.mark.parametrize(("pattern", "message"), NAMES)
def test_a_name_that_is_not_there_is_answered_with_its_neighbours(
    bucket: str, pattern: str, message: str
) -> None:
    """No match names near keys, and a folder says how its files are named."""
    assert re.search(message, str(refusal(bucket + pattern)), re.DOTALL)


URLS = [
    ("s3://AKIAIOSFODNN7EXAMPLE:wJalr/XUtnFEMI@acme-data/x.csv", "contains credentials"),
    ("s3a://AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@acme-data/x.csv", "contains credentials"),
    ("s3:/AKIAIOSFODNN7EXAMPLE:wJalrXUtnFEMI@acme-data/x.csv", "contains credentials"),
    ("s3a://acme-data/x.csv", "is not a valid URL of a file in S3.*use s3://bucket/key"),
    ("S3://acme-data/x.csv", "is not a valid URL of a file in S3.*use s3://bucket/key"),
    ("s3:/acme-data/x.csv", "is not a valid URL of a file in S3"),
    ("s3://", "is not a valid URL of a file in S3"),
    ("s3://acme-*/x.csv", r"`acme-\*` is not a valid bucket name.*only the key may be a glob"),
]


@pytest.mark.parametrize(("pattern", "message"), URLS)
def test_a_wrong_url_is_refused_before_anything_is_sent(pattern: str, message: str) -> None:
    """A URL that cannot be meant says what a right one is, and prints no secret."""
    told = str(refusal(pattern))
    assert re.search(message, told, re.DOTALL)
    assert "AKIA" not in told
    assert "XUtnFEMI" not in told


FAULTS = [
    (403, "AccessDenied", "ListObjects", "AWS denied s3:ListBucket.*allow s3:ListBucket on arn"),
    (403, "AccessDenied", "GetObject", "AWS denied s3:GetObject.*allow s3:GetObject on arn"),
    (400, "ExpiredToken", "ListObjects", "the AWS credentials have expired"),
    (404, "NoSuchKey", "GetObject", "it does not exist.*just removed"),
    (400, "KMS.DisabledException", "GetObject", "the KMS key cannot be used.*allow kms:Decrypt"),
]


@pytest.mark.parametrize(("status", "code", "operation", "message"), FAULTS)
def test_what_s3_refuses_is_told_to_those_who_read(
    status: int,
    code: str,
    operation: Any,
    message: str,
    bucket: str,
    stand_in: RedshiftStandIn,
    temporary: Path,
) -> None:
    """The answer of S3 becomes an error that says what to do, and nothing of staging."""
    stand_in.faults.s3_errors(status, code, times=99, operation=operation, by="client")
    told = str(refusal(f"{bucket}/raw/2026/*.csv.gz"))
    assert re.search(message, told, re.DOTALL)
    assert not re.search("stag|target", told)
    assert not list(temporary.iterdir())


def test_a_bucket_that_is_not_there_is_named(bucket: str) -> None:
    """A wrong bucket is told as such."""
    told = str(refusal("s3://acme-nowhere-at-all/x.csv"))
    assert "bucket `acme-nowhere-at-all` does not exist" in told
    assert "aws s3 ls" in told


def test_who_may_not_list_may_still_read(bucket: str, stand_in: RedshiftStandIn) -> None:
    """An object named in full needs no right to list the bucket."""
    stand_in.faults.s3_errors(403, "AccessDenied", times=99, operation="ListObjects", by="client")
    assert [row["a"] for row in read(f"{bucket}/raw/2026/a.csv.gz")] == ["1"]
    assert "AWS denied s3:ListBucket" in str(refusal(f"{bucket}/raw/2026/*.gz"))


def test_no_hint_of_s3_speaks_of_staging() -> None:
    """All that S3 may answer is told to those who read in words of their own."""
    hints = [fault.hint for fault in s3_errors._CODES.values()]
    hints += [fault.hint for fault in s3_errors._EXCEPTIONS.values()]
    hints += [s3_errors._KMS.hint, s3_errors._UNKNOWN_REGION.hint, s3_errors._OTHER.hint]
    for hint in hints:
        assert not re.search(r"stag|target", s3_objects.rephrase_for_readers(hint)), hint


def test_a_busy_s3_is_asked_again(bucket: str, stand_in: RedshiftStandIn) -> None:
    """A slow-down is no error as long as it passes."""
    rule = stand_in.faults.s3_errors(503, "SlowDown", times=2, operation="GetObject", by="client")
    assert [row["a"] for row in read(f"{bucket}/raw/2026/a.csv.gz")] == ["1"]
    assert rule.fired == 2


def breaking(monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    """Let connections break after the first piece of an object."""
    real, left = s3_objects._read_pieces, [times]
    monkeypatch.setattr(s3_objects, "_PART_BYTES", 100)
    monkeypatch.setattr("time.sleep", lambda _: None)

    def pieces(body: Any) -> Iterator[bytes]:
        for part in real(body):
            yield part
            if left[0]:
                left[0] -= 1
                raise IncompleteReadError(actual_bytes=100, expected_bytes=1_000)

    monkeypatch.setattr(s3_objects, "_read_pieces", pieces)


def test_a_connection_that_breaks_is_taken_up_where_it_was(
    bucket: str, stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No byte is read twice, and none is missing."""
    expected = [{"a": str(number), "b": "x" * (number % 7)} for number in range(500)]
    lines = "".join(f'{row["a"]},"{row["b"]}"\n' for row in expected)
    url = stand_in.write_object("long.csv", f"a,b\n{lines}".encode())
    breaking(monkeypatch, 20)
    assert read(url) == expected


def test_an_object_that_changes_while_it_is_read_is_refused(
    bucket: str, stand_in: RedshiftStandIn, monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    """Halves of two objects never make one file."""
    url = stand_in.write_object("long.csv", b"a,b\n" + b"1,x\n" * 500)
    breaking(monkeypatch, 1)
    monkeypatch.setattr(
        "time.sleep",
        lambda _: stand_in.write_object("long.csv", b"a,b\n" + b"2,y\n" * 500),
    )
    assert "has changed since" in str(refusal(url))
    assert not list(temporary.iterdir())


def test_a_full_disk_is_told(bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without room for the file the error says where it was to be kept."""
    monkeypatch.setattr(tempfile, "tempdir", "/proc/nowhere")
    told = str(refusal(f"{bucket}/top.csv"))
    assert "top.csv cannot be downloaded" in told
    assert "TMPDIR" in told


def test_other_files_need_no_boto3() -> None:
    """A pattern without s3:// is none of S3's business."""
    assert not s3.is_s3_url("data/s3/x.csv")
    assert not s3.is_s3_url("s3.csv")
    assert s3.is_s3_url("S3A://x/y")


def test_the_command_line_loads_from_s3(
    bucket: str, make_project: MakeProject, capsys: pytest.CaptureFixture[str]
) -> None:
    """`loader load` takes URLs where it takes files."""
    project = make_project({"orders.yml": SPEC})
    arguments = ["load", "shop/orders", f"{bucket}/raw/2026/*.csv.gz"]
    with pytest.raises(SystemExit) as left:
        main([*arguments, "--project", str(project.config.root)])
    assert left.value.code == 0, capsys.readouterr().err
    assert "2 rows loaded" in capsys.readouterr().out


def test_a_spec_is_inferred_from_files_in_s3(
    bucket: str, stand_in: RedshiftStandIn, temporary: Path
) -> None:
    """What is read twice is fetched twice, and nothing stays of it."""
    stand_in.write_object("na/1.csv", b"a;b\n1;x\nNA;y\n")
    draft = infer_files([f"{bucket}/na/*.csv"], schema="s", name="t")
    assert [str(column.data_type) for column in draft.spec.columns] == ["smallint", "varchar(16)"]
    assert draft.spec.source.null_values == ("", "NA")
    assert not list(temporary.iterdir())
