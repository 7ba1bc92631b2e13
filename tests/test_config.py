"""Settings: where they are found, what they may say, and how the environment comes in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loader.config import Config, DuckDBTarget, RedshiftTarget, find_config, make_settings
from loader.errors import ConfigError

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
    return Config(Path("/p"), Path("/p/specs"), None, targets=targets, source="loader.toml")


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
    assert str(error.value).splitlines()[0] == "Manager is not complete"
    assert "  s3_iam_role: the IAM role of COPY" in str(error.value)


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
    assert "[tool.loader.targets.prod] in loader.toml" in (error.value.hint or "")


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
        ({"type": "duckdb", "databse": "x"}, "unknown key `databse`; did you mean `database`?"),
        ({"type": "duckdb", "zzz": 1}, "unknown key `zzz`; keys: type, database, staging"),
        ({"type": "duckdb", "lock_timeout": -1}, "lock_timeout: Input should be greater than"),
        ({"type": "redshift", "port": "many"}, "port: Input should be a valid integer"),
        ({"type": "duckdb", "a": 1, "b": 2}, "unknown key `b`"),
        ({"type": "redshift", "session": {"query_grop": "x"}}, "did you mean `query_group`?"),
        ({"type": "redshift", "session": {"a": "x"}}, "unknown key `session.a`; keys: query_group"),
        ({"type": "redshift", "session": {"wlm_query_slot_count": 0}}, "session.wlm_query_slot"),
        ({"type": "redshift", "session": 5}, "session: "),
    ],
)
def test_wrong_targets_are_told_where(target: dict[str, Any], text: str) -> None:
    """Each wrong setting is named with the table and file it stands in."""
    assert "[tool.loader.targets.t] in loader.toml: " in message(target)
    assert text in message(target)


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
    assert "[tool.loader.targets.t] in loader.toml is not complete" in found
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
    """Settings come from the nearest file upward; loader.toml wins over pyproject.toml."""
    write(tmp_path, "pyproject.toml", "[tool.loader]\nspecs = 'outer'\n")
    write(tmp_path / "a", "pyproject.toml", "[tool.other]\n")
    write(tmp_path / "a" / "b", "pyproject.toml", "[tool.loader]\nspecs = 'py'\n")
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


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("specs = [", "loader.toml: "),
        ("spec = 'x'", "loader.toml: unknown key `spec` in [tool.loader]"),
        ("specs = 1", "loader.toml: [tool.loader] specs must be text"),
        ("targets = 'x'", "loader.toml: [tool.loader.targets] must have one table per target"),
        ("targets = {a = 1}", "loader.toml: [tool.loader.targets] must have one table per target"),
    ],
)
def test_wrong_files_are_told(tmp_path: Path, text: str, message: str) -> None:
    """Settings that are no TOML, or no settings, are refused with their file."""
    write(tmp_path, "loader.toml", text)
    with pytest.raises(ConfigError) as error:
        find_config(tmp_path)
    assert message in str(error.value)


def test_the_first_target_is_the_default(tmp_path: Path) -> None:
    """Without `target` the first one listed is meant."""
    write(tmp_path, "loader.toml", "[targets.a]\ntype = 'duckdb'\n[targets.b]\ntype = 'duckdb'\n")
    assert find_config(tmp_path).target == "a"
