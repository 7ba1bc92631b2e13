-- What Redshift knows of a table beyond PostgreSQL: its layout, keys, grantees and late views.
--
-- Event triggers read the notes of statements (`notes.py`). Before the statement they refuse what
-- depends on earlier ones (dg/r_ALTER_TABLE); after it they write into side tables of pg_catalog, whose rows
-- are keyed by the numbers of tables and columns: so they follow a RENAME, and a ROLLBACK undoes
-- them. Rows of a table that was dropped stay behind, unseen.
--
-- The triggers run as the client, who has the search_path in which names are to be found; what they
-- call with numbers runs as superuser.

CREATE TABLE pg_catalog.redshift_tables (
  relation oid PRIMARY KEY, diststyle text, autostyle text, distkey int2,
  sortkind text, sortkey int2[], encodeauto bool);
CREATE TABLE pg_catalog.redshift_encodings (
  relation oid, attnum int2, encoding text, PRIMARY KEY (relation, attnum));
CREATE TABLE pg_catalog.redshift_keys (
  number int8 GENERATED ALWAYS AS IDENTITY (START WITH 1000000000), relation oid, name name,
  type "char", columns int2[], target oid, target_columns int2[]);
CREATE TABLE pg_catalog.redshift_grantees (
  relation oid, grantee oid, kind text, PRIMARY KEY (relation, grantee, kind));
CREATE TABLE pg_catalog.redshift_late_views (relation oid PRIMARY KEY, definition text);
CREATE TABLE pg_catalog.redshift_external_schemas (schema text PRIMARY KEY);
CREATE TABLE pg_catalog.redshift_external_tables (
  schema text, name text, location text, columns text[], PRIMARY KEY (schema, name));

CREATE FUNCTION pg_catalog.redshift_note() RETURNS jsonb LANGUAGE sql STABLE AS
  $$ SELECT substring(current_query() FROM '^.*/[*]redshift (.*)[*]/$')::jsonb $$;
CREATE FUNCTION pg_catalog.redshift_texts(list jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS
  $$ SELECT array(SELECT jsonb_array_elements_text(list)) $$;
CREATE FUNCTION pg_catalog.redshift_base(type oid) RETURNS text LANGUAGE sql STABLE AS
  $$ SELECT CASE typname
       WHEN 'int2' THEN 'smallint' WHEN 'int4' THEN 'integer' WHEN 'int8' THEN 'bigint'
       WHEN 'numeric' THEN 'decimal' WHEN 'float4' THEN 'real' WHEN 'float8' THEN 'double precision'
       WHEN 'bool' THEN 'boolean' WHEN 'bpchar' THEN 'char' WHEN 'text' THEN 'varchar'
       ELSE CASE WHEN typname LIKE 'binary varying%' THEN 'varbyte' ELSE typname END END
     FROM pg_catalog.pg_type WHERE oid = type $$;
CREATE FUNCTION pg_catalog.redshift_default_encoding(base text, bare bool) RETURNS text
  LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE
       WHEN bare OR base IN ('boolean', 'real', 'double precision', 'geometry', 'geography',
                             'hllsketch') THEN 'raw'
       WHEN base IN ('char', 'varchar', 'varbyte') THEN 'lzo'
       WHEN base = 'super' THEN 'zstd'
       ELSE 'az64' END $$;

CREATE VIEW pg_catalog.redshift_layouts AS
  SELECT c.oid AS relation, coalesce(t.diststyle, 'auto') AS diststyle,
         coalesce(t.autostyle, 'all') AS autostyle, t.distkey,
         coalesce(t.sortkind, 'auto') AS sortkind, coalesce(t.sortkey, '{}') AS sortkey,
         coalesce(t.encodeauto, true) AS encodeauto
  FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.redshift_tables t ON t.relation = c.oid
  WHERE c.relkind = 'r';
CREATE VIEW pg_catalog.redshift_columns AS
  SELECT a.attrelid AS relation, a.attnum, a.attname, redshift_base(a.atttypid) AS base,
         coalesce(a.attnum = l.distkey, false) AS distkey,
         coalesce(p.place * CASE WHEN l.sortkind = 'interleaved' AND p.place % 2 = 0
                                 THEN -1 ELSE 1 END, 0) AS sortkey,
         CASE WHEN l.relation IS NULL THEN 'raw' ELSE coalesce(e.encoding,
           redshift_default_encoding(redshift_base(a.atttypid),
                                     p.place IS NOT NULL OR c.relpersistence = 't'))
         END AS encoding
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_catalog.redshift_layouts l ON l.relation = a.attrelid
  LEFT JOIN pg_catalog.redshift_encodings e ON e.relation = a.attrelid AND e.attnum = a.attnum
  CROSS JOIN LATERAL (SELECT array_position(l.sortkey, a.attnum) AS place) p
  WHERE a.attnum > 0 AND NOT a.attisdropped;

CREATE FUNCTION pg_catalog.redshift_raise(code text, message text) RETURNS void
  LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION USING ERRCODE = code, MESSAGE = message; END $$;
CREATE FUNCTION pg_catalog.redshift_attnum(wanted oid, name text, place text) RETURNS int2
  LANGUAGE plpgsql STABLE AS $$
DECLARE found int2;
BEGIN
  SELECT attnum INTO found FROM pg_catalog.redshift_columns
  WHERE relation = wanted AND attname = name;
  IF found IS NULL THEN
    PERFORM pg_catalog.redshift_raise('42703',
      format('column "%s" named in %s does not exist', name, place));
  END IF;
  RETURN found;
END $$;
CREATE FUNCTION pg_catalog.redshift_attnums(wanted oid, names jsonb, place text) RETURNS int2[]
  LANGUAGE sql STABLE AS
  $$ SELECT coalesce(array_agg(redshift_attnum(wanted, name, place) ORDER BY number), '{}')
     FROM jsonb_array_elements_text(names) WITH ORDINALITY AS given (name, number) $$;

CREATE FUNCTION pg_catalog.redshift_settle(wanted oid) RETURNS void
  LANGUAGE sql SECURITY DEFINER AS $$
  UPDATE pg_catalog.redshift_tables SET encodeauto = false WHERE relation = wanted;
  INSERT INTO pg_catalog.redshift_encodings
    SELECT relation, attnum, encoding FROM pg_catalog.redshift_columns WHERE relation = wanted
    ON CONFLICT DO NOTHING;
$$;
CREATE FUNCTION pg_catalog.redshift_encode(wanted oid, name text, encoding text) RETURNS void
  LANGUAGE sql SECURITY DEFINER AS $$
  INSERT INTO pg_catalog.redshift_encodings
    SELECT wanted, redshift_attnum(wanted, name, 'ENCODE'), encoding
    ON CONFLICT (relation, attnum) DO UPDATE SET encoding = excluded.encoding;
$$;

CREATE FUNCTION pg_catalog.redshift_key_name(wanted oid, key jsonb) RETURNS name
  LANGUAGE plpgsql STABLE AS $$
DECLARE
  base text := (SELECT relname FROM pg_catalog.pg_class WHERE oid = wanted);
  found text := key->>'name';
  number int := 0;
BEGIN
  IF found IS NULL THEN
    base := CASE key->>'type' WHEN 'p' THEN base || '_pkey'
      WHEN 'u' THEN base || '_' || (key->'columns'->>0) || '_key'
      ELSE base || '_' || (key->'columns'->>0) || '_fkey' END;
    found := base;
    WHILE EXISTS (SELECT FROM pg_catalog.redshift_keys WHERE relation = wanted AND name = found)
    LOOP
      number := number + 1;
      found := base || number;
    END LOOP;
  ELSIF EXISTS (SELECT FROM pg_catalog.redshift_keys WHERE relation = wanted AND name = found) THEN
    PERFORM pg_catalog.redshift_raise('42710',
      format('constraint "%s" for relation "%s" already exists', found, base));
  END IF;
  RETURN found;
END $$;
CREATE FUNCTION pg_catalog.redshift_add_key(wanted oid, key jsonb, goal oid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE numbers int2[] := pg_catalog.redshift_attnums(wanted, key->'columns', 'key');
  targets int2[];
BEGIN
  IF key->>'type' = 'p' AND EXISTS (
    SELECT FROM pg_catalog.redshift_keys WHERE relation = wanted AND type = 'p') THEN
    PERFORM pg_catalog.redshift_raise('42P16',
      format('multiple primary keys for table "%s" are not allowed',
             (SELECT relname FROM pg_catalog.pg_class WHERE oid = wanted)));
  END IF;
  IF key->>'type' = 'f' THEN
    IF goal IS NULL THEN
      PERFORM pg_catalog.redshift_raise('42P01',
        format('relation "%s" does not exist', replace(key->>'target', '"', '')));
    END IF;
    IF jsonb_array_length(key->'target_columns') > 0 THEN
      targets := pg_catalog.redshift_attnums(goal, key->'target_columns', 'REFERENCES');
    ELSE
      SELECT columns INTO targets FROM pg_catalog.redshift_keys
      WHERE relation = goal AND type = 'p';
    END IF;
  END IF;
  INSERT INTO pg_catalog.redshift_keys (relation, name, type, columns, target, target_columns)
    SELECT wanted, pg_catalog.redshift_key_name(wanted, key), (key->>'type')::"char", numbers,
           goal, targets;
END $$;

CREATE FUNCTION pg_catalog.redshift_lay_out(made oid, said jsonb) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO pg_catalog.redshift_tables VALUES (
    made, said->>'diststyle', NULL,
    CASE WHEN said->>'distkey' IS NOT NULL
         THEN pg_catalog.redshift_attnum(made, said->>'distkey', 'DISTKEY') END,
    said->>'sortkind', pg_catalog.redshift_attnums(made, said->'sortkey', 'SORTKEY'), true);
  IF said->'encode' <> '{}' THEN
    PERFORM pg_catalog.redshift_encode(made, key, value) FROM jsonb_each_text(said->'encode');
    PERFORM pg_catalog.redshift_settle(made);
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_lay_out_like(made oid, parent oid) RETURNS void
  LANGUAGE sql SECURITY DEFINER AS $$
  INSERT INTO pg_catalog.redshift_tables
    SELECT made, l.diststyle, l.autostyle,
           (SELECT c.attnum FROM pg_catalog.pg_attribute p JOIN pg_catalog.redshift_columns c
              ON c.relation = made AND c.attname = p.attname
            WHERE p.attrelid = parent AND p.attnum = l.distkey),
           l.sortkind,
           array(SELECT c.attnum FROM unnest(l.sortkey) WITH ORDINALITY AS s (attnum, place)
                 JOIN pg_catalog.pg_attribute p ON p.attrelid = parent AND p.attnum = s.attnum
                 JOIN pg_catalog.redshift_columns c ON c.relation = made AND c.attname = p.attname
                 ORDER BY s.place),
           l.encodeauto
    FROM pg_catalog.redshift_layouts l WHERE l.relation = parent;
  INSERT INTO pg_catalog.redshift_encodings
    SELECT made, c.attnum, e.encoding
    FROM pg_catalog.redshift_encodings e
    JOIN pg_catalog.pg_attribute p ON p.attrelid = parent AND p.attnum = e.attnum
    JOIN pg_catalog.redshift_columns c ON c.relation = made AND c.attname = p.attname
    WHERE e.relation = parent;
$$;

CREATE FUNCTION pg_catalog.redshift_check_key_type(wanted oid, name text, place text)
  RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE found text := (SELECT base FROM pg_catalog.redshift_columns
                       WHERE relation = wanted AND attname = name);
BEGIN
  IF found IN ('super', 'varbyte', 'geometry', 'geography', 'hllsketch', 'interval') THEN
    PERFORM pg_catalog.redshift_raise('42P16',
      format('column "%s" of type %s cannot be a %s', name, found, place));
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_check_resize(wanted oid, name text, size int)
  RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  live record;
  longest int;
  why text;
BEGIN
  SELECT c.attnum, c.base, c.encoding, c.distkey OR c.sortkey <> 0 AS is_key, a.atthasdef INTO live
  FROM pg_catalog.redshift_columns c
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.relation AND a.attnum = c.attnum
  WHERE c.relation = wanted AND c.attname = name;
  IF live IS NULL THEN
    RETURN;
  END IF;
  why := CASE WHEN live.base <> 'varchar' THEN 'it is not VARCHAR'
    WHEN live.atthasdef THEN 'it has a default'
    WHEN live.encoding IN ('bytedict', 'runlength', 'text255', 'text32k')
      THEN 'its encoding is ' || live.encoding
    WHEN EXISTS (SELECT FROM pg_catalog.redshift_keys
                 WHERE relation = wanted AND live.attnum = ANY (columns))
      THEN 'a UNIQUE, PRIMARY KEY or FOREIGN KEY constraint is on it' END;
  IF why IS NOT NULL THEN
    PERFORM pg_catalog.redshift_raise('0A000',
      format('cannot alter the type of column "%s": %s', name, why));
  END IF;
  -- Reported live of declared keys and of those that AUTO chose: estuary/connectors#4893, #3259.
  IF live.is_key THEN
    PERFORM pg_catalog.redshift_raise('XX000', 'found unexpected dependency for column');
  END IF;
  EXECUTE format('SELECT max(octet_length(%I)) FROM %s', name, wanted::regclass) INTO longest;
  IF longest > size THEN
    PERFORM pg_catalog.redshift_raise('22001',
      format('value too long for type character varying(%s)', size));
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_check_encode(wanted oid, action jsonb) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE live pg_catalog.redshift_columns;
BEGIN
  SELECT * INTO live FROM pg_catalog.redshift_columns
  WHERE relation = wanted AND attname = action->>'column';
  IF live.attname IS NULL THEN
    RETURN;
  ELSIF action->'takes' <> 'null' AND NOT action->'takes' ? live.base THEN
    RAISE EXCEPTION USING ERRCODE = '42P16', DETAIL = format(
        '%s does not encode %s', action->>'encoding', live.base),
      MESSAGE = format('invalid encoding type specified for column "%s"', live.attname);
  ELSIF live.encoding = action->>'encoding' AND NOT (
    SELECT encodeauto FROM pg_catalog.redshift_layouts WHERE relation = wanted) THEN
    PERFORM pg_catalog.redshift_raise('0A000', format(
      'column "%s" is already encoded %s', live.attname, upper(live.encoding)));
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_check_drop(wanted oid, name text) RETURNS void
  LANGUAGE plpgsql STABLE SECURITY DEFINER AS $$
DECLARE live pg_catalog.redshift_columns;
BEGIN
  SELECT * INTO live FROM pg_catalog.redshift_columns WHERE relation = wanted AND attname = name;
  -- dg/r_ALTER_TABLE, dbt-adapters#650; keys that AUTO chose are keys (SQLMesh#1837).
  IF live.distkey THEN
    PERFORM pg_catalog.redshift_raise('0A000', format('cannot drop distkey column "%s"', name));
  ELSIF live.sortkey <> 0 THEN
    PERFORM pg_catalog.redshift_raise('0A000', format('cannot drop sortkey column "%s"', name));
  ELSIF live IS NOT NULL AND (
    SELECT count(*) FROM pg_catalog.redshift_columns WHERE relation = wanted) = 1 THEN
    PERFORM pg_catalog.redshift_raise('0A000',
      format('cannot drop the only column "%s" of a table', name));
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_check_key(wanted oid, key jsonb) RETURNS void
  LANGUAGE plpgsql STABLE AS $$
DECLARE nullable text;
BEGIN
  SELECT attname INTO nullable FROM pg_catalog.pg_attribute
  WHERE attrelid = wanted AND attname = ANY (pg_catalog.redshift_texts(key->'columns'))
    AND NOT attnotnull;
  IF key->>'type' = 'p' AND nullable IS NOT NULL THEN
    PERFORM pg_catalog.redshift_raise('42P16',
      format('column "%s" of a primary key must be NOT NULL', nullable));
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_check(wanted oid, action jsonb) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  what text := action->>'do';
  laid pg_catalog.redshift_layouts;
BEGIN
  SELECT * INTO laid FROM pg_catalog.redshift_layouts WHERE relation = wanted;
  IF laid IS NULL THEN
    RETURN;
  END IF;
  IF laid.sortkind = 'interleaved' AND what IN ('diststyle', 'encode') THEN
    PERFORM pg_catalog.redshift_raise('0A000', format(
      'cannot alter the %s of a table with an interleaved sort key',
      CASE what WHEN 'encode' THEN 'encoding' ELSE 'distribution style or key' END));
  END IF;
  IF what = 'diststyle' THEN
    IF NOT action ? 'bare' AND EXISTS (
      SELECT FROM pg_catalog.pg_class WHERE oid = wanted AND relpersistence = 't') THEN
      PERFORM pg_catalog.redshift_raise('0A000',
        'ALTER DISTSTYLE is not supported on temporary tables');
    END IF;
    PERFORM pg_catalog.redshift_check_key_type(wanted, action->>'column', 'DISTKEY');
  ELSIF what = 'sortkey' THEN
    PERFORM pg_catalog.redshift_check_key_type(wanted, name, 'SORTKEY')
    FROM jsonb_array_elements_text(action->'columns') AS name;
  ELSIF what = 'encode' THEN
    PERFORM pg_catalog.redshift_check_encode(wanted, action);
  ELSIF what = 'drop' THEN
    PERFORM pg_catalog.redshift_check_drop(wanted, action->>'column');
  ELSIF what = 'resize' THEN
    PERFORM pg_catalog.redshift_check_resize(wanted, action->>'column', (action->>'size')::int);
  ELSIF what = 'add key' THEN
    PERFORM pg_catalog.redshift_check_key(wanted, action->'key');
  ELSIF what = 'drop key' AND NOT EXISTS (
    SELECT FROM pg_catalog.redshift_keys WHERE relation = wanted AND name = action->>'name') THEN
    PERFORM pg_catalog.redshift_raise('42704', format(
      'constraint "%s" of relation "%s" does not exist', action->>'name',
      (SELECT relname FROM pg_catalog.pg_class WHERE oid = wanted)));
  END IF;
END $$;

CREATE FUNCTION pg_catalog.redshift_distribute(wanted oid, action jsonb) RETURNS void
  LANGUAGE sql SECURITY DEFINER AS $$
  UPDATE pg_catalog.redshift_tables SET
    autostyle = CASE WHEN action->>'style' <> 'auto' THEN NULL
                     WHEN diststyle = 'auto' THEN autostyle ELSE diststyle END,
    distkey = CASE action->>'style' WHEN 'auto' THEN distkey
      WHEN 'key' THEN redshift_attnum(wanted, action->>'column', 'DISTKEY') END,
    diststyle = action->>'style'
  WHERE relation = wanted
$$;
CREATE FUNCTION pg_catalog.redshift_forget_column(wanted oid) RETURNS void
  LANGUAGE sql SECURITY DEFINER AS $$
  DELETE FROM pg_catalog.redshift_keys k WHERE relation = wanted AND EXISTS (
    SELECT FROM pg_catalog.pg_attribute
    WHERE attrelid = wanted AND attnum = ANY (k.columns) AND attisdropped);
  UPDATE pg_catalog.redshift_tables t SET
    autostyle = CASE WHEN t.distkey IN (
        SELECT attnum FROM pg_catalog.redshift_columns WHERE relation = wanted)
      THEN t.autostyle ELSE nullif(t.autostyle, 'key') END,
    distkey = (SELECT attnum FROM pg_catalog.redshift_columns
               WHERE relation = wanted AND attnum = t.distkey),
    sortkey = array(SELECT attnum FROM unnest(t.sortkey) WITH ORDINALITY AS s (attnum, place)
                    JOIN pg_catalog.redshift_columns c USING (attnum)
                    WHERE c.relation = wanted ORDER BY place)
  WHERE relation = wanted;
$$;
CREATE FUNCTION pg_catalog.redshift_alter(wanted oid, action jsonb, goal oid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE what text := action->>'do';
BEGIN
  INSERT INTO pg_catalog.redshift_tables
    SELECT * FROM pg_catalog.redshift_layouts WHERE relation = wanted ON CONFLICT DO NOTHING;
  IF what = 'diststyle' THEN
    PERFORM pg_catalog.redshift_distribute(wanted, action);
  ELSIF what = 'sortkey' THEN
    UPDATE pg_catalog.redshift_tables SET sortkind = action->>'kind',
      sortkey = CASE WHEN action->>'kind' = 'auto' THEN sortkey ELSE
        pg_catalog.redshift_attnums(wanted, action->'columns', 'SORTKEY') END
    WHERE relation = wanted;
  ELSIF what = 'encode' OR (what = 'add' AND action ? 'encoding') THEN
    PERFORM pg_catalog.redshift_encode(wanted, action->>'column', action->>'encoding');
    PERFORM pg_catalog.redshift_settle(wanted);
  ELSIF what = 'encode auto' THEN
    UPDATE pg_catalog.redshift_tables SET encodeauto = true WHERE relation = wanted;
  ELSIF what = 'add' AND NOT (
    SELECT encodeauto FROM pg_catalog.redshift_tables WHERE relation = wanted) THEN
    PERFORM pg_catalog.redshift_settle(wanted);
  ELSIF what = 'drop' THEN
    PERFORM pg_catalog.redshift_forget_column(wanted);
  ELSIF what = 'add key' THEN
    PERFORM pg_catalog.redshift_add_key(wanted, action->'key', goal);
  ELSIF what = 'drop key' THEN
    DELETE FROM pg_catalog.redshift_keys WHERE relation = wanted AND name = action->>'name';
  END IF;
END $$;

CREATE FUNCTION pg_catalog.redshift_manage(wanted oid, style text, dist text, sort text[])
  RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO pg_catalog.redshift_tables
    SELECT * FROM pg_catalog.redshift_layouts WHERE relation = wanted ON CONFLICT DO NOTHING;
  UPDATE pg_catalog.redshift_tables SET
    autostyle = style, distkey = pg_catalog.redshift_attnum(wanted, dist, 'DISTKEY')
  WHERE relation = wanted AND diststyle = 'auto' AND dist IS NOT NULL;
  UPDATE pg_catalog.redshift_tables SET autostyle = style, distkey = NULL
  WHERE relation = wanted AND diststyle = 'auto' AND dist IS NULL;
  UPDATE pg_catalog.redshift_tables SET
    sortkey = pg_catalog.redshift_attnums(wanted, to_jsonb(sort), 'SORTKEY')
  WHERE relation = wanted AND sortkind = 'auto';
END $$;

CREATE FUNCTION pg_catalog.redshift_check_place(made oid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.redshift_external_schemas e
             JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
             JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid WHERE c.oid = made) THEN
    PERFORM pg_catalog.redshift_raise('0A000',
      'Operations on local objects in external schema are not enabled.');
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_grant(wanted oid, given jsonb) RETURNS void
  LANGUAGE sql SECURITY DEFINER AS $$
  INSERT INTO pg_catalog.redshift_grantees
    SELECT wanted, r.oid, g->>0
    FROM jsonb_array_elements(given) AS g JOIN pg_catalog.pg_roles r ON r.rolname = g->>1
    ON CONFLICT DO NOTHING
$$;
CREATE FUNCTION pg_catalog.redshift_bind_late(made oid, definition text) RETURNS void
  LANGUAGE sql SECURITY DEFINER SET allow_system_table_mods = on AS $$
  UPDATE pg_catalog.pg_attribute SET atttypmod = -1 WHERE attrelid = made AND attnum > 0;
  INSERT INTO pg_catalog.redshift_late_views VALUES (made, definition)
    ON CONFLICT (relation) DO UPDATE SET definition = excluded.definition
$$;
CREATE FUNCTION pg_catalog.redshift_late(query text) RETURNS SETOF record
  LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY EXECUTE query; END $$;
CREATE FUNCTION pg_catalog.redshift_is_late(wanted oid) RETURNS bool
  LANGUAGE sql STABLE SECURITY DEFINER AS
  $$ SELECT EXISTS (SELECT FROM pg_catalog.redshift_late_views v
                    JOIN pg_catalog.pg_class c ON c.oid = v.relation WHERE c.oid = wanted) $$;
CREATE FUNCTION pg_catalog.redshift_loosen(made oid, said jsonb) RETURNS void
  LANGUAGE plpgsql AS $$
DECLARE
  names text;
  typed text;
  casts text;
BEGIN
  SELECT string_agg(format('%I', attname), ', ' ORDER BY attnum),
         string_agg(format('%I %s', attname, kind), ', ' ORDER BY attnum),
         string_agg(format('CAST(%I AS %s)', attname, kind), ', ' ORDER BY attnum)
    INTO names, typed, casts
  FROM (SELECT attname, attnum, format_type(atttypid, NULL) AS kind
        FROM pg_catalog.pg_attribute WHERE attrelid = made AND attnum > 0) AS live;
  PERFORM pg_catalog.redshift_bind_late(made, said->>'late');
  PERFORM set_config('redshift.inside', 'on', true);
  EXECUTE format('CREATE OR REPLACE VIEW %s AS SELECT * FROM pg_catalog.redshift_late(%L) f (%s)',
    made::regclass, format('SELECT %s FROM (%s) AS q (%s)', casts, said->>'late', names), typed);
  PERFORM set_config('redshift.inside', '', true);
END $$;

CREATE FUNCTION pg_catalog.redshift_make_way(wanted oid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  IF pg_catalog.redshift_is_late(wanted) THEN
    PERFORM set_config('redshift.inside', 'on', true);
    EXECUTE format('DROP VIEW %s', wanted::regclass);
    PERFORM set_config('redshift.inside', '', true);
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_before() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  said jsonb := pg_catalog.redshift_note();
  wanted oid;
BEGIN
  IF coalesce(current_setting('redshift.inside', true), '') <> '' THEN
    RETURN;
  ELSIF said ? 'late' THEN
    PERFORM pg_catalog.redshift_make_way(to_regclass(said->>'replaces'));
  ELSIF said ? 'drops' THEN
    PERFORM pg_catalog.redshift_check_drops(said);
  ELSIF said ? 'table' THEN
    wanted := to_regclass(said->>'table');
    PERFORM set_config('redshift.relation', coalesce(wanted::text, ''), true);
    IF wanted IS NOT NULL THEN
      PERFORM pg_catalog.redshift_check(wanted, action)
      FROM jsonb_array_elements(said->'actions') AS action;
    END IF;
  END IF;
END $$;
CREATE FUNCTION pg_catalog.redshift_made(made oid, said jsonb) RETURNS void
  LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_catalog.redshift_check_place(made);
  IF said ? 'late' THEN
    PERFORM pg_catalog.redshift_loosen(made, said);
  ELSIF said->>'like' IS NOT NULL THEN
    PERFORM pg_catalog.redshift_lay_out_like(
      made, nullif(current_setting('redshift.relation', true), '')::oid);
  ELSIF said ? 'diststyle' THEN
    PERFORM pg_catalog.redshift_lay_out(made, said);
  END IF;
  PERFORM pg_catalog.redshift_add_key(made, key, to_regclass(key->>'target'))
  FROM jsonb_array_elements(said->'keys') AS key;
END $$;
CREATE FUNCTION pg_catalog.redshift_after() RETURNS event_trigger LANGUAGE plpgsql AS $$
DECLARE
  said jsonb := pg_catalog.redshift_note();
BEGIN
  IF coalesce(current_setting('redshift.inside', true), '') <> '' THEN
    RETURN;
  END IF;
  IF tg_tag IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'CREATE VIEW') THEN
    PERFORM pg_catalog.redshift_made(objid, said)
    FROM pg_event_trigger_ddl_commands() WHERE command_tag = tg_tag;
  ELSIF said ? 'actions' THEN
    PERFORM pg_catalog.redshift_alter(current_setting('redshift.relation')::oid, action,
                                      to_regclass(action->'key'->>'target'))
    FROM jsonb_array_elements(said->'actions') AS action;
  ELSIF said ? 'grantees' THEN
    PERFORM pg_catalog.redshift_grant(to_regclass(name), said->'grantees')
    FROM jsonb_array_elements_text(said->'tables') AS name;
    PERFORM pg_catalog.redshift_grant(c.oid, said->'grantees')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'v') AND said->'schemas' ? n.nspname;
  END IF;
END $$;
CREATE EVENT TRIGGER redshift_before ON ddl_command_start
  EXECUTE FUNCTION pg_catalog.redshift_before();
CREATE EVENT TRIGGER redshift_after ON ddl_command_end
  EXECUTE FUNCTION pg_catalog.redshift_after();
