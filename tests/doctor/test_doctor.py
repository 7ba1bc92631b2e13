"""`loader doctor`: a verdict on every step, no secret in any, and nothing left behind."""

from __future__ import annotations

import json
import multiprocessing
import re
import shutil
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from loader.cli import main
from loader.doctor import checks
from loader.doctor.report import Finding, check_target, format_finding
from loader.project import Project
from loader.testing.redshift.faults import CutCopy, Drop, Error
from loader.testing.redshift.server import RedshiftStandIn
from loader.warehouse.redshift import doctor as redshift
from tests.conftest import MakeProject, redshift_target

PASSWORD, TOKEN = "pl4nted-passw0rd", "pl4nted-s3ssion-token"
SECRETS = (PASSWORD, TOKEN, "Hunter2-of-tests", "stand-in-secret")


def plain(text: str, **_: object) -> str:
    return text


class Seen:
    """What an examination told."""

    def __init__(self, findings: dict[str, Finding]) -> None:
        self.findings = findings

    def __getitem__(self, name: str) -> Finding:
        return self.findings[name]

    def named(self, status: str) -> list[str]:
        """The steps of a status."""
        return [name for name, finding in self.findings.items() if finding.status == status]


def see(project: Project) -> Seen:
    """Examine the project's target; every finding is whole, one line, and without secrets."""
    seen = Seen({finding.name: finding for finding in check_target(project)})
    for finding in seen.findings.values():
        assert finding.detail
        assert "\n" not in finding.detail
        assert finding.status not in ("failed", "warning") or finding.hint
        assert finding.seconds >= 0
        told = json.dumps(finding.to_dict()) + format_finding(finding, plain, verbose=True)
        assert not [secret for secret in SECRETS if secret in told]
    return seen


class Place:
    """A target that is the stand-in, and what is there besides."""

    def __init__(self, stand_in: RedshiftStandIn, make: MakeProject) -> None:
        self.stand_in, self._make = stand_in, make

    def see(self, templates: Mapping[str, str] | None = None, **changes: Any) -> Seen:
        """Examine it; afterwards it is unchanged."""
        project = self._make({}, templates, **redshift_target(self.stand_in, **changes))
        before = self.holds()
        seen = see(project)
        assert self.holds() == before
        return seen

    def holds(self) -> tuple[Any, ...]:
        """Tables with their rows, schemas, objects and uploads; once all sessions have ended."""
        self.stand_in._gateway.end_sessions()
        tables = self.stand_in.query(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"
        )
        rows = [self.stand_in.query(f'SELECT * FROM "{s}"."{t}" ORDER BY 1') for s, t in tables]
        schemas = self.stand_in.query(
            "SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\\_%' ORDER BY 1"
        )
        return tables, rows, schemas, self.stand_in.objects(), self.stand_in.uploads()


@pytest.fixture
def place(
    stand_in: RedshiftStandIn, make_project: MakeProject, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """The stand-in as a target, and secrets in the environment."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    return Place(stand_in, make_project)


def run(project: Project, *arguments: str) -> Result:
    found = CliRunner().invoke(main, ["doctor", "--project", str(project.config.root), *arguments])
    assert not [secret for secret in SECRETS if secret in found.output]
    return found


# --- Redshift


def test_all_is_well(place: Place) -> None:
    """Every step is fine, the ledger there or not, and a row goes the way of a load and back."""
    seen = place.see()
    assert seen.named("ok") == list(seen.findings), seen
    assert "with a password" in seen["login"].detail
    assert seen["session"].detail.startswith("etl in dev, ")
    assert "does not exist yet" in seen["ledger"].detail
    place.stand_in.execute(
        f"CREATE SCHEMA loader AUTHORIZATION {place.stand_in.user};"
        "CREATE TABLE loader.loads (load_id varchar(128), table_schema varchar(127),"
        " table_name varchar(127), asset_key varchar(1024), slice varchar(4096),"
        " write_disposition varchar(16), rows_loaded bigint, bytes_staged bigint, files integer,"
        " manifest varchar(2048), spec_hash varchar(64), loader_version varchar(64),"
        f" loaded_at timestamp); ALTER TABLE loader.loads OWNER TO {place.stand_in.user}"
    )
    assert place.see()["ledger"].detail == "loader.loads exists, and can be written"


def test_the_row_goes_by_the_templates_of_a_load(place: Place) -> None:
    """COPY and UNLOAD are those of loads, a project's own ones too."""
    place.see()
    told = [s.sql for s in place.stand_in.statements if s.sql.startswith(("COPY", "UNLOAD"))]
    assert [sql.split()[0] for sql in told] == ["COPY", "UNLOAD"]
    assert "MANIFEST" in told[0]
    assert re.search(r"/loader/doctor/[0-9a-f]{32}/", told[0])
    seen = place.see({"redshift/copy_parquet.sql.j2": "COPY {{ nothing|table }}"})
    assert seen.named("failed") == ["COPY"]
    assert "nothing" in seen["COPY"].detail
    assert seen["UNLOAD"].detail == "`COPY` failed"


def test_settings_tell_all_that_is_missing(make_project: MakeProject) -> None:
    """Variables that are not set and keys that are not there, at once; all else is skipped."""
    seen = see(
        make_project(
            {}, type="redshift", host="${NO_HOST}", staging="s3://b/${NO_PREFIX}", database=""
        )
    )
    assert seen.named("failed") == ["settings"]
    detail = seen["settings"].detail
    for wanted in ("${NO_HOST}", "${NO_PREFIX}", "database: ", "iam_role: ", "password: "):
        assert wanted in detail
    assert len(seen.named("skipped")) == len(seen.findings) - 1
    assert seen["UNLOAD"].detail == "`settings` failed"
    seen = see(make_project({}, type="redshift", folder="b", database="${EMPTY:-}"))
    assert "(${EMPTY} is empty in the environment)" in seen["settings"].detail
    assert seen["settings"].detail.count("database: ") == 1


def test_settings_that_are_wrong(make_project: MakeProject) -> None:
    """A type or value that is wrong is told, and an unknown target is refused."""
    found = see(make_project({}, type="postgres"))["settings"]
    assert "duckdb, redshift" in found.detail
    assert "postgres" not in found.detail
    project = make_project({}, folder="b", type="redshift", port="x", password=PASSWORD)
    assert "port: " in see(project)["settings"].detail
    refused = run(project, "--target", "lcoal")
    assert refused.exit_code == 1
    assert "did you mean `local`?" in refused.output


def test_nobody_answers(place: Place) -> None:
    """A port that refuses is told by host and port; the bucket is examined all the same."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    seen = place.see(port=port)
    assert seen.named("failed") == ["network"]
    assert f"127.0.0.1:{port} does not answer" in seen["network"].detail
    assert seen["COPY"].detail == "`network` failed"
    assert seen["bucket delete"].status == "ok"
    seen = place.see(host="nobody.invalid")
    assert seen.named("failed") == ["network"]


def test_a_silent_host_is_not_waited_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection has a short time limit, and the step says that it ran out."""

    def silent(address: tuple[str, int], timeout: float) -> socket.socket:
        assert timeout <= 10
        raise TimeoutError("timed out")

    monkeypatch.setattr("loader.warehouse.redshift.doctor.socket.create_connection", silent)
    assert "timed out" in place.see()["network"].detail


# redshift_connector leaves a refused socket open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("changes", [{"password": PASSWORD}, {"user": "nobody"}, {"database": "x"}])
def test_the_login_is_refused(place: Place, changes: dict[str, Any]) -> None:
    """A wrong password, user or database fails the login, and what needs a session is skipped."""
    seen = place.see(**changes)
    assert seen.named("failed") == ["login"]
    assert seen["ledger"].detail == "`login` failed"
    assert seen["bucket read"].status == "ok"


def test_ways_to_log_in() -> None:
    """Each way to log in is told, and none with what it logs in with."""
    from loader.config import RedshiftTarget

    wanted: Mapping[str, dict[str, str]] = {
        "password": {"password": PASSWORD},
        "secret s": {"secret_id": "s"},
        "workgroup w": {"work_group": "w"},
        "cluster c": {"cluster_identifier": "c"},
        "workgroup that the host names": {
            "host": "w.1.eu-west-1.redshift-serverless.amazonaws.com"
        },
    }
    for words, settings in wanted.items():
        told = redshift.describe_login(RedshiftTarget(type="redshift", **settings))
        assert words in told
        assert PASSWORD not in told


def test_a_host_that_only_aws_knows(place: Place) -> None:
    """Without a host there is nothing to connect to before the login, which is done."""
    seen = place.see(host="", user="", password="", secret_id="none")
    assert seen["network"].status == "skipped"
    assert seen.named("failed") == ["login"]


def test_a_user_who_may_only_read(place: Place) -> None:
    """Schemas are a warning, for they may be there; a ledger that cannot be written fails."""
    place.stand_in.add_user("reader", PASSWORD)
    seen = place.see(user="reader", password=PASSWORD)
    assert seen.named("warning") == ["schemas"]
    assert seen.named("failed") == ["ledger"]
    assert "permission denied" in seen["ledger"].detail
    assert "GRANT" in str(seen["ledger"].hint)
    seen = place.see(user="reader", password=PASSWORD, ledger_schema="")
    assert seen["ledger"].status == "skipped"
    assert not seen.named("failed")


@pytest.mark.parametrize("level", ["serializable", "serializable by its number", "not visible"])
def test_isolation(place: Place, level: str) -> None:
    """Serializable is a warning; who may not see the level is told so."""
    if level != "serializable":
        hidden = Error("42501", "permission denied for relation stv_db_isolation_level")
        place.stand_in.faults.add("FROM stv_db_isolation_level", "instead", hidden)
    if level == "not visible":
        place.stand_in.faults.add("FROM pg_database_info", "instead", hidden)
    templates = {
        "redshift/isolation.sql.j2": "SELECT 'Serializable' FROM stv_db_isolation_level",
        "redshift/isolation_config.sql.j2": (
            "SELECT '{concurrency_model=2}' FROM pg_database_info"
        ),
    }
    found = place.see(templates)["isolation"]
    assert found.status == ("skipped" if level == "not visible" else "warning")
    assert "not visible" in found.detail if level == "not visible" else "retried" in found.detail


def test_another_time_zone(place: Place) -> None:
    """A session that is not in UTC fails, for time stamps would be compared wrongly."""
    sql = "SELECT 'u', 'd', 'v', 'Europe/Paris'"
    seen = place.see({"redshift/session.sql.j2": sql})
    assert seen.named("failed") == ["time zone"]
    assert "Europe/Paris" in seen["time zone"].detail


def test_a_role_that_is_not_attached(place: Place) -> None:
    """COPY fails with the warehouse's words and what to do; all before it is fine."""
    seen = place.see(iam_role="arn:aws:iam::123456789012:role/other")
    assert seen.named("failed") == ["COPY"]
    assert "not authorized to assume" in seen["COPY"].detail
    assert "attach the role" in str(seen["COPY"].hint)
    assert seen.named("skipped") == ["UNLOAD"]


def test_a_bucket_that_is_not_there(place: Place) -> None:
    """The bucket's first step tells, and the others of it are skipped."""
    seen = place.see(staging="s3://nobodys-bucket/loader")
    assert "bucket list" in seen.named("failed")
    assert "does not exist" in seen["bucket list"].detail
    assert seen["COPY"].detail == "`bucket list` failed"


DENIED = {
    "ListObjects": ("bucket list", "s3:ListBucket"),
    "PutObject": ("bucket write", "s3:PutObject"),
    "GetObject": ("bucket read", "s3:GetObject"),
    "DeleteObject": ("bucket delete", "s3:DeleteObject"),
}


@pytest.mark.parametrize("operation", DENIED)
def test_a_right_to_the_bucket_is_missing(place: Place, operation: Any) -> None:
    """The step that needs the right names it, and COPY is not tried."""
    step, action = DENIED[operation]
    place.stand_in.faults.s3_errors(403, "AccessDenied", 1, operation, by="client")
    seen = place.see()
    assert seen.named("failed") == [step]
    assert action in seen[step].detail
    assert seen["COPY"].detail == f"`{step}` failed"


@pytest.mark.parametrize("operation", ["PutObject", "GetObject", "ListObjects", "DeleteObject"])
def test_a_busy_bucket(place: Place, operation: Any) -> None:
    """S3 that is busy for a moment is asked again, as loads do."""
    place.stand_in.faults.s3_errors(503, "SlowDown", 2, operation, by="client")
    assert not place.see().named("failed")
    assert place.stand_in.faults.fired


@pytest.mark.parametrize("code", ["AccessDenied", "SlowDown", "NoSuchBucket"])
@pytest.mark.parametrize(("step", "operation"), [("COPY", "GetObject"), ("UNLOAD", "PutObject")])
def test_the_warehouse_may_not(place: Place, step: str, operation: Any, code: str) -> None:
    """What S3 refuses the warehouse's role is told by the step that uses the role."""
    status = {"AccessDenied": 403, "SlowDown": 503, "NoSuchBucket": 404}[code]
    place.stand_in.faults.s3_errors(status, code, 1, operation, by="warehouse")
    seen = place.see()
    assert seen.named("failed") == [step]
    assert code in seen[step].detail


def test_a_bucket_elsewhere(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket of another region fails; what cannot be compared is a warning."""
    from loader.staging.stores import s3_region

    cases: tuple[tuple[str, dict[str, Any], str, str], ...] = (
        ("eu-west-1", {}, "failed", "the bucket is in eu-west-1, the warehouse in us-east-1"),
        ("", {}, "warning", "does not return"),
        ("us-east-1", {"region_name": ""}, "warning", "not known"),
    )
    for bucket, changes, status, words in cases:
        monkeypatch.setattr(s3_region, "bucket_region", lambda *_, found=bucket: found)
        found = place.see(**changes)["bucket region"]
        assert (found.status, words in found.detail) == (status, True), found


def test_where_a_bucket_is(place: Place) -> None:
    """S3 tells it, in a refusal too; and the host of a warehouse tells where that is."""
    from loader.staging.stores.base import StoreOptions
    from loader.staging.stores.s3_region import bucket_region

    where = f"s3://{place.stand_in.bucket}/x"
    assert bucket_region(where, StoreOptions("us-east-1")) == "us-east-1"
    told = {"x-amz-bucket-region": "eu-west-3"}
    place.stand_in.faults.s3_errors(403, "AccessDenied", 1, headers=told)
    assert bucket_region(where, StoreOptions("us-east-1")) == "eu-west-3"
    place.stand_in.faults.s3_errors(301, "PermanentRedirect", 9)
    assert bucket_region(where, StoreOptions("us-east-1")) == "eu-west-1"
    hosts = {
        "c.abc.ap-southeast-2.redshift.amazonaws.com": "ap-southeast-2",
        "w.1.us-gov-west-1.redshift-serverless.amazonaws.com": "us-gov-west-1",
        "c.abc.cn-north-1.redshift.amazonaws.com.cn": "cn-north-1",
        "127.0.0.1": None,
    }
    for host, region in hosts.items():
        found = redshift._HOST_REGION.search(host)
        assert (found[1] if found else None) == region


def test_a_redirect_to_another_region(place: Place) -> None:
    """A bucket that answers with 301 is told by the step that meets it."""
    place.stand_in.faults.s3_errors(301, "PermanentRedirect", 500, by="client")
    seen = place.see()
    assert set(seen.named("failed")) == {"bucket list", "bucket region"}
    assert "eu-west-1" in seen["bucket region"].detail
    place.stand_in.faults.clear()


BROKEN: Mapping[str, Callable[[], Any]] = {
    "dropped": Drop,
    "refused": lambda: Error("42501", "permission denied for it"),
    "out of service": lambda: Error("57P01", "terminating connection"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_fault_at_any_statement_leaves_nothing(place: Place, how: str) -> None:
    """Whatever statement breaks, its step says so, the others go on, and nothing stays."""
    place.see()
    count = len(place.stand_in.statements)
    assert count > 20
    # Each of them breaks, in one way or another.
    for number in range(list(BROKEN).index(how), count, len(BROKEN)):
        place.stand_in.faults.clear()
        action, when = BROKEN[how](), "before" if how == "dropped" else "instead"
        place.stand_in.faults.add(lambda _: True, when, action, skip=number)  # type: ignore[arg-type]
        seen = place.see()
        assert place.stand_in.faults.fired, number
        assert len(seen.named("failed")) <= 1, number
        if seen.named("failed") not in (["login"], ["COPY"], ["temporary tables"]):
            assert seen["UNLOAD"].status in ("ok", "failed"), (number, seen)


def test_a_connection_that_breaks_in_copy(place: Place) -> None:
    """The transaction is gone with its connection, and the files are removed all the same."""
    place.stand_in.faults.add("COPY ", "before", CutCopy())
    seen = place.see()
    assert seen.named("failed") == ["COPY"]
    assert "connection was lost" in seen["COPY"].detail
    assert "again" in str(seen["COPY"].hint)


def test_files_that_cannot_be_removed_are_told(place: Place) -> None:
    """Who leaves something behind says so, and where."""
    place.stand_in.faults.s3_errors(403, "AccessDenied", 99, "DeleteObject", by="client")
    project = place._make({}, **redshift_target(place.stand_in))
    seen = see(project)
    (left,) = place.stand_in.objects()
    assert seen.named("failed") == ["bucket delete"]
    assert left.rpartition("/")[0] in seen["bucket delete"].detail


def test_interrupted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle of COPY leaves nothing either."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checks.Examination, "_statements", interrupt)
    project = place._make({}, **redshift_target(place.stand_in))
    before = place.holds()
    with pytest.raises(KeyboardInterrupt):
        see(project)
    assert place.holds() == before


# --- DuckDB


def test_duckdb_is_well(make_project: MakeProject) -> None:
    """All is fine before the first load and after it; no file, folder or table is left."""
    project = make_project({}, database=".loader/w/x.duckdb", staging=".loader/staging")
    root = project.config.root
    before = sorted(root.rglob("*"))
    seen = see(project)
    assert seen.named("ok") == list(seen.findings), seen
    assert "does not exist yet" in seen["database"].detail
    assert sorted(root.rglob("*")) == before
    database = root / ".loader" / "w" / "x.duckdb"
    database.parent.mkdir(parents=True)
    duckdb.connect(database).execute("CREATE SCHEMA loader").close()
    before = sorted(root.rglob("*"))
    assert see(project).named("ok") == list(seen.findings)
    assert sorted(root.rglob("*")) == before
    with duckdb.connect(database) as connection:
        assert not connection.execute("SHOW ALL TABLES").fetchall()


def test_a_file_that_is_no_database(make_project: MakeProject) -> None:
    """It is told, what needs it is skipped, and the staging folder is examined."""
    project = make_project({})
    (project.config.root / "warehouse.duckdb").write_text("not a database")
    seen = see(project)
    assert seen.named("failed") == ["database"]
    assert seen.named("skipped") == ["time zone", "write", "ledger", "load"]


def _hold(path: Path, held: Any, done: Any) -> None:
    with duckdb.connect(path):
        held.set()
        done.wait(60)


def test_who_holds_the_database(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another process holds is told with its PID, and not waited for."""
    monkeypatch.setattr("loader.warehouse.duckdb.doctor.LOCK_SECONDS", 0.1)
    project = make_project({})
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    process = context.Process(
        target=_hold, args=(project.config.root / "warehouse.duckdb", held, done)
    )
    process.start()
    try:
        assert held.wait(60)
        seen = see(project)
    finally:
        done.set()
        process.join()
    assert seen.named("failed") == ["database"]
    assert f"PID {process.pid}" in seen["database"].detail


def test_staging_that_cannot_be_written(make_project: MakeProject) -> None:
    """A staging folder below a file fails, and the row is not staged."""
    project = make_project({}, staging="specs.txt/staging")
    (project.config.root / "specs.txt").write_text("")
    seen = see(project)
    assert seen.named("failed") == ["staging write"]
    assert seen["load"].detail == "`staging write` failed"


def test_little_space(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is nearly full is a warning."""
    usage = shutil.disk_usage("/")._replace(free=5_000_000)
    monkeypatch.setattr("loader.warehouse.duckdb.doctor.shutil.disk_usage", lambda _: usage)
    found = see(make_project({}))["disk space"]
    assert (found.status, "0.0 GB free" in found.detail) == ("warning", True)


def test_what_no_step_foresees(make_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """A surprise is the finding of its step, without secrets, and the others go on."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)

    def broken(_: object) -> Any:
        raise RuntimeError(f"key {PASSWORD}\nand more")

    monkeypatch.setattr("loader.warehouse.duckdb.doctor.shutil.disk_usage", broken)
    seen = see(make_project({}))
    assert seen.named("failed") == ["disk space"]
    assert seen["disk space"].detail == "RuntimeError: key ***; and more"


# --- the command


def test_the_command_in_words(make_project: MakeProject) -> None:
    """A line for each step, aligned, with marks; the summary; and 1 when a step failed."""
    project = make_project({})
    found = run(project)
    *lines, last = found.output.splitlines()
    assert found.exit_code == 0
    assert len({re.match(r"✓ [\w ]{16}  (?=\S)", told) is not None for told in lines}) == 1
    assert last == "local (duckdb) is fine: 10 ok"
    (project.config.root / "warehouse.duckdb").write_text("not a database")
    found = run(project)
    assert found.exit_code == 1
    assert "✗ database" in found.output
    assert "\n" + " " * 20 + "hint: " in found.output
    assert "- ledger            skipped: `database` failed" in found.output
    assert found.output.endswith("local (duckdb) is not fine: 5 ok, 1 failed, 4 skipped\n")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_command_as_json(place: Place) -> None:
    """The whole report is one document, of a target that is fine and of one that is not."""
    project = place._make({}, **redshift_target(place.stand_in))
    found = run(project, "--format", "json")
    data = json.loads(found.output)
    assert set(data) == {"target", "type", "steps", "ok"}
    assert (data["target"], data["type"], data["ok"]) == ("local", "redshift", True)
    for step in data["steps"]:
        assert set(step) == {"name", "status", "detail", "hint", "seconds"}
    project = place._make({}, folder="b", **redshift_target(place.stand_in, password=PASSWORD))
    found = run(project, "--format", "json")
    assert (json.loads(found.output)["ok"], found.exit_code) == (False, 1)


def test_marks_that_can_be_written() -> None:
    """Where only ASCII can be written, the marks are ASCII."""
    finding = Finding("login", "failed", "no", "try", 0.25)
    assert format_finding(finding, plain).startswith("✗ login")
    assert format_finding(finding, plain, "ascii").startswith("x login")
    assert "(0.2 s)" in format_finding(finding, plain, verbose=True)
