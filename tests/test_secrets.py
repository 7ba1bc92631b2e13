"""Secrets: none is in any output, wherever in the settings somebody has put it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from loader.cli import main
from loader.config import DuckDBTarget, RedshiftTarget, make_settings
from loader.errors import ConfigError, ExecuteError, LoaderError
from loader.project import Project
from loader.redaction import KNOWN, Secrets, find_credentials, is_secret_name
from loader.scaffold import scaffold
from loader.spec.catalog import read_entry

KEY, SECRET = "AKIAPLANTED4TESTING7", "pl4nted/S3cret+'of\"tests"
"""An id of an access key, and a secret that needs quoting everywhere."""

FORMS = {
    "plan": ("text", "json", "sql", "markdown"),
    "plan --live": ("text", "json", "sql", "markdown"),
    "plan -v -o plan.json": ("text",),
    "validate": ("text", "json", "github"),
    "doctor": ("text", "json"),
    "apply": ("text", "json"),
    "load shop/orders data/orders.csv --partition auto": ("text", "json"),
    "read shop/orders": ("text", "json"),
    "history": ("text", "json"),
    "infer --table shop.orders": ("text", "json"),
    "export --to odcs": ("text", "json"),
    "docs -o site": ("text", "json"),
}

SETTINGS: dict[str, dict[str, Any]] = {
    "redshift": {
        "type": "redshift",
        "host": "127.0.0.1",
        "port": 1,
        "database": "dev",
        "user": "ann",
        "password": SECRET,
        "iam_role": "arn:aws:iam::123456789012:role/loader",
        "staging": "s3://bucket/loader",
        "region_name": "eu-west-1",
        "ssl": False,
    },
    "duckdb": {"type": "duckdb"},
}

SPELT = {SECRET, SECRET[:15], quote(SECRET, safe=""), quote(SECRET), quote_plus(SECRET)}
SPELT |= {repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1], SECRET.replace("'", "''"), KEY}


def told(text: str) -> list[str]:
    return [one for one in SPELT if one.lower() in text.lower()]


WRONG = {
    "a login in a URL": "s3://{key}:{secret}@bucket/loader",
    "a quoted login in a URL": "s3://{key}:{quoted}@bucket/loader",
    "a token in a URL": "https://{quoted}@host/x",
    "a login": "ann:{secret}@host",
    "a query": "dev?password={quoted}",
    "keys": "aws_access_key_id={key};aws_secret_access_key={quoted}",
    "a variable": "${{PLANTED_SECRET}}",
    "a variable in a URL": "s3://ann:${{PLANTED_SECRET}}@bucket/x",
    "a default of a variable": "${{NO_SUCH_TOKEN:-{quoted}}}",
}


def places() -> Iterator[Any]:
    models: dict[str, type[BaseModel]] = {"redshift": RedshiftTarget, "duckdb": DuckDBTarget}
    for kind, model in models.items():
        for key in model.model_fields:
            if key not in ("password", "type"):
                yield pytest.param(kind, key, id=f"{kind} {key}")
        yield pytest.param(kind, "type", id=f"{kind} type")
        yield pytest.param(kind, "secret_access_key", id=f"{kind} unknown")
    yield pytest.param("redshift", "session.query_group", id="redshift session")


def project(folder: Path, target: dict[str, Any]) -> Path:
    scaffold(folder)
    lines = [f"{key} = {json.dumps(value)}" for key, value in target.items()]
    (folder / "loader.toml").write_text("\n".join(["target = 't'", "[targets.t]", *lines]))
    return folder


def run(line: str) -> str:
    done = CliRunner().invoke(main, line.split(), prog_name="loader")
    assert not isinstance(done.exception, Exception), line
    return f"{done.stdout}\n{done.stderr}"


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loader.warehouse.redshift.sessions._CONNECT_ATTEMPTS", 1)
    for name, value in {
        "PLANTED_SECRET": SECRET,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(("kind", "key"), list(places()))
def test_a_secret_in_the_wrong_setting_is_refused_and_not_told(
    kind: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Settings that are printed take no secret: reading them fails and tells only the key."""
    monkeypatch.chdir(project(tmp_path, SETTINGS[kind]))
    for how, pattern in WRONG.items():
        if (key, how) == ("secret_id", "a variable"):
            continue  # the name of a secret in Secrets Manager
        value = pattern.format(key=KEY, secret=SECRET, quoted=quote(SECRET, safe=""))
        outer, _, inner = key.partition(".")
        changed = {outer: {inner: value} if inner else value}
        project_ = Project(
            root=tmp_path, specs="specs", targets={"t": {**SETTINGS[kind], **changed}}
        )
        for preview in (True, False):
            with pytest.raises(ConfigError) as error:
                project_.config.settings("t", preview=preview)
            assert key in str(error.value), how
            assert not told(str(error.value) + repr(error.value) + str(error.value.to_dict()))


@pytest.mark.parametrize("line", FORMS)
@pytest.mark.parametrize("key", [None, "staging", "user", "iam_role"])
def test_no_output_tells_a_secret(
    line: str, key: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the command and the format, a planted secret is in no output and in no file."""
    target = dict(SETTINGS["redshift"])
    if key is not None:
        target[key] = f"s3://{KEY}:{SECRET}@bucket/loader"
    monkeypatch.chdir(project(tmp_path, target))
    for form in FORMS[line]:
        found = run(f"{line} --format {form}" if form != "text" else line)
        assert not told(found), (line, form)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.name != "loader.toml":
            assert not told(path.read_text(errors="replace")), path


ROLES = {
    "default": True,
    "arn:aws:iam::123456789012:role/loader": True,
    "arn:aws-cn:iam::123456789012:role/a/b/loader": True,
    "arn:aws-us-gov:iam::123456789012:role/x": True,
    "arn:aws:iam::123456789012:role/a,arn:aws:iam::210987654321:role/b": True,
    "${AWS_REDSHIFT_S3_IAM_ROLE}": True,
    "arn:aws:iam::123456789012:role/a, arn:aws:iam::210987654321:role/b": False,
    "arn:aws:iam::123456789012:user/ann": False,
    "arn:aws:iam::12:role/loader": False,
    "role/loader": False,
    "arn:aws:iam::123456789012:role/a,secret": True,  # a comma may be part of a name
    "arn:aws:iam::123456789012:role/a;secret": False,
    f"aws_access_key_id={KEY};aws_secret_access_key={SECRET}": False,
}


@pytest.mark.parametrize("role", ROLES)
def test_roles(role: str) -> None:
    """iam_role is `default` or ARNs of roles, of any partition and chained; else it is not told."""
    made = Project(
        targets={"t": {**SETTINGS["redshift"], "iam_role": role}}, root=".", specs="specs"
    )
    if ROLES[role]:
        assert getattr(made.config.settings("t", preview=True), "iam_role", None) == role
        return
    with pytest.raises(ConfigError, match="iam_role") as error:
        made.config.settings("t", preview=True)
    assert role not in str(error.value)


FINE = {
    "user": ["IAM:ann", "IAMR:loader", "ann@example.com", "AWSIDC:ann@example.com"],
    "host": ["h", "a-b.c.eu-west-1.redshift.amazonaws.com", "10.0.0.1"],
    "staging": ["s3://bucket", "s3://bucket/a=b/c@d"],
    "kms_key_id": ["alias/aws/s3", "arn:aws:kms:eu-west-1:123456789012:key/1234-abcd"],
    "secret_id": ["${REDSHIFT_SECRET_ARN:-x}", "${MY_SECRET:-x}", "redshift/loader"],
}


@pytest.mark.parametrize("key", FINE)
def test_what_is_no_secret_is_taken(key: str) -> None:
    """Names with signs that credentials have too are settings like any others."""
    for value in FINE[key]:
        target = {**SETTINGS["redshift"], key: value}
        Project(targets={"t": target}, root=".", specs="specs").config.settings("t")


def test_errors_are_cleaned_when_they_are_made() -> None:
    """From Python too, no known secret is in an error: message, hint, details, statement."""
    KNOWN.add(SECRET)
    for error in (
        LoaderError(f"a {SECRET}", hint=repr(SECRET), details=[{"x": SECRET}]),
        ExecuteError("no", statement=f"COPY x CREDENTIALS '{SECRET}'"),
        ExecuteError(f"cannot open https://ann:{quote(SECRET)}@host/x"),
    ):
        assert not told(f"{error} {error!r} {error.to_dict()} {error.details}")


WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=8)


@given(WORDS, st.text(), st.text())
def test_every_spelling_is_hidden(secret: str, before: str, after: str) -> None:
    """A secret is found in text, URLs, JSON, SQL and messages of Python, whatever stands about."""
    known = Secrets(secret)
    for spelt in (secret, quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]):
        for one in (spelt, json.dumps(spelt)[1:-1] if spelt == secret else spelt):
            assert known.hide(one) != one
            assert one not in known.hide(f"{before} {one} {after}").replace("***", "")
    assert secret not in json.dumps(known.hide_in({"a": [secret], secret: (1, secret)}))


def test_ordinary_words_stay() -> None:
    """What only looks like a login is left, and a short password hides no part of other words."""
    known = Secrets("dev", "loader")
    for text in (
        "s3://bucket/day=1@2/x",
        "http://host:8080/a@b",
        "12:30@noon",
        "developers",
        "loaders load",
        "ann@example.com",
    ):
        assert known.hide(text) == text
    assert known.hide("as loader, dev") == "as ***, dev"


NAMES = {
    "DB_PASSWORD": True,
    "PGPASSWORD": True,
    "AWS_SECRET_ACCESS_KEY": True,
    "GITHUB_TOKEN": True,
    "API_KEY": True,
    "AWS_ACCESS_KEY_ID": False,
    "SECRET_ARN": False,
    "PWD": False,
    "AWS_REDSHIFT_HOST": False,
    "BUCKET": False,
    "PASSENGERS": False,
    "COMPASS": False,
}


@pytest.mark.parametrize("name", NAMES)
def test_names_of_secrets(name: str) -> None:
    """Variables are secrets by their names; ids, ARNs and the working folder are none."""
    assert is_secret_name(name) == NAMES[name]
    assert list(find_credentials("ann:pw@host")) == ["pw"]


def test_managers_refuse_and_hide_too(tmp_path: Path) -> None:
    """A bucket name or role with keys is refused by its own name, and so are files of specs."""
    names = {"iam_role": "s3_iam_role", "staging": "bucket_name"}
    for key, shown in names.items():
        values = {**SETTINGS["redshift"], key: f"s3://{KEY}:{SECRET}@bucket/x"}
        with pytest.raises(ConfigError, match=shown) as error:
            make_settings(values, "Manager", names)
        assert not told(str(error.value))
    path = tmp_path / "x.yml"
    path.write_text(
        "schema: s\nname: t\ncolumns: [{name: a, data_type: int}]\n"
        f"source: {{files: ['s3://{KEY}:{quote(SECRET, safe='')}@b/x.csv']}}\n"
    )
    (problem,) = read_entry(path, tmp_path).problems
    assert problem.where == "source.files[0]"
    assert not told(str(problem))
