"""What a live table tells of itself: layout, keys and privileges, and how ALTER changes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from redshift_connector.error import ProgrammingError

from loader.testing.redshift.server import RedshiftStandIn
from loader.testing.redshift.statements.notes import noted

Connect = Callable[..., Any]
Rows = list[tuple[Any, ...]]


class Client:
    """A session that commits each statement, until it begins a transaction."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.connection.autocommit = True
        self.cursor = connection.cursor()

    def __call__(self, *statements: str) -> Rows:
        """Run them; the rows of the last one."""
        for sql in statements:
            self.cursor.execute(sql)
        described = self.cursor.description is not None
        return [tuple(row) for row in self.cursor.fetchall()] if described else []

    def refuses(self, sql: str, said: str, code: str = "") -> None:
        """Run a statement that must fail so."""
        with pytest.raises(ProgrammingError) as caught:
            self.cursor.execute(sql)
        told = caught.value.args[0]
        assert said in told["M"]
        assert code in ("", told["C"])

    def layout(self, table: str = "t") -> dict[str, tuple[str, bool, int]]:
        """Encoding, distkey and sortkey of each column."""
        rows = self(
            "SELECT column_name, encoding, distkey, sortkey FROM svv_redshift_columns"
            f" WHERE table_name = '{table}' ORDER BY ordinal_position"
        )
        return {name: (encoding, dist, sort) for name, encoding, dist, sort in rows}

    def encodings(self, table: str = "t") -> list[str]:
        """The encodings of the columns, in order."""
        return [encoding for encoding, _, _ in self.layout(table).values()]

    def sortkeys(self, table: str = "t") -> list[int]:
        """The places of the columns in the sort key."""
        return [sort for _, _, sort in self.layout(table).values()]

    def style(self, table: str = "t") -> tuple[Any, ...]:
        """Declared and effective distribution style."""
        (row,) = self(
            "SELECT reldiststyle, releffectivediststyle FROM pg_class_info"
            f" WHERE relname = '{table}'"
        )
        return row

    def keys(self, table: str = "t") -> Rows:
        """Name, kind and columns of each constraint."""
        return self(
            "SELECT k.conname, k.contype, array_to_string(k.conkey, ' ')"
            " FROM pg_catalog.pg_constraint k JOIN pg_class c ON c.oid = k.conrelid"
            f" WHERE c.relname = '{table}' ORDER BY k.oid"
        )


@pytest.fixture
def run(connect: Connect) -> Client:
    """A client of the stand-in."""
    return Client(connect())


WIDE = (
    "a bigint, d date, z timestamptz, c char(2), v varchar(9), n decimal(9, 2), b boolean,"
    " r real, f float, x varbyte(4), s super"
)
DEFAULTS = ["az64", "az64", "az64", "lzo", "lzo", "az64", "none", "none", "none", "lzo", "zstd"]


# --- CREATE TABLE


def test_a_plain_table_is_automatic(run: Client) -> None:
    """Without any words on it, style, sort key and encodings are AUTO (F§3.1)."""
    run(f"CREATE TABLE t ({WIDE})")
    assert run.style() == (9, 10)
    assert run.encodings() == DEFAULTS
    assert {one[1:] for one in run.layout().values()} == {(False, 0)}


def test_one_encoding_settles_the_others(run: Client) -> None:
    """One explicit ENCODE gives every other column the default of its type (F§3.2)."""
    run(f"CREATE TABLE t ({WIDE}, y int ENCODE zstd, k int SORTKEY, w int ENCODE raw)")
    assert run.encodings() == [*DEFAULTS, "zstd", "none", "none"]
    run.refuses("ALTER TABLE t ALTER COLUMN v ENCODE lzo", 'column "v" is already encoded LZO')


@pytest.mark.parametrize(
    ("words", "style", "shown", "distkey"),
    [
        ("DISTSTYLE EVEN", (0, 0), "EVEN", False),
        ("DISTSTYLE ALL", (8, 8), "ALL", False),
        ("DISTSTYLE AUTO", (9, 10), "AUTO(ALL)", False),
        ("DISTSTYLE KEY DISTKEY (b)", (1, 1), "KEY(b)", True),
        ("DISTKEY (b)", (1, 1), "KEY(b)", True),
    ],
)
def test_styles_are_shown(
    warehouse: RedshiftStandIn,
    run: Client,
    words: str,
    style: tuple[int, int],
    shown: str,
    distkey: bool,
) -> None:
    """Each distribution style is told by number, by word, and at its column (F§6)."""
    run(f"CREATE TABLE t (a int, b int) {words}", "INSERT INTO t VALUES (1, 2)")
    assert run.style() == style
    assert warehouse.query('SELECT diststyle FROM svv_table_info WHERE "table" = %s', "t") == [
        (shown,)
    ]
    assert run.layout()["b"][1] is distkey
    assert run.layout()["a"][1] is False


@pytest.mark.parametrize(
    ("words", "sortkeys", "first"),
    [
        ("SORTKEY (c, a)", [2, 0, 1], "c"),
        ("COMPOUND SORTKEY (a)", [1, 0, 0], "a"),
        ("INTERLEAVED SORTKEY (c, b, a)", [3, -2, 1], "INTERLEAVED"),
        ("SORTKEY AUTO", [0, 0, 0], "AUTO(SORTKEY)"),
    ],
)
def test_sort_keys_are_shown(
    warehouse: RedshiftStandIn, run: Client, words: str, sortkeys: list[int], first: str
) -> None:
    """Places count from one; in an interleaved key their signs alternate (F§6)."""
    run(f"CREATE TABLE t (a int, b int, c int) {words}", "INSERT INTO t VALUES (1, 2, 3)")
    assert run.sortkeys() == sortkeys
    assert warehouse.query("SELECT sortkey1, sortkey_num FROM svv_table_info") == [
        (first, sum(map(bool, sortkeys)))
    ]


def test_table_def_looks_on_the_search_path_only(run: Client) -> None:
    """``pg_table_def`` shows the same, and nothing of schemas off the path (F§6)."""
    run("CREATE SCHEMA s", "CREATE TABLE s.t (a int ENCODE zstd NOT NULL) DISTKEY (a) SORTKEY (a)")
    query = (
        'SELECT "column", type, TRIM(encoding), distkey, sortkey, "notnull" FROM pg_table_def'
        " WHERE tablename = 't'"
    )
    assert run(query) == []
    assert run("SET search_path TO s", query) == [("a", "integer", "zstd", True, 1, True)]


def test_table_info_omits_empty_tables(warehouse: RedshiftStandIn, run: Client) -> None:
    """``svv_table_info`` shows tables with rows, and to superusers (F§6)."""
    run("CREATE TABLE t (a int ENCODE raw)", "CREATE TABLE u (a int)", "INSERT INTO u VALUES (1)")
    assert warehouse.query('SELECT "table", encoded FROM svv_table_info') == [
        ("u", "Y, AUTO(ENCODE)")
    ]
    run.refuses("SELECT * FROM svv_table_info", "permission denied")


def test_like_copies_the_layout(run: Client) -> None:
    """LIKE takes over style, sort key and encodings, but no keys (F§3.1)."""
    run(
        "CREATE TABLE t (a int NOT NULL, gone int, b int ENCODE bytedict, PRIMARY KEY (a))"
        " DISTKEY (b) INTERLEAVED SORTKEY (a, b)",
        "ALTER TABLE t DROP COLUMN gone",
        "CREATE TABLE u (z date, LIKE t)",
    )
    assert run.layout("u") == {
        "z": ("az64", False, 0),
        "a": ("none", False, 1),
        "b": ("bytedict", True, -2),
    }
    assert run.style("u") == (1, 1)
    assert run.keys("u") == []


def test_a_temporary_table_like_its_namesake(run: Client) -> None:
    """A temporary table may be like the permanent one whose name it takes."""
    run("CREATE TABLE t (a int, b int) DISTKEY (b)", "CREATE TEMP TABLE t (LIKE t)")
    query = "SELECT schema_name LIKE 'pg_temp%', distkey FROM svv_redshift_columns ORDER BY 1, 2"
    assert run(query) == [(False, False), (False, True), (True, False), (True, True)]


def test_as_select_has_a_layout(run: Client) -> None:
    """CREATE TABLE AS takes style and sort key, and refuses columns that are not there."""
    run("CREATE TABLE t DISTKEY (b) SORTKEY (a) AS SELECT 1 AS a, true AS b, 'x' AS c")
    assert run.layout() == {
        "a": ("none", False, 1),
        "b": ("none", True, 0),
        "c": ("lzo", False, 0),
    }
    run.refuses(
        "CREATE TABLE u DISTKEY (z) AS SELECT 1 AS a",
        'column "z" named in DISTKEY does not exist',
        "42703",
    )


def test_temporary_tables_are_raw(run: Client) -> None:
    """Columns of a temporary table are not encoded unless they say so (F§3.1)."""
    run("CREATE TEMP TABLE t (a int, b varchar(9))", "CREATE TEMP TABLE u (a int ENCODE lzo)")
    assert (run.encodings("t"), run.encodings("u")) == (["none", "none"], ["lzo"])


def test_if_not_exists_changes_nothing(run: Client) -> None:
    """CREATE TABLE IF NOT EXISTS leaves the layout of a table that is there alone (F§3.1)."""
    run("CREATE TABLE t (a int) DISTSTYLE EVEN")
    run("CREATE TABLE IF NOT EXISTS t (a int, PRIMARY KEY (a)) DISTSTYLE ALL")
    assert run.style() == (0, 0)
    assert run.keys() == []


def test_notes_do_not_end_early(run: Client) -> None:
    """No name or text in a statement can end or begin the note at its end."""
    odd = '"*/ x /*redshift {}*/"'
    run(f"CREATE TABLE t ({odd} int DEFAULT length('/*redshift {{}}*/') ENCODE zstd)")
    assert run.encodings() == ["zstd"]
    assert noted("SELECT 1", {"a": "*/"}) == r'SELECT 1 /*redshift {"a": "\u002a/"}*/'


# --- keys


def test_keys_are_remembered(run: Client) -> None:
    """Primary, unique and foreign keys have names and columns, and are not enforced (F§3.1)."""
    run(
        "CREATE TABLE p (id int PRIMARY KEY)",
        "CREATE TABLE t (a int, b int UNIQUE, c int REFERENCES p, d int,"
        " CONSTRAINT mine PRIMARY KEY (d, a), UNIQUE (b), FOREIGN KEY (a) REFERENCES p (id))",
        "INSERT INTO t VALUES (1, 1, 1, 1)",
        "INSERT INTO t VALUES (1, 1, 1, 1)",
    )
    assert run.keys("p") == [("p_pkey", "p", "1")]
    assert run.keys() == [
        ("t_b_key", "u", "2"),
        ("t_c_fkey", "f", "3"),
        ("mine", "p", "4 1"),
        ("t_b_key1", "u", "2"),
        ("t_a_fkey", "f", "1"),
    ]
    assert run("SELECT count(*) FROM pg_constraint WHERE confkey = '{1}'") == [(2,)]


def test_keys_in_the_information_schema(run: Client) -> None:
    """``table_constraints`` and ``key_column_usage`` tell the keys by name (F§6)."""
    run("CREATE TABLE t (a int, b int, PRIMARY KEY (b, a))")
    assert run(
        "SELECT constraint_type, u.column_name, u.ordinal_position"
        " FROM information_schema.table_constraints c"
        " JOIN information_schema.key_column_usage u"
        " USING (constraint_schema, constraint_name, table_name)"
        " WHERE c.table_schema = 'public' AND table_name = 't' ORDER BY 3"
    ) == [("PRIMARY KEY", "b", 1), ("PRIMARY KEY", "a", 2)]


@pytest.mark.parametrize(
    ("sql", "said", "code"),
    [
        ("CREATE TABLE u (a int PRIMARY KEY, b int PRIMARY KEY)", "multiple primary", "42P16"),
        ("CREATE TABLE u (a int REFERENCES nowhere)", 'relation "nowhere" does not', "42P01"),
        ("CREATE TABLE u (a int REFERENCES t (z))", 'column "z" named in REFERENCES', "42703"),
        ("CREATE TABLE u (a int, UNIQUE (z))", 'column "z" named in key', "42703"),
        ("ALTER TABLE t ADD PRIMARY KEY (b)", "must be NOT NULL", "42P16"),
        ("ALTER TABLE t ADD CONSTRAINT k UNIQUE (b)", "already exists", "42710"),
        ("ALTER TABLE t DROP CONSTRAINT nowhere", "does not exist", "42704"),
    ],
)
def test_keys_that_cannot_be(run: Client, sql: str, said: str, code: str) -> None:
    """One primary key of NOT NULL columns, of names that are free, on columns that are there."""
    run("CREATE TABLE t (a int NOT NULL, b int, CONSTRAINT k UNIQUE (a))")
    run.refuses(sql, said, code)


def test_keys_come_and_go(run: Client) -> None:
    """ADD and DROP CONSTRAINT work on the keys that are remembered (F§3.4)."""
    run("CREATE TABLE t (a int NOT NULL, b int)", "ALTER TABLE t ADD PRIMARY KEY (a)")
    run.refuses("ALTER TABLE t ADD PRIMARY KEY (a)", "multiple primary keys")
    run("ALTER TABLE t ADD CONSTRAINT k UNIQUE (b, a)")
    assert run.keys() == [("t_pkey", "p", "1"), ("k", "u", "2 1")]
    run("ALTER TABLE t DROP CONSTRAINT t_pkey", "ALTER TABLE t RENAME COLUMN b TO c")
    assert run.keys() == [("k", "u", "2 1")]
    run("ALTER TABLE t DROP COLUMN c")
    assert run.keys() == []


# --- ALTER TABLE


def test_styles_are_altered(run: Client) -> None:
    """ALTER DISTSTYLE and ALTER DISTKEY change what is shown; AUTO begins as what was there."""
    run("CREATE TABLE t (a int, b int)")
    for action, style in (
        ("DISTSTYLE EVEN", (0, 0)),
        ("DISTKEY b", (1, 1)),
        ("DISTSTYLE AUTO", (9, 12)),
        ("DISTSTYLE ALL", (8, 8)),
        ("DISTSTYLE KEY DISTKEY a", (1, 1)),
    ):
        run(f"ALTER TABLE t ALTER {action}")
        assert run.style() == style
    assert run.layout()["a"][1] is True
    assert run.layout()["b"][1] is False


def test_sort_keys_are_altered(run: Client) -> None:
    """ALTER SORTKEY sets and takes away; an interleaved key may become a compound one (F§3.4)."""
    run("CREATE TABLE t (a int, b int) INTERLEAVED SORTKEY (a, b)")
    run("ALTER TABLE t ALTER COMPOUND SORTKEY (b, a)")
    assert run.sortkeys() == [2, 1]
    run("ALTER TABLE t ALTER SORTKEY NONE")
    assert run.sortkeys() == [0, 0]
    run("ALTER TABLE t ALTER SORTKEY (b), ALTER DISTKEY a")
    assert run.layout() == {"a": ("az64", True, 0), "b": ("none", False, 1)}
    run("ALTER TABLE t ALTER SORTKEY AUTO")


def test_encodings_are_altered(run: Client) -> None:
    """ENCODE changes one or several columns; the same again is an error, unless AUTO chose it."""
    run("CREATE TABLE t (a int, b varchar(9), c int)")
    run("ALTER TABLE t ALTER COLUMN a ENCODE az64")
    run.refuses("ALTER TABLE t ALTER COLUMN a ENCODE az64", "already encoded AZ64")
    run("ALTER TABLE t ALTER COLUMN a ENCODE zstd, ALTER COLUMN b ENCODE text255")
    assert run.encodings() == ["zstd", "text255", "az64"]
    run("ALTER TABLE t ALTER ENCODE AUTO", "ALTER TABLE t ALTER COLUMN a ENCODE zstd")
    run("ALTER TABLE t ADD COLUMN d date", "ALTER TABLE t ADD COLUMN e int ENCODE lzo")
    assert run.encodings() == ["zstd", "text255", "az64", "az64", "lzo"]
    run.refuses("ALTER TABLE t ALTER COLUMN b ENCODE az64", "invalid encoding type", "42P16")
    run.refuses("ALTER TABLE t ALTER COLUMN z ENCODE az64", "does not exist", "42703")


def test_an_interleaved_table_stays_as_it_is(run: Client) -> None:
    """Distribution and encodings of a table with an interleaved sort key are fixed (F§3.4)."""
    run("CREATE TABLE t (a int, b int) INTERLEAVED SORTKEY (a, b)")
    for action in (
        "ALTER DISTSTYLE ALL",
        "ALTER DISTKEY a",
        "ALTER COLUMN a ENCODE zstd",
        "ALTER SORTKEY (a), ALTER DISTKEY b",
    ):
        run.refuses(f"ALTER TABLE t {action}", "a table with an interleaved sort key", "0A000")
    assert run.sortkeys() == [1, -2]


def test_what_else_cannot_be_altered(run: Client) -> None:
    """No DISTSTYLE for temporary tables, and no key of a type that cannot be one (F§3.1, F§3.4)."""
    run("CREATE TEMP TABLE u (a int)", "CREATE TABLE t (a super)")
    run.refuses("ALTER TABLE u ALTER DISTSTYLE ALL", "not supported on temporary tables")
    run.refuses("ALTER TABLE t ALTER DISTKEY a", "of type super cannot be a DISTKEY")
    run.refuses("ALTER TABLE t ALTER SORTKEY (a)", "of type super cannot be a SORTKEY")


def test_columns_that_cannot_be_dropped(run: Client) -> None:
    """The dist key, a sort key and the only column stay (F§3.4)."""
    run("CREATE TABLE t (a int, b int, c int) DISTKEY (a) SORTKEY (b)")
    run.refuses("ALTER TABLE t DROP COLUMN a", 'cannot drop distkey column "a"')
    run.refuses("ALTER TABLE t DROP COLUMN b", 'cannot drop sortkey column "b"')
    run("ALTER TABLE t ALTER DISTSTYLE EVEN", "ALTER TABLE t ALTER SORTKEY NONE")
    run("ALTER TABLE t DROP COLUMN a", "ALTER TABLE t DROP COLUMN b")
    run.refuses("ALTER TABLE t DROP COLUMN c", 'cannot drop the only column "c"')


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ("a varchar(4) ENCODE bytedict", "its encoding is bytedict"),
        ("a varchar(4) ENCODE runlength", "its encoding is runlength"),
        ("a varchar(4) ENCODE text255", "its encoding is text255"),
        ("a varchar(4) ENCODE text32k", "its encoding is text32k"),
        ("a varchar(4) DEFAULT 'x'", "it has a default"),
        ("a varchar(4) UNIQUE", "a UNIQUE, PRIMARY KEY or FOREIGN KEY constraint"),
        ("a varchar(4) PRIMARY KEY", "a UNIQUE, PRIMARY KEY or FOREIGN KEY constraint"),
        ("a varchar(4) REFERENCES p", "a UNIQUE, PRIMARY KEY or FOREIGN KEY constraint"),
        ("a char(4)", "it is not VARCHAR"),
    ],
)
def test_columns_that_cannot_be_resized(run: Client, column: str, said: str) -> None:
    """Some encodings, a default or a key keep the size of a VARCHAR column (F§3.4)."""
    run("CREATE TABLE p (id varchar(4) PRIMARY KEY)", f"CREATE TABLE t ({column})")
    run.refuses("ALTER TABLE t ALTER COLUMN a TYPE varchar(9)", said, "0A000")


def test_a_column_shrinks_to_its_longest_value(run: Client) -> None:
    """A VARCHAR column shrinks down to the bytes of its longest value (F§3.4)."""
    run("CREATE TABLE t (a varchar(9), b int)", "INSERT INTO t VALUES ('éé', 1)")
    run.refuses("ALTER TABLE t ALTER COLUMN a TYPE varchar(3)", "value too long", "22001")
    run("ALTER TABLE t ALTER COLUMN a TYPE varchar(4)")
    assert run("SELECT data_type FROM svv_redshift_columns WHERE column_name = 'a'") == [
        ("character varying(4)",)
    ]


def test_the_layout_follows_names_and_rollbacks(run: Client) -> None:
    """RENAME takes the layout along, ROLLBACK brings it back, DROP forgets it."""
    run("CREATE TABLE t (a int, b int, PRIMARY KEY (a)) DISTKEY (b)")
    kept = run.layout(), run.style(), run.keys()
    run("BEGIN", "ALTER TABLE t ALTER DISTSTYLE ALL", "ALTER TABLE t DROP CONSTRAINT t_pkey")
    run("ALTER TABLE t ALTER COLUMN a ENCODE zstd", "ALTER TABLE t RENAME TO u")
    assert (run.style("u"), run.keys("u")) == ((8, 8), [])
    run("ROLLBACK")
    assert (run.layout(), run.style(), run.keys()) == kept
    run("ALTER TABLE t RENAME TO u", "ALTER TABLE u RENAME COLUMN b TO c")
    assert run.layout("u")["c"] == ("az64", True, 0)
    run("DROP TABLE u", "CREATE TABLE u (c int, a int)")
    assert (run.style("u"), run.keys("u")) == ((9, 10), [])


def test_what_redshift_manages_itself(warehouse: RedshiftStandIn, run: Client) -> None:
    """A test can tell what Redshift made of an AUTO table; it is shown, and still AUTO (F§6)."""
    run("CREATE TABLE t (a int, b int)", "INSERT INTO t VALUES (1, 2)")
    warehouse.manage("t", distkey="a", sortkey=["b"])
    assert run.style() == (9, 12)
    assert run.layout() == {"a": ("az64", True, 0), "b": ("none", False, 1)}
    assert warehouse.query("SELECT diststyle, sortkey1 FROM svv_table_info") == [
        ("AUTO(KEY(a))", "AUTO(SORTKEY(b))")
    ]
    warehouse.manage("t", diststyle="even")
    assert run.style() == (9, 11)


def test_renaming_needs_a_free_bare_name(run: Client) -> None:
    """RENAME TO refuses a name that is taken, and one with a schema (F§3.4)."""
    run("CREATE TABLE t (a int)", "CREATE TABLE u (a int)")
    run.refuses("ALTER TABLE t RENAME TO u", "already exists", "42P07")
    run.refuses("ALTER TABLE t RENAME TO public.x", "syntax error")


# --- views


def test_bound_views_hold_on_to_their_tables(run: Client) -> None:
    """A bound view follows its table through RENAME and keeps it from being dropped (F§3.4)."""
    run("CREATE TABLE t (a int)", "INSERT INTO t VALUES (1)", "CREATE VIEW v AS SELECT a FROM t")
    run("ALTER TABLE t RENAME TO old", "CREATE TABLE t (a int)")
    assert run("SELECT a FROM v") == [(1,)]
    run.refuses("DROP TABLE old", "cannot drop table old", "2BP01")
    run("DROP TABLE old CASCADE")
    run.refuses("SELECT * FROM v", "does not exist", "42P01")


def test_late_binding_views_hold_on_to_nothing(run: Client) -> None:
    """A late-binding view reads whatever table has the name, and fails when none has (F§3.4)."""
    run(
        "CREATE SCHEMA s",
        "CREATE TABLE s.t (a int, b varchar(9), c varbyte(4), d super)",
        "INSERT INTO s.t SELECT 1, 'it''s \\\\', NULL, NULL",
        "CREATE VIEW v (one, two) AS SELECT a, b || '\\'' FROM s.t WITH NO SCHEMA BINDING",
        "CREATE OR REPLACE VIEW w AS SELECT * FROM s.t WITH NO SCHEMA BINDING",
        "CREATE OR REPLACE VIEW w AS SELECT * FROM s.t WITH NO SCHEMA BINDING",
    )
    assert run("SELECT two, one FROM v") == [("it's \\'", 1)]
    assert run("SELECT relkind FROM pg_class WHERE relname = 'v'") == [("v",)]
    run("ALTER TABLE s.t RENAME TO x", "CREATE TABLE s.t (a int, b varchar(20), c varbyte(4))")
    assert run("SELECT * FROM v") == []
    run("INSERT INTO s.t (a, b) VALUES (1, 'more than before')")
    assert run("SELECT two FROM v") == [("more than before'",)]
    run("DROP TABLE s.x", "DROP TABLE s.t")
    run.refuses("SELECT * FROM v", "does not exist", "42P01")
    run.refuses("CREATE VIEW u AS SELECT 1 AS a WITH SCHEMA BINDING", "syntax error")


def test_only_bound_views_are_dependants(run: Client) -> None:
    """``pg_depend`` tells bound views of a table, and no late-binding ones (F§6)."""
    run("CREATE TABLE t (a int)", "CREATE VIEW bound AS SELECT a FROM t")
    run("CREATE VIEW late AS SELECT a FROM public.t WITH NO SCHEMA BINDING")
    assert run(
        "SELECT DISTINCT v.relname FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid"
        " JOIN pg_class v ON v.oid = r.ev_class JOIN pg_class c ON c.oid = d.refobjid"
        " WHERE c.relname = 't'"
    ) == [("bound",)]


# --- privileges


def privileges(run: Client, table: str = "t") -> set[tuple[Any, ...]]:
    rows = run(
        "SELECT identity_type, identity_name, privilege_type FROM svv_relation_privileges"
        f" WHERE namespace_name = 'public' AND relation_name = '{table}'"
    )
    return {row for row in rows if row[1] != "etl"}


def test_privileges_tell_users_groups_and_roles(
    warehouse: RedshiftStandIn, run: Client, connect: Connect
) -> None:
    """``svv_relation_privileges`` tells to whom a table is granted, to any user (F§6)."""
    warehouse.add_group("staff")
    warehouse.add_role("bi")
    warehouse.add_user("reader", "Secret-1")
    run("CREATE TABLE t (a int)", "CREATE TABLE u (a int)")
    run("GRANT SELECT, INSERT ON t TO ROLE bi, GROUP staff", "GRANT SELECT ON TABLE t TO PUBLIC")
    run("GRANT DELETE ON t TO reader WITH GRANT OPTION", "REVOKE INSERT ON t FROM ROLE bi")
    told = {
        ("role", "bi", "SELECT"),
        ("group", "staff", "SELECT"),
        ("group", "staff", "INSERT"),
        ("public", "public", "SELECT"),
        ("user", "reader", "DELETE"),
    }
    assert privileges(run) == told
    assert privileges(Client(connect(user="reader", password="Secret-1"))) == told
    assert privileges(run, "u") == set()
    assert run(
        "SELECT identity_name FROM svv_relation_privileges"
        " WHERE relation_name = 't' AND admin_option AND identity_name <> 'etl'"
    ) == [("reader",)]


def test_a_grant_tells_what_the_grantee_is(warehouse: RedshiftStandIn, run: Client) -> None:
    """Whoever is granted something as a group is shown as one, whatever PostgreSQL makes of it."""
    warehouse.add_role("anybody")
    run("CREATE TABLE t (a int)", "GRANT SELECT ON ALL TABLES IN SCHEMA public TO GROUP anybody")
    assert privileges(run) == {("group", "anybody", "SELECT")}
    run("GRANT USAGE ON SCHEMA public TO ROLE anybody", "DROP TABLE t", "CREATE TABLE t (a int)")
    assert privileges(run) == set()


def test_the_owner_has_every_privilege(run: Client) -> None:
    """The owner's own privileges are listed as a user's, granted or not."""
    run("CREATE TABLE t (a int)")
    query = (
        "SELECT DISTINCT identity_type FROM svv_relation_privileges"
        " WHERE relation_name = 't' AND identity_name = 'etl'"
    )
    assert run(query) == [("user",)]
    run("GRANT SELECT ON t TO PUBLIC")
    assert run(query) == [("user",)]


# --- external schemas


def test_external_schemas(warehouse: RedshiftStandIn, run: Client) -> None:
    """An external table is told by ``svv_external_tables`` only; nothing is made beside it."""
    warehouse.add_external_table("lake", "events", columns={"id": "bigint", "t": "varchar(9)"})
    warehouse.add_external_table("empty")
    assert run("SELECT schemaname FROM svv_external_schemas ORDER BY 1") == [("empty",), ("lake",)]
    assert run("SELECT schemaname, tablename, location FROM svv_external_tables") == [
        ("lake", "events", f"s3://{warehouse.bucket}/lake/events/")
    ]
    assert run("SELECT columnname, external_type, columnnum FROM svv_external_columns") == [
        ("id", "bigint", 1),
        ("t", "varchar(9)", 2),
    ]
    assert run("SELECT nspname FROM pg_namespace WHERE nspname = 'lake'") == [("lake",)]
    assert run("SELECT relname FROM pg_class WHERE relname = 'events'") == []
    warehouse.execute("GRANT CREATE ON SCHEMA lake TO etl")
    for sql in ("CREATE TABLE lake.t (a int)", "CREATE TABLE lake.t AS SELECT 1 AS a"):
        run.refuses(sql, "Operations on local objects in external schema are not enabled", "0A000")
    warehouse.reset()
    assert warehouse.query("SELECT * FROM svv_external_schemas") == []


# --- a rebuild in one transaction


REBUILD = [
    "CREATE TABLE new (id bigint NOT NULL, note varchar(20), PRIMARY KEY (id))"
    " DISTKEY (id) SORTKEY (note)",
    "LOCK t",
    "INSERT INTO new (id, note) SELECT CAST(id AS bigint), CAST(note AS varchar(20)) FROM t",
    "ALTER TABLE t RENAME TO old",
    "ALTER TABLE new RENAME TO t",
    "DROP TABLE old",
    "COMMENT ON TABLE t IS 'new'",
    "COMMENT ON COLUMN t.note IS 'why'",
    "GRANT SELECT ON t TO ROLE bi",
]


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK"])
def test_a_rebuild_is_one_transaction(warehouse: RedshiftStandIn, run: Client, end: str) -> None:
    """A table is replaced by another of its name, with all that is told of it, or not at all."""
    warehouse.add_role("bi")
    run("CREATE TABLE t (id int, note varchar(9)) DISTSTYLE EVEN", "INSERT INTO t VALUES (1, 'x')")
    run("BEGIN", *REBUILD, end)
    done = end == "COMMIT"
    assert run("SELECT * FROM t") == [(1, "x")]
    assert run.style() == ((1, 1) if done else (0, 0))
    assert run.sortkeys() == ([0, 1] if done else [0, 0])
    assert run.keys() == ([("new_pkey", "p", "1")] if done else [])
    assert privileges(run) == ({("role", "bi", "SELECT")} if done else set())
    remarks = run("SELECT remarks FROM svv_redshift_columns WHERE column_name = 'note'")
    assert remarks == [("why" if done else None,)]
    assert run("SELECT relname FROM pg_class WHERE relname IN ('old', 'new')") == []


def test_identity_columns_in_a_rebuild(run: Client) -> None:
    """An IDENTITY column takes no values, a GENERATED BY DEFAULT one does."""
    run("CREATE TABLE old (id bigint)", "INSERT INTO old VALUES (7)")
    run("CREATE TABLE a (id bigint IDENTITY(1, 1), x int)")
    run("CREATE TABLE d (id bigint GENERATED BY DEFAULT AS IDENTITY(1, 1), x int)")
    run.refuses("INSERT INTO a (id) SELECT id FROM old", "cannot set an identity column to a value")
    run("INSERT INTO d (id) SELECT id FROM old", "INSERT INTO a (x) SELECT 1 FROM old")
    assert run("SELECT id FROM d UNION ALL SELECT id FROM a ORDER BY 1") == [(1,), (7,)]
    assert [
        default.partition("(")[0]
        for (default,) in run(
            "SELECT column_default FROM svv_redshift_columns WHERE column_default IS NOT NULL"
            " ORDER BY table_name"
        )
    ] == ['"identity"', "default_identity"]


# --- casts


def test_a_boolean_is_no_text(run: Client) -> None:
    """A boolean cannot be cast to text, not even in an empty table."""
    run("CREATE TABLE t (a boolean, b varchar(5))")
    for sql in (
        "SELECT CAST(a AS varchar) FROM t",
        "SELECT a::varchar(5) FROM t",
        "SELECT a::text FROM t",
        "SELECT CAST(a AS char(5)) FROM t",
        "INSERT INTO t SELECT a, a FROM t",
    ):
        run.refuses(sql, "cannot cast type boolean to character varying", "42846")
    run("INSERT INTO t VALUES (true, 'x')", "UPDATE t SET b = CASE WHEN a THEN 'true' END")
    assert run("SELECT b, a::int, 't'::boolean FROM t") == [("true", 1, True)]


def test_a_cast_to_varchar_cuts(run: Client) -> None:
    """An explicit cast to a shorter VARCHAR cuts without a word; an INSERT does not."""
    assert run("SELECT CAST('abcdef' AS varchar(3)), 'abcdef'::varchar(2)") == [("abc", "ab")]
    run("CREATE TABLE t (a varchar(3))")
    run.refuses("INSERT INTO t VALUES ('abcdef')", "value too long")
