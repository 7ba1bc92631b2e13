"""What Redshift and S3 can refuse: one clear message with the next step, and nothing written.

Every case runs with secrets planted wherever a project may have them, and all that is said is
searched for them.
"""

from __future__ import annotations

import gc
import gzip
import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from click.testing import CliRunner

from loader.cli import main
from loader.errors import LoaderError
from loader.testing.redshift.faults import Error
from loader.testing.redshift.s3.server import ADMIN
from loader.testing.redshift.server import RedshiftStandIn
from tests.conftest import MakeProject, redshift_target

# redshift_connector leaves the socket of a connection that was refused to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.usefixtures("quick_retries"),
]

AWS_SECRET, AWS_TOKEN = "Planted/AwsSecret+Key", "Planted-Session-Token=="
WRONG, READER, OTHER = "Planted-Wrong-Password", "Planted-Reader-1", "Planted-Other-1"
SECRET_VALUE = "Planted-Secret-Value"

COLUMNS = {"a": "integer", "b": "varchar(9)"}


@dataclass
class Scene:
    """A table with a row in it, an environment full of secrets, and a second load to come."""

    stand_in: RedshiftStandIn
    make: MakeProject
    data: Path
    spec: dict[str, Any] = field(
        default_factory=lambda: {
            "schema": "s",
            "name": "t",
            "columns": [{"name": n, "data_type": kind} for n, kind in COLUMNS.items()],
        }
    )
    said: list[str] = field(default_factory=list)

    def run(self, *words: str, **target: Any) -> tuple[int, str, str]:
        """A command: its exit code, standard output and standard error."""
        settings = redshift_target(self.stand_in, password="${REDSHIFT_PASSWORD}")
        project = self.make({"t.yml": self.spec}, **{**settings, **target})
        words = (*words, "--project", str(project.config.root))
        done = CliRunner().invoke(main, words, prog_name="loader")
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        self.said += [done.stdout, done.stderr]
        return done.exit_code, done.stdout, done.stderr

    def load(self, rows: str, *options: str, **target: Any) -> tuple[int, str, str]:
        """Load rows of CSV."""
        names = ",".join(column["name"] for column in self.spec["columns"])
        self.data.write_text(f"{names}\n{rows}\n", encoding="utf-8")
        return self.run("load", "s/t", str(self.data), *options, **target)

    def state(self) -> dict[str, list[Any]]:
        """Every row of every table."""
        names = self.stand_in.query(
            "SELECT schemaname, tablename FROM pg_tables"
            " WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        return {
            f"{schema}.{name}": sorted(
                self.stand_in.query(f'SELECT * FROM "{schema}"."{name}"'), key=repr
            )
            for schema, name in names
        }

    def leaks(self) -> list[str]:
        """The secrets that are in anything said, stored, staged or executed."""
        statements = [statement.sql for statement in self.stand_in.statements]
        staged = [self.stand_in.read_object(key) for key in self.stand_in.objects()]
        texts = [gzip.decompress(d) if d[:2] == b"\x1f\x8b" else d for d in staged]
        places = {
            "output": "\n".join(self.said),
            "tables": repr(self.state()),
            "statements": "\n".join(statements),
            "objects": "\n".join([*self.stand_in.objects(), *map(repr, texts)]),
        }
        planted = [self.stand_in.password, AWS_SECRET, AWS_TOKEN, WRONG, READER, OTHER]
        return [
            f"{secret} in the {place}"
            for place, text in places.items()
            for secret in [*planted, SECRET_VALUE, json.dumps(AWS_SECRET)[1:-1]]
            if secret in text
        ]


@pytest.fixture
def scene(
    stand_in: RedshiftStandIn,
    make_project: MakeProject,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    """A scene after its first load; whatever happens in it, nothing of it leaks."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", AWS_SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", AWS_TOKEN)
    monkeypatch.setenv("REDSHIFT_PASSWORD", stand_in.password)
    found = Scene(stand_in, make_project, tmp_path / "rows.csv")
    assert found.load("1,x")[0] == 0
    yield found
    gc.collect()  # here, where what it finds is known of
    assert found.leaks() == []


Sabotage = Callable[[Scene], Mapping[str, Any] | None]


@dataclass(frozen=True)
class Case:
    """Something to go wrong, and what is said of it."""

    sabotage: Sabotage
    """Does it, or tells the settings that do it."""
    says: Sequence[str]
    hint: str
    """What the hint tells to do; empty where the message itself does."""
    uploads: bool = False
    """Whether it comes to light only after the rows were uploaded."""


def settings(**changes: Any) -> Sabotage:
    return lambda _: changes


def s3(status: int, code: str, **where: Any) -> Sabotage:
    def sabotage(scene: Scene) -> None:
        scene.stand_in.faults.s3_errors(status, code, times=99, **where)

    return sabotage


def sql(text: str) -> Sabotage:
    return lambda scene: scene.stand_in.execute(text)


def login(name: str, password: str, *, read_only: bool) -> Sabotage:
    def sabotage(scene: Scene) -> Mapping[str, Any]:
        scene.stand_in.add_user(name, password, read_only=read_only)
        return {"user": name, "password": password}

    return sabotage


def before_copy(change: Callable[[RedshiftStandIn, str], Any], part: str) -> Sabotage:
    """Do something to the staged objects just before COPY reads them."""

    def sabotage(scene: Scene) -> None:
        def meddle(statement: str) -> bool:
            if statement.startswith("COPY"):
                for key in scene.stand_in.objects():
                    if part in key:
                        change(scene.stand_in, key)
            return False

        scene.stand_in.faults.add(meddle, "before", Error("XX000", "never"))

    return sabotage


def remove(stand_in: RedshiftStandIn, key: str) -> None:
    # Who asks as the test itself meets no faults, which are busy with the statement.
    client = boto3.client("s3", region_name=stand_in.region, config=Config(user_agent_extra=ADMIN))
    client.delete_object(Bucket=stand_in.bucket, Key=key)


def lengthen(stand_in: RedshiftStandIn, key: str) -> None:
    stand_in.write_object(key, stand_in.read_object(key) + b"\n")


def closed_port(_: Scene) -> Mapping[str, Any]:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return {"port": found.getsockname()[1]}


def another_owner(scene: Scene) -> None:
    scene.stand_in.add_user("other", OTHER, read_only=False)
    scene.stand_in.execute("ALTER TABLE s.t OWNER TO other; REVOKE ALL ON s.t FROM etl")


DIFFERS = "the live table s.t differs from its spec"
KEPT_AS_IT_WAS = "rolled back; s.t is unchanged"

CASES: Mapping[str, Case] = {
    # Where rows are staged.
    "a path": Case(
        settings(staging="bucket/prefix"),
        ["staging: not a valid S3 location; write s3://bucket/prefix"],
        "",
    ),
    "another URL": Case(
        settings(staging="https://bucket.s3.amazonaws.com/x"),
        ["staging: not a valid S3 location"],
        "",
    ),
    "a URL without a bucket": Case(
        settings(staging="s3://"), ["staging: not a valid S3 location"], ""
    ),
    "a name that no bucket has": Case(
        settings(staging="s3://Bad_Bucket!/x"),
        ["`Bad_Bucket!` is not a valid bucket name"],
        "set the target's `staging` to s3://bucket or",
    ),
    "a URL with a secret": Case(
        settings(staging=f"s3://etl:{WRONG}@bucket/x"),
        ["staging: contains a password or a key, but this setting is printed"],
        "",
    ),
    "no bucket": Case(
        settings(staging="s3://there-is-no-such-bucket/x"),
        ["bucket `there-is-no-such-bucket` does not exist"],
        "create it, or correct the target's `staging`",
    ),
    "a bucket elsewhere": Case(
        s3(301, "PermanentRedirect", by="client"),
        ["in the region eu-west-1, not in us-east-1"],
        "set the target's `region_name` to eu-west-1",
    ),
    "a bucket elsewhere than the warehouse": Case(
        s3(301, "PermanentRedirect", by="warehouse"),
        ["`copy` of s.t failed", "PermanentRedirect", KEPT_AS_IT_WAS],
        "use a bucket in the region of the warehouse",
        uploads=True,
    ),
    "no right to upload": Case(
        s3(403, "AccessDenied", by="client", operation="PutObject"),
        ["AWS denied s3:PutObject"],
        "allow s3:PutObject on arn:aws:s3:::stand-in-",
    ),
    "no right to read for the role": Case(
        s3(403, "AccessDenied", by="warehouse", operation="GetObject"),
        ["`copy` of s.t failed", "Access Denied", KEPT_AS_IT_WAS],
        "grant the role of `iam_role` s3:GetObject and s3:ListBucket on the bucket of `staging`",
        uploads=True,
    ),
    "a token that expired": Case(
        s3(400, "ExpiredToken", by="client"),
        ["the AWS credentials have expired"],
        "renew them (`aws sso login`, or a new session token), then run the load again",
    ),
    "a token that expired in COPY": Case(
        s3(400, "ExpiredToken", by="warehouse"),
        ["`copy` of s.t failed", "ExpiredToken", KEPT_AS_IT_WAS],
        "load again",
        uploads=True,
    ),
    "a role the cluster does not have": Case(
        settings(iam_role="arn:aws:iam::123456789012:role/another"),
        ["not authorized to assume IAM Role arn:aws:iam::123456789012:role/another"],
        "attach the role of `iam_role` to the cluster or workgroup",
        uploads=True,
    ),
    "a manifest that is gone": Case(
        before_copy(remove, "manifest"),
        ["`copy` of s.t failed", "The specified key does not exist", KEPT_AS_IT_WAS],
        "a staged file or the manifest is missing; check whether a lifecycle rule",
        uploads=True,
    ),
    "a staged file that is gone": Case(
        before_copy(remove, "part-"),
        ["`copy` of s.t failed", "The specified key does not exist: s3://", KEPT_AS_IT_WAS],
        "a staged file or the manifest is missing; check whether a lifecycle rule",
        uploads=True,
    ),
    "a staged file that changed": Case(
        before_copy(lengthen, "part-"),
        ["`copy` of s.t failed", "Status 416,Error InvalidRange", "part-00000", KEPT_AS_IT_WAS],
        "",
        uploads=True,
    ),
    "S3 that is not there": Case(
        lambda scene: None, ["S3 cannot be reached at http://127.0.0.1:9"], "check the network"
    ),
    # The warehouse.
    "a wrong password": Case(
        settings(password=WRONG),
        ["cannot connect to 127.0.0.1:", 'password authentication failed for user "etl"'],
        "check `user` and `password` of the target",
    ),
    "an unknown user": Case(
        settings(user="nobody"),
        ['password authentication failed for user "nobody"'],
        "check `user` and `password` of the target",
    ),
    "an unknown database": Case(
        settings(database="nowhere"),
        ['database "nowhere" does not exist'],
        "check `database` of the target",
    ),
    "a port that nobody listens at": Case(
        closed_port, ["Connection refused"], "check `host`, `port`, the security group"
    ),
    "a host that has no address": Case(
        settings(host="no-such-host.invalid"),
        ["cannot connect to no-such-host.invalid:"],
        "check `host` of the target",
    ),
    "a user who may only read": Case(
        login("reader", READER, read_only=True),
        ["permission denied for", KEPT_AS_IT_WAS],
        "GRANT ",
        uploads=True,
    ),
    "a table of another owner": Case(
        another_owner,
        ["permission denied for relation t", KEPT_AS_IT_WAS],
        "cannot write t: GRANT SELECT, INSERT, UPDATE, DELETE on the table",
        uploads=True,
    ),
    # The live table.
    "a column that is missing": Case(
        sql("ALTER TABLE s.t DROP COLUMN b"),
        [DIFFERS, "  column  spec        live\n  b       varchar(9)  -     missing"],
        "with `schema_contract: {evolve: additive}`, loads apply them",
    ),
    "a column of another type": Case(
        sql("ALTER TABLE s.t ALTER COLUMN a TYPE bigint"),
        [DIFFERS, "  column  spec     live\n  a       integer  bigint  type differs"],
        "`loader apply s/t` applies them",
    ),
    "a column that is narrower": Case(
        sql("ALTER TABLE s.t ALTER COLUMN b TYPE varchar(4)"),
        [DIFFERS, "  b       varchar(9)  ", "varchar(4)  too narrow"],
        "loads apply them",
    ),
    "a decimal of another scale": Case(
        sql("ALTER TABLE s.t ALTER COLUMN a TYPE numeric(10,2)"),
        [DIFFERS, "  a       integer  decimal(10,2)  type differs"],
        "`loader apply s/t` applies them",
    ),
    "another column that may not be null": Case(
        sql("ALTER TABLE s.t ADD z int DEFAULT 0 NOT NULL; ALTER TABLE s.t ALTER z DROP DEFAULT"),
        [DIFFERS, "  z       -     integer  NOT NULL, but not in the spec"],
        "`loader apply s/t` applies them",
    ),
    "a view": Case(
        sql("DROP TABLE s.t; CREATE VIEW s.t AS SELECT 1 AS a, 'x'::varchar(9) AS b;"),
        ["s.t is a view: rows cannot be loaded into it"],
        "",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_load_that_cannot_be_says_so_once_and_writes_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Exit 1, one message and one hint, every table as it was, no half an upload, no secret."""
    case = CASES[name]
    changes = case.sabotage(scene) or {}
    before = scene.state()
    if name == "S3 that is not there":
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
        monkeypatch.setattr("time.sleep", lambda _: None)  # botocore's pauses
    code, answer, said = scene.load("2,y", **changes)
    assert (code, answer) == (1, "")
    assert said.startswith("error: ")
    for words in case.says:
        assert words in said
    assert said.count("error: ") == 1 + said.count("error:  ")
    assert said.count("\nhint: ") == (1 if case.hint else said.count("\nhint: "))
    assert case.hint in said
    assert "Traceback" not in said
    assert scene.state() == before
    assert scene.stand_in.uploads() == []
    assert case.uploads or scene.stand_in.objects() == []
    code, answer, said = scene.load("2,y", "--format", "json", "-v", **changes)
    assert (code, answer) == (1, "")
    told = json.loads(said)
    assert set(told) >= {"error", "message", "hint"}
    assert scene.state() == before


# Tables whose columns lie otherwise.

THREE = [{"name": name, "data_type": "integer"} for name in "abc"]
WAYS: Mapping[str, dict[str, Any]] = {
    "append": {"write_disposition": "append"},
    "replace": {"write_disposition": "replace"},
    "delete and insert": {"write_disposition": "merge", "primary_key": ["a"]},
    "merge": {
        "write_disposition": "merge",
        "primary_key": ["a"],
        "merge": {"strategy": "merge"},
    },
}
OWNED = "CREATE SCHEMA s AUTHORIZATION etl; CREATE TABLE s.t ({}); ALTER TABLE s.t OWNER TO etl"


@pytest.mark.parametrize("staging", ["parquet", "csv", "json"])
@pytest.mark.parametrize("way", WAYS)
def test_columns_of_one_type_are_never_swapped(scene: Scene, way: str, staging: str) -> None:
    """Where the live table has the columns in another order, or gets some added, each keeps its."""
    for live, evolve in [
        ("c integer, b integer, a integer NOT NULL", "none"),
        ("c integer, a integer NOT NULL", "additive"),
        ("x integer, a integer NOT NULL", "additive"),
    ]:
        scene.stand_in.reset()
        scene.stand_in.execute(OWNED.format(live))
        scene.spec = {
            "schema": "s",
            "name": "t",
            "columns": THREE,
            "schema_contract": {"evolve": evolve},
            "staging": {"format": staging},
            **WAYS[way],
        }
        for _ in range(2):  # with the table as it was, and with the columns added
            assert scene.load("1,2,3\n4,5,6")[0] == 0
        found = scene.stand_in.query("SELECT DISTINCT a, b, c FROM s.t ORDER BY a")
        assert found == [(1, 2, 3), (4, 5, 6)]


def test_added_columns_follow_those_that_are_there(scene: Scene) -> None:
    """``evolve: additive`` adds at the end; rows that are there have NULL, or the default."""
    scene.spec["write_disposition"] = "append"
    scene.spec["columns"][1:1] = [
        {"name": "n", "data_type": "varchar(9)"},
        {"name": "m", "data_type": "varchar(9)", "default": "'old'"},
    ]
    before = scene.state()
    code, _, said = scene.load("2,new,m,y")
    assert code == 1
    assert "  n       varchar(9)  -     missing\n  m       varchar(9)  -     missing" in said
    assert scene.state() == before
    scene.spec["schema_contract"] = {"evolve": "additive"}
    assert scene.load("2,new,m,y")[0] == 0
    assert scene.stand_in.query("SELECT * FROM s.t ORDER BY a") == [
        (1, "x", None, "old"),
        (2, "y", "new", "m"),
    ]


def test_a_column_that_cannot_be_added_is_refused(scene: Scene) -> None:
    """A column that may not be null has no value in rows that are there, and none is made up."""
    scene.spec["schema_contract"] = {"evolve": "additive"}
    scene.spec["columns"].append({"name": "n", "data_type": "date", "nullable": False})
    before = scene.state()
    code, _, said = scene.load("2,y,2013-01-01")
    assert code == 1
    assert "missing; cannot be added to existing rows" in said
    assert scene.state() == before
    assert scene.stand_in.objects() == []


def test_a_live_column_that_may_not_be_null_takes_none(scene: Scene) -> None:
    """A NULL for a column that the warehouse keeps NOT NULL is refused, by row and column."""
    scene.stand_in.execute("ALTER TABLE s.t ALTER COLUMN a SET NOT NULL")
    for staging in ("parquet", "csv", "json"):
        scene.spec["staging"] = {"format": staging}
        before = scene.state()
        code, _, said = scene.load(",y")
        assert code == 1
        assert "row 1, a int4: " in said
        assert "Missing data for not-null field" in said
        assert scene.state() == before
    assert scene.load("2,y")[0] == 0


# Secrets.

PLANS: Sequence[Sequence[str]] = [
    [],
    ["-v"],
    ["--format", "json"],
    ["--format", "sql"],
    ["--format", "markdown"],
]


def test_what_goes_well_tells_no_secret_either(scene: Scene, tmp_path: Path) -> None:
    """Plans of every form, results, the ledger, what is read: the scene searches all of it."""
    scene.spec["staging"] = {"format": "csv", "compression": "none", "keep": "always"}
    for options in PLANS:
        assert scene.run("plan", "s/t", *options)[0] == 0
    assert scene.run("plan", "s/t", "-o", str(tmp_path / "plan.json"))[0] == 0
    scene.said.append((tmp_path / "plan.json").read_text(encoding="utf-8"))
    for options in (["-v"], ["--format", "json", "-v"]):
        assert scene.load("2,y", *options)[0] == 0
        assert scene.run("read", "s/t", *options)[0] == 0
        assert scene.run("read", "s/t", *options, unload_rows=0)[0] == 0
        assert scene.run("history", *options)[0] == 0
        assert scene.run("validate", *options)[0] == 0
    assert [key for key in scene.stand_in.objects() if key.endswith("manifest.json")]


def test_settings_and_errors_print_no_secret(scene: Scene) -> None:
    """The settings themselves, and errors with all that caused them, hold no password."""
    target = redshift_target(scene.stand_in, password=WRONG)
    project = scene.make({"t.yml": scene.spec}, **target)
    settings = project.config.settings()
    scene.said += [repr(settings), str(settings)]
    with pytest.raises(LoaderError) as caught:
        project.read(project.spec("s/t"))
    error: BaseException | None = caught.value
    while error is not None:
        scene.said += [repr(error), str(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__


@pytest.fixture
def secrets(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Keeps a secret in the Secrets Manager that the loader finds."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", scene.stand_in.endpoint_url)
    client = boto3.client("secretsmanager", region_name=scene.stand_in.region)

    def keep(name: str, value: str) -> None:
        if any(found["Name"] == name for found in client.list_secrets()["SecretList"]):
            client.put_secret_value(SecretId=name, SecretString=value)
        else:
            client.create_secret(Name=name, SecretString=value)

    return keep


def secret(**fields: Any) -> str:
    return json.dumps({"username": "etl", **fields})


def test_a_secret_of_the_secrets_manager_is_used_and_not_told(
    scene: Scene, secrets: Callable[[str, str], None]
) -> None:
    """The login of a secret works; a wrong one is refused without its value."""
    secrets("login", secret(password=scene.stand_in.password, host=scene.stand_in.host))
    assert scene.load("2,y", "-v", password="", secret_id="login", host="")[0] == 0
    assert scene.stand_in.query("SELECT * FROM s.t") == [(2, "y")]
    secrets("wrong", secret(password=SECRET_VALUE))
    code, _, said = scene.load("3,z", password="", secret_id="wrong")
    assert code == 1
    assert "password authentication failed" in said
    assert "or its secret or IAM settings" in said
    secrets("list", json.dumps([SECRET_VALUE]))
    code, _, said = scene.load("3,z", password="", secret_id="list")
    assert code == 1
    assert "the secret `list` has no username and password" in said
    assert scene.stand_in.query("SELECT * FROM s.t") == [(2, "y")]


# What should hold, and does not yet.


def test_a_secret_whose_password_is_no_text_is_refused(
    scene: Scene, secrets: Callable[[str, str], None]
) -> None:
    """A password that JSON takes for a number is refused in words, not with a TypeError."""
    secrets("number", secret(password=12_345_678))
    code, _, said = scene.load("2,y", password="", secret_id="number")
    assert code == 1
    assert "the secret `number`" in said


def test_a_secret_that_is_no_document_is_refused_by_name(
    scene: Scene, secrets: Callable[[str, str], None]
) -> None:
    """A secret that is a bare password is named, and it is said what it should be."""
    secrets("bare", SECRET_VALUE)
    code, _, said = scene.load("2,y", password="", secret_id="bare")
    assert code == 1
    assert "the secret `bare` has no username and password" in said


@pytest.mark.parametrize(
    "host", ["etl:hunter2@127.0.0.1", "c.example.com:5439/dev", "redshift://c.example.com"]
)
def test_a_host_that_is_more_than_a_name_is_refused_when_it_is_read(
    scene: Scene, host: str
) -> None:
    """An endpoint as the console copies it, or a URL with a login, is no host."""
    code, _, said = scene.load("2,y", host=host)
    assert code == 1
    assert "host: " in said
    assert "hunter2" not in said


UNHELPFUL: Mapping[str, str] = {
    "a view": "hint: ",
    "a staged file that changed": "changed",
    "a token that expired in COPY": "iam_role",
    "a user who may only read": "GRANT SELECT, INSERT, UPDATE, DELETE",
}


@pytest.mark.parametrize("name", UNHELPFUL)
def test_the_next_step_is_one(scene: Scene, name: str) -> None:
    """Each hint is about what went wrong, not about where its statement was written."""
    changes = CASES[name].sabotage(scene) or {}
    _, _, said = scene.load("2,y", **changes)
    hint = said.partition("\nhint: ")[2]
    assert hint
    assert UNHELPFUL[name].removeprefix("hint: ") in hint


def test_a_column_that_no_load_can_fill_is_drift(scene: Scene) -> None:
    """A live column that may not be null, and that the spec lacks, is told before staging."""
    scene.stand_in.execute(
        "ALTER TABLE s.t ADD z int DEFAULT 0 NOT NULL; ALTER TABLE s.t ALTER z DROP DEFAULT"
    )
    code, _, said = scene.load("2,y")
    assert code == 1
    assert DIFFERS in said
    assert scene.stand_in.objects() == []


def test_a_table_of_differences_spells_types_one_way(scene: Scene) -> None:
    """Both columns of the table of differences speak of varchar."""
    scene.stand_in.execute("ALTER TABLE s.t ALTER COLUMN b TYPE varchar(4)")
    assert "varchar(9)  varchar(4)  too narrow" in scene.load("2,y")[2]


def test_a_setting_that_is_there_is_not_told_to_be_missing(scene: Scene) -> None:
    """IAM without TLS: the setting that is wrong is one that was written."""
    _, _, said = scene.load("2,y", password="", ssl=False)
    assert "remove `ssl = false` (not set)" not in said


@pytest.mark.parametrize(("strategy", "needs_update"), [("delete_insert", False), ("merge", True)])
def test_rights_on_the_table_of_another(scene: Scene, strategy: str, needs_update: bool) -> None:
    """A load into another owner's table needs the rights that the hint names, MERGE also UPDATE."""
    another_owner(scene)
    scene.stand_in.execute("GRANT SELECT, INSERT, DELETE ON s.t TO etl")
    scene.spec |= {
        "primary_key": ["a"],
        "write_disposition": "merge",
        "merge": {"strategy": strategy},
    }
    scene.stand_in.execute("ALTER TABLE s.t ALTER COLUMN a SET NOT NULL")
    code, _, said = scene.load("2,y")
    assert code == needs_update
    if needs_update:
        assert "permission denied for relation t" in said
        assert "GRANT SELECT, INSERT, UPDATE, DELETE on the table (UPDATE is for MERGE)" in said
        scene.stand_in.execute("GRANT UPDATE ON s.t TO etl")
        assert scene.load("2,y")[0] == 0
