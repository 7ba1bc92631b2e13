"""Settings: where they are found, what they may say, and how the environment comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loader.config import Config, DuckDBTarget, RedshiftTarget, find_config, make_settings
from loader.errors import ConfigError
from loader.project import Project
from loader.settings_file import SettingsFile, read_settings_file

PROD: dict[str, Any] = {
    "type": "redshift",
    "host": "${AWS_REDSHIFT_HOST}",
    "port": "${AWS_REDSHIFT_PORT:-5439}",
    "database": "${AWS_REDSHIFT_DATABASE}",
    "user": "${AWS_REDSHIFT_USER}",
    "password": "${AWS_REDSHIFT_PASSWORD:-}",
    "cluster_identifier": "warehouse",
    "iam_role": "default",
    "staging": "s3://${AWS_REDSHIFT_BUCKET_NAME}/loader",
    "ssl": True,
}


def config(**targets: dict[str, Any]) -> Config:
    file = SettingsFile("loader.toml", table={"targets": targets})
    return Config(Path("/p"), Path("/p/specs"), None, targets=targets, source=file.name, file=file)


def test_settings_at_hand_are_taken_as_they_are() -> None:
    """A password that looks like a variable is a password, and what lacks has the owner's name."""
    values = {"type": "redshift", "host": "h", "database": "d", "user": "u", "password": "a${B}"}
    places = {"iam_role": "default", "staging": "s3://bucket/loader"}
    settings = make_settings({**values, **places}, "Manager")
    found = Config(Path("/p"), Path("/p/specs"), None, targets={"t": settings}).settings("t")
    assert isinstance(found, RedshiftTarget)
    assert found.password == "a${B}"
    with pytest.raises(ConfigError) as error:
        make_settings(values, "Manager", names={"iam_role": "s3_iam_role"})
    assert str(error.value).splitlines()[0] == "2 problems in the settings of Manager"
    assert "\ns3_iam_role: the IAM role of COPY" in str(error.value)


def message(target: dict[str, Any], name: str = "t") -> str:
    with pytest.raises(ConfigError) as error:
        config(t=target).settings(name)
    return str(error.value)


def test_the_environment_is_read_when_the_target_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are filled in from the environment of the moment, defaults where it has none."""
    for name in ("HOST", "DATABASE", "USER", "BUCKET_NAME"):
        monkeypatch.setenv(f"AWS_REDSHIFT_{name}", name.lower())
    found = config(prod=PROD).settings("prod")
    assert isinstance(found, RedshiftTarget)
    assert (found.host, found.port, found.password) == ("host", 5439, "")
    assert found.staging == "s3://bucket_name/loader"
    monkeypatch.setenv("AWS_REDSHIFT_PORT", "5440")
    changed = config(prod=PROD).settings("prod")
    assert isinstance(changed, RedshiftTarget)
    assert changed.port == 5440


def test_all_missing_variables_are_told_at_once() -> None:
    """A target whose variables are not set names each of them and the setting that wants it."""
    with pytest.raises(ConfigError) as error:
        config(prod=PROD).settings("prod")
    assert error.value.message == (
        "the target `prod` needs environment variables that are not set: ${AWS_REDSHIFT_HOST} (for"
        " host), ${AWS_REDSHIFT_DATABASE} (for database), ${AWS_REDSHIFT_USER} (for user),"
        " ${AWS_REDSHIFT_BUCKET_NAME} (for staging)"
    )
    assert "[targets.prod] in loader.toml" in (error.value.hint or "")


def test_a_preview_needs_no_environment() -> None:
    """A plan shows the names of variables that are not set in their place."""
    found = config(prod={**PROD, "port": "${AWS_REDSHIFT_PORT}"}).settings("prod", preview=True)
    assert found.staging == "s3://${AWS_REDSHIFT_BUCKET_NAME}/loader"
    local = {"type": "duckdb", "lock_timeout": "${SECONDS}", "database": "${FILE}"}
    assert config(t=local).settings("t", preview=True) == DuckDBTarget(
        type="duckdb", database="${FILE}"
    )
    with pytest.raises(ConfigError, match="lock_tiemout"):
        config(t={"type": "duckdb", "lock_tiemout": "${SECONDS}"}).settings("t", preview=True)


def test_an_empty_variable_is_a_missing_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is set to nothing takes the default, as in a shell's `:-`."""
    monkeypatch.setenv("LOADER_X", "")
    target = {"type": "duckdb", "database": "${LOADER_X:-other.duckdb}"}
    found = config(t=target).settings("t")
    assert isinstance(found, DuckDBTarget)
    assert found.database == "other.duckdb"


@pytest.mark.parametrize(
    ("target", "text"),
    [
        ({}, "type is not one of duckdb, redshift"),
        ({"type": "duckbd"}, "did you mean `duckdb`?"),
        (
            {"type": "duckdb", "databse": "x"},
            "unknown key `databse`\n  hint: did you mean `database`?",
        ),
        ({"type": "duckdb", "zzz": 1}, "unknown key `zzz`\n  hint: keys: type, database, staging"),
        ({"type": "duckdb", "lock_timeout": -1}, "lock_timeout: must be greater than"),
        *(
            ({"type": "duckdb", key: value}, f"{key}: must be a path on this machine")
            for key in ("database", "staging")
            for value in ("", ":memory:", "md:shop", "s3://bucket/x.duckdb", "file:/x.duckdb")
        ),
        ({"type": "redshift", "port": "many"}, "port: must be a whole number"),
        ({"type": "redshift", "session": {"query_grop": "x"}}, "did you mean `query_group`?"),
        (
            {"type": "redshift", "session": {"a": "x"}},
            "unknown key `session.a`\n  hint: keys: query_group",
        ),
        ({"type": "redshift", "session": {"wlm_query_slot_count": 0}}, "session.wlm_query_slot"),
        ({"type": "redshift", "session": 5}, "session: "),
    ],
)
def test_wrong_targets_are_told_where(target: dict[str, Any], text: str) -> None:
    """Each wrong setting is named with the table and file it stands in."""
    assert "1 problem in [targets.t] in loader.toml\nloader.toml: targets.t." in message(target)
    assert text in message(target)


@pytest.mark.parametrize("path", [r"C:\x\y.duckdb", "C:/x", "/x/a:b.duckdb", "./a:b", "x.duckdb"])
def test_paths_of_databases_may_have_drives_and_colons(path: str) -> None:
    """A database is any path of this machine, also one of Windows."""
    found = config(t={"type": "duckdb", "database": path}).settings("t")
    assert found.database == path


def test_variables_in_tables_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable in `session` is read as any other is, and named when it is missing."""
    session = {"query_group": "${GROUP}", "statement_timeout": "${LIMIT:-30m}"}
    login = {"host": "h", "user": "u", "password": "p", "database": "d"}
    staged = {"iam_role": "default", "staging": "s3://bucket/x"}
    target = {"type": "redshift", **login, **staged, "session": session}
    assert "${GROUP} (for session.query_group)" in message(target)
    monkeypatch.setenv("GROUP", "etl")
    settings = config(t=target).settings("t")
    assert isinstance(settings, RedshiftTarget)
    assert settings.session.parameters() == {"query_group": "etl", "statement_timeout": 1_800_000}


def test_unknown_targets_get_suggestions() -> None:
    """A target that is not there is answered with the nearest one, or with all."""
    assert "did you mean `prod`?" in str(_no_target("prd"))
    assert "targets: local, prod" in str(_no_target("zzz"))


def _no_target(name: str) -> ConfigError:
    with pytest.raises(ConfigError) as error:
        config(local={"type": "duckdb"}, prod=PROD).settings(name)
    return error.value


LACKING: list[tuple[dict[str, Any], list[str]]] = [
    (
        {"password": "${AWS_REDSHIFT_PASSWORD:-}", "cluster_identifier": ""},
        ["password: to log in; or set secret_id", "(${AWS_REDSHIFT_PASSWORD} is empty"],
    ),
    ({"password": "x", "user": ""}, ["user: required for a login with `password` (not set)"]),
    ({"iam_role": ""}, ["iam_role: the IAM role of COPY"]),
    ({"staging": "/tmp/x"}, ["staging: not a valid S3 location; write s3://bucket/prefix"]),
    ({"ssl": False}, ["ssl: IAM credentials require TLS"]),
    ({"database": "", "iam_role": ""}, ["database: ", "iam_role: "]),
]


@pytest.mark.parametrize(("changed", "told"), LACKING)
def test_a_target_that_is_not_complete_tells_all_it_lacks(
    changed: dict[str, Any], told: list[str]
) -> None:
    """What a Redshift target lacks is named all at once, with where it was looked for."""
    whole = {**PROD, "host": "h", "user": "u", "database": "d", "staging": "s3://b/p"}
    assert config(t=whole).settings("t")
    found = message({**whole, **changed})
    assert "in [targets.t] in loader.toml" in found
    assert all(words in found for words in told)


def test_no_secret_in_messages_or_representations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password is in no representation of settings, and in no error about them."""
    monkeypatch.setenv("LOADER_SECRET", "hunter2")
    target = {"type": "redshift", "password": "${LOADER_SECRET}"}
    assert "hunter2" not in repr(config(t=target).settings("t", preview=True))
    assert "hunter2" not in message(target)
    for wrong in ({"port": "${LOADER_SECRET}"}, {"ssl": "${LOADER_SECRET}"}, {"nope": "hunter2"}):
        assert "hunter2" not in message({**target, **wrong})


def write(folder: Path, name: str, text: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


def test_the_nearest_project_is_used(tmp_path: Path) -> None:
    """Settings come from the nearest file upward, of either name."""
    write(tmp_path, "pyproject.toml", "[tool.loader]\nspecs = 'outer'\n")
    write(tmp_path / "a", "pyproject.toml", "[tool.other]\n")
    write(tmp_path / "a" / "b", "pyproject.toml", "[project]\nname = 'x'\n")
    write(tmp_path / "a" / "b", "loader.toml", "specs = 'toml'\ntemplates = 'sql'\n")
    deep = tmp_path / "a" / "b" / "c"
    deep.mkdir()
    found = find_config(deep)
    assert (found.specs, found.templates) == (deep.parent / "toml", deep.parent / "sql")
    assert (found.root, found.source) == (deep.parent, "loader.toml")
    assert find_config(tmp_path / "a").specs == tmp_path / "outer"


def test_a_loader_toml_may_nest(tmp_path: Path) -> None:
    """The keys may stand at the top of loader.toml, or below [tool.loader] as in pyproject."""
    write(tmp_path, "loader.toml", "[tool.loader]\nspecs = 'x'\n")
    assert find_config(tmp_path).specs == tmp_path / "x"


def test_a_folder_of_specs_is_a_project(tmp_path: Path) -> None:
    """A folder with specs/ and no settings loads into an embedded DuckDB."""
    (tmp_path / "specs").mkdir()
    found = find_config(tmp_path)
    assert found.settings() == DuckDBTarget(type="duckdb")
    assert found.target == "local"


def test_no_project_says_what_to_do(tmp_path: Path) -> None:
    """Where there is no project, the answer is how to make one."""
    with pytest.raises(ConfigError) as error:
        find_config(tmp_path)
    assert error.value.message == f"there is no Loader project in {tmp_path} or its parent folders"
    assert error.value.hint == "create one with `loader init`, or pass --project DIR"


WRONG: list[tuple[str, str, list[str]]] = [
    ("loader.toml", "specs = [", ["loader.toml:1:1: is not TOML: Invalid value"]),
    ("loader.toml", "specs = 1\n\nspecs 2\n", ["loader.toml:3:7: is not TOML: Expected"]),
    (
        "loader.toml",
        "# x\nspec = 'x'\nverify = 'some'",
        ["2:1: spec: unknown key `spec`", "did you mean `specs`?", "3:1: verify: must be one of"],
    ),
    (
        "pyproject.toml",
        "[tool.loader]\nspec = 'x'\n[tool.loader.target.prod]\ntype = 'duckdb'",
        [
            "2:1: tool.loader.spec: unknown",
            "3:1: tool.loader.target: must",
            "[tool.loader.targets.",
        ],
    ),
    ("loader.toml", "targets = 'x'", ["loader.toml:1:1: targets: must have one table per target"]),
    (
        "loader.toml",
        "targets = {a = 1, 'b-c' = {}, c = 2}",
        ["1:12: targets.a: must be a table, [targets.a]", "1:31: targets.c: must be"],
    ),
    (
        "loader.toml",
        "target = 'a'\n[targets.a]\ntype = 'duckdb'\n\n[tool.loader.targets.b]\ntype = 'duckdb'",
        [
            "loader.toml:5:1: tool.loader.targets.b: some settings are in [tool.loader], and some"
            " at the top of the file (line 1)",
            "hint: in loader.toml write [targets.b]",
        ],
    ),
    (
        "loader.toml",
        "verify = 'x'\n[tool.loader]\nspec = 'x'",
        ["some at the top of the file (line 1)", "1:1: verify: must be", "3:1: spec: unknown key"],
    ),
    (
        "pyproject.toml",
        "[tool.loader]\nspecs = 'x'\n[targets.prod]\ntype = 'duckdb'",
        ["3:1: targets: `targets` is not in [tool.loader]", "write [tool.loader.targets.NAME]"],
    ),
]


@pytest.mark.parametrize(("name", "text", "told"), WRONG)
def test_wrong_files_are_told(tmp_path: Path, name: str, text: str, told: list[str]) -> None:
    """Everything wrong in a settings file is told at once, with line and column, in its form."""
    write(tmp_path, name, text)
    with pytest.raises(ConfigError) as error:
        find_config(tmp_path)
    found = str(error.value)
    assert [words for words in told if words not in found] == [], found


def test_settings_in_two_files_are_refused(tmp_path: Path) -> None:
    """One file would hide the other; a loader.toml without settings hides none."""
    write(tmp_path, "pyproject.toml", "[tool.loader]\nspecs = 'py'\n")
    write(tmp_path, "loader.toml", "# nothing yet\n")
    assert find_config(tmp_path).specs == tmp_path / "py"
    write(tmp_path, "loader.toml", "specs = 'toml'\n")
    with pytest.raises(ConfigError) as error:
        find_config(tmp_path)
    assert "loader.toml: pyproject.toml beside it has [tool.loader]" in str(error.value)
    with pytest.raises(ConfigError, match="beside it"):
        Project(specs=tmp_path / "specs")
    write(tmp_path, "pyproject.toml", "[tool.other]\nbroken = ")
    assert find_config(tmp_path).specs == tmp_path / "toml"


PLACES = """\
a = 1  # b = 2
[x]
  c.d = \"\"\"
[e]
f = 1
\"\"\"
"g h" = [
  1, # ]
  {i = 2},
]
[[k]]
l = 3
[tool.loader.targets."m n"]
o = {p = 1, q = "]"}
"""


def test_every_key_has_its_line(tmp_path: Path) -> None:
    """Keys are found in tables, in text of many lines, in lists and in tables of one line."""
    write(tmp_path, "loader.toml", PLACES.replace("\n", "\r\n"))
    found = read_settings_file(tmp_path)
    assert found is not None
    where = {
        ("a",): (1, 1),
        ("x",): (2, 1),
        ("x", "c"): (3, 3),
        ("x", "c", "d"): (3, 5),
        ("x", "g h"): (7, 2),
        ("x", "g h", "i"): (9, 4),
        ("k",): (11, 1),
        ("k", "l"): (12, 1),
        ("tool", "loader", "targets", "m n"): (13, 1),
        ("tool", "loader", "targets", "m n", "o"): (14, 1),
        ("tool", "loader", "targets", "m n", "o", "q"): (14, 13),
    }
    assert {loc: found.places.get(loc) for loc in where} == where
    assert not {("b",), ("e",), ("f",)} & {loc[-1:] for loc in found.places}


def test_the_environment_chooses_the_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LOADER_TARGET is below what is asked for and above the settings; an unknown one says so."""
    text = "target = 'b'\n[targets.a]\ntype = 'duckdb'\n[targets.b]\ntype = 'duckdb'\n"
    write(tmp_path, "loader.toml", text)
    targets = {"x": {"type": "duckdb"}, "a": {"type": "duckdb"}}
    assert Project.find(tmp_path).place().name == "b"
    assert Project(root=tmp_path, targets=targets).place().name == "x"
    monkeypatch.setenv("LOADER_TARGET", "a")
    assert Project.find(tmp_path).place().name == "a"
    assert Project.find(tmp_path).place("b").name == "b"
    assert Project(specs=tmp_path / "specs").place().name == "a"
    assert Project(root=tmp_path, targets=targets).place().name == "a"
    assert Project(root=tmp_path, targets=targets, target="x").place().name == "x"
    monkeypatch.setenv("LOADER_TARGET", "aa")
    with pytest.raises(ConfigError) as error:
        Project.find(tmp_path).place()
    assert "no target `aa`, which the environment variable LOADER_TARGET" in error.value.message
    assert error.value.hint == "did you mean `a`?"
    assert Project.find(tmp_path).place("b").name == "b"
    assert find_config(tmp_path).check() == []
    monkeypatch.setenv("LOADER_TARGET", "")
    assert Project.find(tmp_path).place().name == "b"


CHECKED: list[tuple[str, list[str]]] = [
    ("target = 'prd'\n[targets.prod]\ntype = 'duckdb'", ["1:1: target: there is no target `prd`"]),
    ("target = 'sandbox'\n[targets.prod]\ntype = 'duckdb'", []),
    ("target = 'local'", []),
    ("target = 'other'", ["1:1: target: there is no target `other`"]),
    (
        "[targets.a]\ntype = 'duckdb'\ndatabse = 'x'\n[targets.b]\ntype = 'duckbd'\nx = 1\n"
        "[targets.c]\ndatabase = 'x'",
        [
            "3:1: targets.a.databse: unknown",
            "5:1: targets.b.type: type is",
            "7:1: targets.c.type: t",
        ],
    ),
    (
        "[targets.a]\ntype = 'redshift'\nhost = '${H}'\nport = '${P}'\nuser = '${U}'\n"
        "password = '${PASSWORD:-}'\ndatabase = 'd'\nstaging = '${S}'\niam_role = '${R}'\n"
        "ssl = false",
        [],
    ),
    (
        "[targets.a]\ntype = 'redshift'\nhost = '${DB_PASSWORD}'\nport = '${P:-many}'",
        [
            "1:1: targets.a.database: the",
            "1:1: targets.a.staging: s3",
            "1:1: targets.a.iam_role: the IAM",
            "1:1: targets.a.password: to log in",
            "3:1: targets.a.host: the name ${DB_PASSWORD} looks",
            "4:1: targets.a.port: must be a whole number",
        ],
    ),
    (
        "[targets.a]\ntype = 'redshift'\nhost = 'h'\nuser = 'u'\npasswort = '${P}'\nssl = 'maybe'\n"
        "database = 'd'\niam_role = 'etl'\nstaging = 'lake/loader'",
        [
            "5:1: targets.a.passwort: unknown key",
            "6:1: targets.a.ssl: must be true or false",
            "8:1: targets.a.iam_role: must be the ARN",
            "9:1: targets.a.staging: not a valid S3 location",
        ],
    ),
    (
        "[targets.a]\ntype = 'redshift'\nhost = 'h'\nuser = 'u'\npassword = '${P:-}'\n"
        "staging = 'x'",
        [
            "1:1: targets.a.database: the",
            "1:1: targets.a.iam_role: the IAM",
            "6:1: targets.a.staging",
        ],
    ),
]


@pytest.mark.parametrize(("text", "told"), CHECKED)
def test_settings_are_checked_without_the_environment(
    tmp_path: Path, text: str, told: list[str]
) -> None:
    """`validate` finds what no environment can put right: all of it, and each with its line."""
    write(tmp_path, "loader.toml", text)
    problems = list(map(str, find_config(tmp_path).check()))
    for problem, words in zip(problems, told, strict=True):
        assert problem.startswith(f"loader.toml:{words}")


def test_the_first_target_is_the_default(tmp_path: Path) -> None:
    """Without `target` the first one listed is meant."""
    write(tmp_path, "loader.toml", "[targets.a]\ntype = 'duckdb'\n[targets.b]\ntype = 'duckdb'\n")
    assert find_config(tmp_path).target == "a"
