"""What is measured, and what this loader is held to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tests.benchmarks.manyfiles import JobForm
from tests.benchmarks.manyspecs import Form
from tests.benchmarks.s3server import Kind

Source = Literal["arrow", "pandas", "polars", "dataset", "stream"]


@dataclass(frozen=True)
class Load:
    """One way to load line items, in a process of its own."""

    name: str
    worker: str
    source: Source
    limit: str
    environment: str | None = None
    peer: bool = False
    s3: Kind | None = None
    """The server that it needs, if it writes to S3."""
    extra: str | None = None
    """The extra of this repository that it needs: then it runs only when named."""
    rows: int | None = None
    """The rows of a stream, whatever `--rows` says."""

    @property
    def streams(self) -> bool:
        """Whether the case reads a file of any length: run only when named."""
        return self.source == "stream"


@dataclass(frozen=True)
class Many:
    """A project of many tables that is made for a command."""

    form: Form
    tables: int


@dataclass(frozen=True)
class Job:
    """Twenty tables of a hundred files each, which are loaded into a new DuckDB file."""

    form: JobForm
    again: bool = False
    """Whether what is measured is the second run, which has nothing to load."""


@dataclass(frozen=True)
class Command:
    """One command line, run several times in each round."""

    name: str
    arguments: tuple[str, ...]
    runs: int = 5
    program: str = "loader"
    environment: str | None = None
    peer: bool = False
    project: Many | Job | None = None
    """Where it runs; `None` is this repository."""
    streams: bool = False
    """Whether it is so long that it runs only when named."""
    extra: str | None = None


@dataclass(frozen=True)
class Objects:
    """A load in place of many objects in S3, without the statements of the warehouse."""

    name: str
    rows: int
    """The rows of each object."""
    objects: int = 1_000
    peer: bool = False
    streams: bool = False
    extra: str | None = None


Case = Load | Command | Objects

_THOUSAND, _TEN_THOUSAND = Many("loader", 1_000), Many("loader", 10_000)


def _dbt(name: str, *arguments: str) -> Command:
    """A dbt command on the same thousand tables; the first of its words go before the command."""
    where = ("--profiles-dir", ".")
    *flags, command = arguments
    return Command(
        name,
        ("--quiet", *flags, command, *where),
        runs=1,
        program="dbt",
        environment="dbt",
        peer=True,
        project=Many("dbt", 1_000),
    )


def _job(form: JobForm, program: str, *arguments: str, again: bool = False) -> Command:
    """The whole job, from process start to end."""
    own = form == "loader"
    return Command(
        f"files-{form}{'-again' * again}",
        arguments,
        runs=1,
        program=program,
        environment=None if own else form,
        peer=not own,
        project=Job(form, again),
    )


CASES: tuple[Case, ...] = (
    Load("limit-arrow", "limit", "arrow", limit="limit-arrow"),
    Load("loader-arrow", "loader_api", "arrow", limit="limit-arrow"),
    Load("loader-arrow-counts", "loader_counts", "arrow", limit="limit-arrow"),
    Load("loader-polars", "loader_api", "polars", limit="limit-arrow"),
    Load("loader-parquet", "loader_api", "dataset", limit="limit-arrow"),
    Load("dlt-arrow", "dlt_pipeline", "arrow", limit="limit-arrow", environment="dlt", peer=True),
    Load("limit-pandas", "limit", "pandas", limit="limit-pandas"),
    Load("loader-pandas", "loader_api", "pandas", limit="limit-pandas"),
    Load("loader-pandas-counts", "loader_counts", "pandas", limit="limit-pandas"),
    Load(
        "dlt-pandas", "dlt_pipeline", "pandas", limit="limit-pandas", environment="dlt", peer=True
    ),
    Load(
        "dagster-duckdb-pandas",
        "dagster_duckdb",
        "pandas",
        limit="limit-pandas",
        environment="dagster",
        peer=True,
    ),
    Load("loader-dagster", "loader_dagster", "pandas", limit="limit-pandas"),
    Load("to-csv-gzip", "csv_gzip", "pandas", limit="limit-pandas", peer=True),
    Load("in-place-limit", "in_place_limit", "dataset", limit="in-place-limit"),
    Load("in-place", "in_place", "dataset", limit="in-place-limit"),
    Objects("in-place-1kb", rows=1),
    Objects("in-place-10mb", rows=420_000),
    # `uv run --extra spark python -m tests.benchmarks --only spark --rows 5000000`
    Load("spark-writers", "spark_writers", "dataset", limit="spark-writers", extra="spark"),
    Load("spark-limit", "spark_rows", "dataset", limit="spark-limit", extra="spark"),
    Load("spark", "spark", "dataset", limit="spark-limit", extra="spark"),
    Load("stream-limit-1.2m", "limit", "stream", "stream-limit-1.2m", rows=1_200_000),
    Load("stream-1.2m", "loader_api", "stream", "stream-limit-1.2m", rows=1_200_000),
    Load("stream-limit-12m", "limit", "stream", "stream-limit-12m", rows=12_000_000),
    Load("stream-12m", "loader_api", "stream", "stream-limit-12m", rows=12_000_000),
    Load("stream-limit", "limit", "stream", limit="stream-limit"),
    Load("stream", "loader_api", "stream", limit="stream-limit"),
    Load("s3-limit-arrow", "s3_limit", "arrow", limit="s3-limit-arrow", s3="moto"),
    Load("s3-loader-arrow", "s3_loader", "arrow", limit="s3-limit-arrow", s3="moto"),
    Load("s3-loader-arrow-counts", "s3_loader_counts", "arrow", "s3-limit-arrow", s3="moto"),
    Load("s3-limit-pandas", "s3_limit", "pandas", limit="s3-limit-pandas", s3="moto"),
    Load("s3-loader-pandas", "s3_loader", "pandas", limit="s3-limit-pandas", s3="moto"),
    Load("s3-loader-pandas-counts", "s3_loader_counts", "pandas", "s3-limit-pandas", s3="moto"),
    Load(
        "s3-awswrangler",
        "s3_awswrangler",
        "pandas",
        limit="s3-limit-pandas",
        environment="awswrangler",
        peer=True,
        s3="moto",
    ),
    Load("s3-to-csv-gzip", "s3_csv_gzip", "pandas", "s3-limit-pandas", peer=True, s3="moto"),
    Load("s3-stream-limit", "encode_only", "stream", limit="s3-stream-limit"),
    Load("s3-stream", "s3_stream", "stream", limit="s3-stream-limit", s3="sink"),
    Load("s3-stream-keys", "s3_stream_keys", "stream", limit="s3-stream-limit", s3="sink"),
    Command("cli-help", ("--help",)),
    Command("cli-plan", ("plan", "nyc/flights")),
    Command("many-1k-validate", ("validate",), 1, project=_THOUSAND),
    Command("many-1k-plan", ("plan",), 1, project=_THOUSAND),
    _dbt("many-1k-dbt-parse", "--no-partial-parse", "parse"),
    _dbt("many-1k-dbt-parse-again", "parse"),
    _dbt("many-1k-dbt-compile", "--no-partial-parse", "compile"),
    _job("loader", "loader", "run"),
    _job("loader", "loader", "run", again=True),
    _job("dlt", "python", "job.py"),
    _job("dlt", "python", "job.py", again=True),
    _job("sling", "python", "job.py"),
    _job("sling", "python", "job.py", again=True),
    Command("many-10k-validate", ("validate",), 1, project=_TEN_THOUSAND, streams=True),
    Command("many-10k-plan", ("plan",), 1, project=_TEN_THOUSAND, streams=True),
)


@dataclass(frozen=True)
class Target:
    """A bound on a case's seconds, on its peak memory, or on its ratio to another case."""

    case: str
    at_most: float
    measure: Literal["seconds", "peak_mb"] = "seconds"
    of: str | None = None

    @property
    def text(self) -> str:
        """The bound in words."""
        if self.of:
            return f"{self.case} ≤ {self.at_most:.3g} x {self.of}"
        return f"{self.case} ≤ {self.at_most:g} {'s' if self.measure == 'seconds' else 'MB'}"


TARGETS = (
    Target("loader-arrow", 0.75, of="limit-arrow"),
    Target("loader-arrow", 1.1, of="loader-arrow-counts"),
    Target("loader-pandas", 1.1, of="loader-pandas-counts"),
    Target("s3-loader-arrow", 1.1, of="s3-loader-arrow-counts"),
    Target("s3-loader-pandas", 1.1, of="s3-loader-pandas-counts"),
    Target("loader-arrow", 0.5, of="dlt-arrow"),
    Target("loader-pandas", 1.3, of="limit-pandas"),
    Target("loader-dagster", 0.5, of="dagster-duckdb-pandas"),
    Target("in-place", 1.3, of="in-place-limit"),
    Target("in-place-10mb", 1.2, of="in-place-1kb"),
    Target("in-place-10mb", 250, measure="peak_mb"),
    Target("spark", 1.25, of="spark-limit"),
    Target("stream-12m", 11.5, of="stream-1.2m"),
    Target("stream", 5.75, of="stream-12m"),
    Target("stream", 700, measure="peak_mb"),
    Target("s3-loader-pandas", 0.4, of="s3-awswrangler"),
    Target("s3-loader-pandas", 1 / 6, of="s3-to-csv-gzip"),
    Target("s3-stream", 700, measure="peak_mb"),
    Target("s3-stream", 1.25, of="s3-stream-limit"),
    Target("cli-help", 0.2),
    Target("cli-plan", 0.6),
    Target("many-1k-validate", 1.5),
    Target("many-1k-plan", 1.5),
    Target("files-loader", 0.5, of="files-dlt"),
    Target("files-loader", 0.5, of="files-sling"),
    Target("many-10k-validate", 12),
    Target("many-10k-validate", 600, measure="peak_mb"),
    Target("many-10k-plan", 12),
    Target("many-10k-plan", 600, measure="peak_mb"),
)


def select(only: Sequence[str], *, peers: bool) -> list[Case]:
    """The cases named in full or by their first word; without names all but the streams."""
    unknown = [name for name in only if not any(_is_named(case, name) for case in CASES)]
    if unknown:
        raise LookupError(f"no case `{unknown[0]}`; there are {', '.join(c.name for c in CASES)}")
    if only:
        return [case for case in CASES if any(_is_named(case, name) for name in only)]
    usual = [case for case in CASES if not case.streams and case.extra is None]
    return [case for case in usual if peers or not case.peer]


def _is_named(case: Case, name: str) -> bool:
    return case.name == name or case.name.startswith(f"{name}-")
