-- Functions and system views that PostgreSQL lacks.

CREATE DOMAIN pg_catalog.super AS jsonb;

CREATE FUNCTION pg_catalog.redshift_refuse() RETURNS void LANGUAGE plpgsql AS
  $$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'XX000'; END $$;
CREATE FUNCTION pg_catalog.redshift_type(type oid, modifier int4) RETURNS text
  LANGUAGE sql STABLE AS $$ SELECT replace(pg_catalog.format_type(type, modifier), '"', '') $$;
-- VARCHAR(n) is n bytes (r_Character_types): INSERT and UPDATE refuse more, but for blanks at the
-- end, and CAST cuts. A cast to its own type is what gives a type its length.
CREATE FUNCTION pg_catalog.redshift_sized(value varchar, modifier int4, explicit bool)
  RETURNS varchar LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
  size int4 := modifier - 4;
  cut varchar;
BEGIN
  IF size < 0 OR octet_length(value) <= size THEN
    RETURN value;
  END IF;
  cut := left(value, size);
  WHILE octet_length(cut) > size LOOP
    cut := left(cut, -1);
  END LOOP;
  IF NOT explicit AND rtrim(substr(value, length(cut) + 1), ' ') <> '' THEN
    RAISE EXCEPTION USING ERRCODE = '22001',
      MESSAGE = 'value too long for type character varying(' || size || ')';
  END IF;
  RETURN cut;
END $$;
UPDATE pg_catalog.pg_cast SET castfunc = 'pg_catalog.redshift_sized'::regproc
  WHERE castsource = 'varchar'::regtype AND casttarget = 'varchar'::regtype;
CREATE FUNCTION pg_catalog.redshift_setting(name text, fallback int8) RETURNS int8
  LANGUAGE sql STABLE AS
  $$ SELECT coalesce(nullif(current_setting('redshift.' || name, true), ''),
                     fallback::text)::int8 $$;
-- dg/PG_LAST_COPY_COUNT
CREATE FUNCTION pg_catalog.pg_last_copy_count() RETURNS int8 LANGUAGE sql STABLE AS
  $$ SELECT redshift_setting('last_copy_count', 0) $$;
CREATE FUNCTION pg_catalog.pg_last_copy_id() RETURNS int8 LANGUAGE sql STABLE AS
  $$ SELECT redshift_setting('last_copy_id', -1) $$;
CREATE FUNCTION pg_catalog.pg_last_unload_count() RETURNS int8 LANGUAGE sql STABLE AS
  $$ SELECT redshift_setting('last_unload_count', 0) $$;
-- dg/r_GETDATE; SYSDATE is the same here
CREATE FUNCTION pg_catalog.getdate() RETURNS timestamp LANGUAGE sql STABLE AS
  $$ SELECT date_trunc('second', statement_timestamp())::timestamp $$;
CREATE FUNCTION pg_catalog.redshift_datediff(part text, a timestamp, b timestamp) RETURNS int8
  LANGUAGE sql IMMUTABLE RETURN (extract(epoch FROM b - a) * 1000000)::int8;
CREATE FUNCTION pg_catalog.redshift_datediff(part text, a time, b time) RETURNS int8
  LANGUAGE sql IMMUTABLE RETURN (extract(epoch FROM b - a) * 1000000)::int8;
-- dg/r_DATEADD_function
CREATE FUNCTION pg_catalog.redshift_dateadd(part text, number int8, value timestamp)
  RETURNS timestamp LANGUAGE sql IMMUTABLE RETURN value + number * INTERVAL '1 microsecond';
CREATE FUNCTION pg_catalog.redshift_dateadd(part text, number int8, value timestamptz)
  RETURNS timestamptz LANGUAGE sql STABLE RETURN value + number * INTERVAL '1 microsecond';
CREATE FUNCTION pg_catalog.strtol(digits text, base int4) RETURNS int8 LANGUAGE sql IMMUTABLE
  RETURN CASE base WHEN 16 THEN ('x' || lpad(digits, 16, '0'))::bit(64)::int8
                   WHEN 10 THEN digits::int8 END;
-- dg/JSON_PARSE
CREATE FUNCTION pg_catalog.json_parse(value text) RETURNS pg_catalog.super
  LANGUAGE sql IMMUTABLE AS $$ SELECT value::jsonb $$;
CREATE FUNCTION pg_catalog.json_serialize(value pg_catalog.super) RETURNS varchar
  LANGUAGE sql IMMUTABLE  -- a RETURN is parsed here and now: sessions read backslashes otherwise
  RETURN regexp_replace(value::text, '("(?:[^"\\]|\\.)*")|\s+', '\1', 'g');
CREATE FUNCTION pg_catalog.json_serialize_to_varbyte(value pg_catalog.super) RETURNS bytea
  LANGUAGE sql IMMUTABLE RETURN convert_to(pg_catalog.json_serialize(value), 'UTF8');
CREATE FUNCTION pg_catalog.to_hex(value bytea) RETURNS text
  LANGUAGE sql IMMUTABLE AS $$ SELECT encode(value, 'hex') $$;
CREATE FUNCTION pg_catalog.from_hex(value text) RETURNS bytea
  LANGUAGE sql IMMUTABLE AS $$ SELECT decode(value, 'hex') $$;
CREATE FUNCTION pg_catalog.to_varbyte(value text, format text) RETURNS bytea
  LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE lower(format) WHEN 'hex' THEN decode(value, 'hex')
                               WHEN 'base64' THEN decode(value, 'base64')
                               ELSE convert_to(value, 'UTF8') END $$;

CREATE TABLE pg_catalog.redshift_load_errors (
  user_id int4, query_id int8, transaction_id int8, session_id int4, database_name char(64),
  table_id int4, start_time timestamp, file_name char(256), line_number int8,
  column_name char(127), column_type char(10), column_length char(10), position int4,
  error_code int4, error_message char(512), raw_line char(1024), raw_field_value char(1024),
  err_reason char(100));
CREATE TABLE pg_catalog.redshift_spectrum_errors (
  user_id int4, pid int4, query int8, eventtime timestamp, message char(512));
CREATE TABLE pg_catalog.redshift_sessions (
  user_id int4, session_id int4, database_name char(64), user_name char(32),
  start_time timestamp, end_time timestamp);

CREATE FUNCTION pg_catalog.redshift_sees(owner int4) RETURNS bool LANGUAGE sql STABLE AS
  $$ SELECT rolsuper OR oid = owner::oid FROM pg_catalog.pg_roles
     WHERE rolname = current_user $$;

-- dg/SYS_LOAD_ERROR_DETAIL, and what is absent on Serverless
CREATE VIEW pg_catalog.sys_load_error_detail AS
  SELECT user_id, query_id, transaction_id, session_id, database_name, table_id, start_time,
         file_name, line_number, column_name, column_type, column_length, position, error_code,
         error_message
  FROM pg_catalog.redshift_load_errors WHERE pg_catalog.redshift_sees(user_id);
CREATE VIEW pg_catalog.stl_load_errors AS
  SELECT user_id AS userid, 0 AS slice, table_id AS tbl, start_time AS starttime,
         session_id AS session, query_id::int4 AS query, file_name AS filename, line_number,
         column_name AS colname, column_type AS type, column_length AS col_length, position,
         raw_line, raw_field_value, error_code AS err_code, err_reason, 0 AS is_partial,
         0::int8 AS start_offset, 0::int8 AS copy_job_id
  FROM pg_catalog.redshift_load_errors WHERE pg_catalog.redshift_sees(user_id);
CREATE VIEW pg_catalog.svl_s3log AS
  SELECT pid, query, 0 AS segment, 0 AS step, 0 AS node, 0 AS slice, eventtime, message
  FROM pg_catalog.redshift_spectrum_errors WHERE pg_catalog.redshift_sees(user_id);

CREATE VIEW pg_catalog.stv_sessions AS
  SELECT backend_start::timestamp AS starttime, pid AS process, usename::char(50) AS user_name,
         datname::char(50) AS db_name, 0 AS timeout_sec
  FROM pg_catalog.pg_stat_activity
  WHERE backend_type = 'client backend' AND pg_catalog.redshift_sees(usesysid::int4);
CREATE VIEW pg_catalog.sys_session_history AS
  SELECT usesysid::int4 AS user_id, pid AS session_id, datname::char(64) AS database_name,
         'active'::char(10) AS status, 0::int4 AS session_timeout,
         backend_start::timestamp AS start_time, NULL::timestamp AS end_time
  FROM pg_catalog.pg_stat_activity
  WHERE backend_type = 'client backend' AND pg_catalog.redshift_sees(usesysid::int4)
  UNION ALL
  SELECT user_id, session_id, database_name, 'closed', 0, start_time, end_time
  FROM pg_catalog.redshift_sessions
  WHERE pg_catalog.redshift_sees(user_id)
    AND session_id NOT IN (SELECT pid FROM pg_catalog.pg_stat_activity);

-- The isolation level of the database (dg/r_STV_DB_ISOLATION_LEVEL).
CREATE TABLE pg_catalog.redshift_isolation (level text);
INSERT INTO pg_catalog.redshift_isolation VALUES ('snapshot');
CREATE VIEW pg_catalog.stv_db_isolation_level AS
  SELECT oid::int4 AS db_id, datname::char(128) AS db_name,
         CASE level WHEN 'snapshot' THEN 'Snapshot Isolation' ELSE 'Serializable' END::char(20)
           AS isolation_level
  FROM pg_catalog.pg_database, pg_catalog.redshift_isolation WHERE NOT datistemplate;
CREATE VIEW pg_catalog.pg_database_info AS
  SELECT oid AS datid, datname, datdba, datallowconn,
    ARRAY['concurrency_model=' || CASE level WHEN 'snapshot' THEN 1 ELSE 2 END] AS datconfig
  FROM pg_catalog.pg_database, pg_catalog.redshift_isolation WHERE NOT datistemplate;

GRANT SELECT ON pg_catalog.sys_load_error_detail, pg_catalog.stl_load_errors,
  pg_catalog.svl_s3log, pg_catalog.stv_sessions, pg_catalog.sys_session_history,
  pg_catalog.stv_db_isolation_level, pg_catalog.pg_database_info TO PUBLIC;
GRANT CREATE ON SCHEMA public TO PUBLIC;
