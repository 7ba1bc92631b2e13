-- The catalog as Redshift shows it: tables and columns with their layout, keys and privileges.

-- Databases that were made of datashares: schemas of theirs are called after both.
CREATE TABLE pg_catalog.redshift_shares (name name PRIMARY KEY);
CREATE VIEW pg_catalog.redshift_places AS
  SELECT n.oid, coalesce(s.name, current_database())::varchar(128) AS database_name,
         CASE WHEN s.name IS NULL THEN n.nspname
              ELSE substr(n.nspname, length(s.name) + 2) END::varchar(128) AS schema_name,
         s.name IS NOT NULL AS shared
  FROM pg_catalog.pg_namespace n
  LEFT JOIN pg_catalog.redshift_shares s ON starts_with(n.nspname::text, s.name || '/');

-- dg/r_SVV_REDSHIFT_COLUMNS
CREATE VIEW pg_catalog.svv_redshift_columns AS
  SELECT p.database_name, p.schema_name,
         c.relname::varchar(128) AS table_name, a.attname::varchar(128) AS column_name,
         (row_number() OVER (PARTITION BY c.oid ORDER BY a.attnum))::int4 AS ordinal_position,
         redshift_type(a.atttypid, a.atttypmod)::varchar(32) AS data_type,
         -- The guide's own sample shows the size of a NUMERIC without a default here
         -- (dg/r_SVV_REDSHIFT_COLUMNS).
         CASE WHEN a.attidentity = '' AND d.adbin IS NULL AND a.atttypid = 'numeric'::regtype
              THEN substring(format_type(a.atttypid, a.atttypmod) FROM '\(.*\)')
              WHEN a.attidentity = '' THEN pg_get_expr(d.adbin, d.adrelid)
              ELSE CASE a.attidentity WHEN 'a' THEN '"identity"(' ELSE 'default_identity(' END
                || c.oid || ', ' || a.attnum - 1 || ', ''' || (
                  SELECT seqstart || ',' || seqincrement FROM pg_catalog.pg_sequence
                  WHERE seqrelid =
                    pg_get_serial_sequence(c.oid::regclass::text, a.attname)::regclass
                ) || '''::text)'
         END::varchar(4000) AS column_default,
         CASE WHEN a.attnotnull THEN 'NO' ELSE 'YES' END::varchar(3) AS is_nullable,
         replace(l.encoding, 'raw', 'none')::varchar(128) AS encoding, l.distkey, l.sortkey,
         NULL::varchar(128) AS column_acl,
         col_description(c.oid, a.attnum)::varchar(256) AS remarks
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.redshift_columns l ON l.relation = a.attrelid AND l.attnum = a.attnum
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.redshift_places p ON p.oid = n.oid
  LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relkind IN ('r', 'v', 'm')
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
    AND has_schema_privilege(n.oid, 'USAGE')
    AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, REFERENCES');
-- dg/r_SVV_ALL_COLUMNS, dg/r_SVV_ALL_TABLES, dg/r_SVV_ALL_SCHEMAS: those of datashares too
CREATE VIEW pg_catalog.svv_all_columns AS
  SELECT database_name, schema_name, table_name, column_name, ordinal_position, column_default,
         is_nullable, regexp_replace(data_type, '\(.*\)', '')::varchar(128) AS data_type,
         CASE WHEN data_type LIKE 'char%' THEN substring(data_type FROM '\((\d+)\)') END::int4
           AS character_maximum_length,
         CASE data_type WHEN 'smallint' THEN 16 WHEN 'integer' THEN 32 WHEN 'bigint' THEN 64
              ELSE substring(data_type FROM 'numeric\((\d+),')::int4 END AS numeric_precision,
         CASE WHEN data_type IN ('smallint', 'integer', 'bigint') THEN 0
              ELSE substring(data_type FROM 'numeric\(\d+,(\d+)\)')::int4 END AS numeric_scale,
         remarks
  FROM pg_catalog.svv_redshift_columns;
CREATE VIEW pg_catalog.svv_all_tables AS
  SELECT p.database_name, p.schema_name, c.relname::varchar(128) AS table_name,
         CASE WHEN c.relkind = 'r' THEN 'TABLE' ELSE 'VIEW' END::varchar(128) AS table_type,
         NULL::varchar(128) AS table_acl,
         obj_description(c.oid, 'pg_class')::varchar(128) AS remarks
  FROM pg_catalog.pg_class c JOIN pg_catalog.redshift_places p ON p.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v', 'm')
    AND p.schema_name NOT IN ('pg_catalog', 'information_schema', 'pg_toast');
CREATE VIEW pg_catalog.svv_all_schemas AS
  SELECT database_name, schema_name, 100::int4 AS schema_owner,
         CASE WHEN shared THEN 'shared' ELSE 'local' END::varchar(128) AS schema_type,
         NULL::varchar(128) AS schema_acl,
         NULL::varchar(128) AS source_database, NULL::varchar(128) AS schema_option
  FROM pg_catalog.redshift_places
  WHERE has_schema_privilege(oid, 'USAGE');
-- dg/r_PG_TABLE_DEF
CREATE VIEW pg_catalog.pg_table_def AS
  SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname AS "column",
         redshift_type(a.atttypid, a.atttypmod) AS type,
         replace(l.encoding, 'raw', 'none')::char(32) AS encoding, l.distkey, l.sortkey,
         a.attnotnull AS "notnull"
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.redshift_columns l ON l.relation = a.attrelid AND l.attnum = a.attnum
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'v')
    AND n.nspname = ANY (current_schemas(false)) AND n.nspname <> 'pg_catalog';

CREATE FUNCTION pg_catalog.redshift_style(style text, column_name name) RETURNS text
  LANGUAGE sql IMMUTABLE AS
  $$ SELECT upper(style) || CASE WHEN style = 'key' THEN '(' || column_name || ')' ELSE '' END $$;
CREATE VIEW pg_catalog.redshift_shown AS
  SELECT l.relation,
         CASE l.diststyle WHEN 'auto' THEN 'AUTO(' || redshift_style(l.autostyle, d.attname) || ')'
                          ELSE redshift_style(l.diststyle, d.attname) END AS diststyle,
         CASE WHEN l.sortkind = 'auto'
              THEN 'AUTO(SORTKEY' || coalesce('(' || s.names || ')', '') || ')'
              WHEN l.sortkind = 'interleaved' THEN 'INTERLEAVED' ELSE s.first END AS sortkey1,
         cardinality(l.sortkey) AS sortkey_num,
         CASE WHEN EXISTS (SELECT FROM pg_catalog.redshift_columns c
                           WHERE c.relation = l.relation AND c.encoding <> 'raw')
              THEN 'Y' ELSE 'N' END
           || CASE WHEN l.encodeauto THEN ', AUTO(ENCODE)' ELSE '' END AS encoded,
         CASE l.diststyle WHEN 'even' THEN 0 WHEN 'key' THEN 1 WHEN 'all' THEN 8 ELSE 9
         END AS reldiststyle,
         CASE l.diststyle WHEN 'even' THEN 0 WHEN 'key' THEN 1 WHEN 'all' THEN 8 ELSE
           CASE l.autostyle WHEN 'all' THEN 10 WHEN 'even' THEN 11 ELSE 12 END
         END AS releffectivediststyle
  FROM pg_catalog.redshift_layouts l
  LEFT JOIN pg_catalog.redshift_columns d ON d.relation = l.relation AND d.attnum = l.distkey
  CROSS JOIN LATERAL (
    SELECT string_agg(attname, ', ' ORDER BY abs(sortkey)) AS names,
           max(attname) FILTER (WHERE sortkey = 1) AS first
    FROM pg_catalog.redshift_columns c WHERE c.relation = l.relation AND sortkey <> 0) s;

CREATE FUNCTION pg_catalog.redshift_rows(relation oid) RETURNS int8 LANGUAGE plpgsql AS
  $$ DECLARE found int8;
     BEGIN EXECUTE 'SELECT count(*) FROM ' || relation::regclass INTO found; RETURN found; END $$;
CREATE VIEW pg_catalog.svv_table_info AS
  SELECT * FROM (
    SELECT current_database()::text AS database, n.nspname::text AS schema, c.oid AS table_id,
           c.relname::text AS "table", s.encoded, s.diststyle, s.sortkey1::text AS sortkey1,
           s.sortkey_num, 0.0::numeric(5,2) AS stats_off,
           redshift_rows(c.oid)::numeric(38,0) AS tbl_rows
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.redshift_shown s ON s.relation = c.oid
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')) found
  WHERE tbl_rows > 0;
CREATE VIEW pg_catalog.pg_class_info AS
  SELECT c.oid AS reloid, c.relname, c.relnamespace, c.reltype, c.relowner, c.relam,
         c.relfilenode, c.reltablespace, c.relpages, c.reltuples, c.reltoastrelid, c.relhasindex,
         c.relisshared, c.relkind, c.relnatts, c.relchecks, c.relhasrules, c.relacl,
         coalesce(s.reldiststyle, 0) AS reldiststyle,
         coalesce(s.releffectivediststyle, 0) AS releffectivediststyle,
         NULL::timestamp AS relcreationtime
  FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.redshift_shown s ON s.relation = c.oid;

CREATE VIEW pg_catalog.redshift_constraints AS
  SELECT k.number::oid AS oid, k.name AS conname, c.relnamespace AS connamespace,
         k.type AS contype, false AS condeferrable, false AS condeferred, true AS convalidated,
         k.relation AS conrelid, 0::oid AS contypid, 0::oid AS conindid,
         coalesce(k.target, 0::oid) AS confrelid, ' '::"char" AS confupdtype,
         ' '::"char" AS confdeltype, ' '::"char" AS confmatchtype, k.columns AS conkey,
         k.target_columns AS confkey, NULL::text AS conbin, NULL::text AS consrc
  FROM pg_catalog.redshift_keys k JOIN pg_catalog.pg_class c ON c.oid = k.relation;

CREATE VIEW pg_catalog.redshift_visible_constraints AS
  SELECT k.*, n.nspname, c.relname
  FROM pg_catalog.redshift_constraints k
  JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE pg_has_role(c.relowner, 'USAGE')
    OR has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER');
CREATE OR REPLACE VIEW information_schema.table_constraints AS
  SELECT current_database()::information_schema.sql_identifier AS constraint_catalog,
         nspname::information_schema.sql_identifier AS constraint_schema,
         conname::information_schema.sql_identifier AS constraint_name,
         current_database()::information_schema.sql_identifier AS table_catalog,
         nspname::information_schema.sql_identifier AS table_schema,
         relname::information_schema.sql_identifier AS table_name,
         CASE contype WHEN 'p' THEN 'PRIMARY KEY' WHEN 'u' THEN 'UNIQUE' ELSE 'FOREIGN KEY'
         END::information_schema.character_data AS constraint_type,
         'NO'::information_schema.yes_or_no AS is_deferrable,
         'NO'::information_schema.yes_or_no AS initially_deferred,
         'NO'::information_schema.yes_or_no AS enforced,
         NULL::information_schema.yes_or_no AS nulls_distinct
  FROM pg_catalog.redshift_visible_constraints;
CREATE OR REPLACE VIEW information_schema.key_column_usage AS
  SELECT current_database()::information_schema.sql_identifier AS constraint_catalog,
         nspname::information_schema.sql_identifier AS constraint_schema,
         conname::information_schema.sql_identifier AS constraint_name,
         current_database()::information_schema.sql_identifier AS table_catalog,
         nspname::information_schema.sql_identifier AS table_schema,
         relname::information_schema.sql_identifier AS table_name,
         a.attname::information_schema.sql_identifier AS column_name,
         place::int4::information_schema.cardinal_number AS ordinal_position,
         CASE WHEN contype = 'f' THEN place END::int4::information_schema.cardinal_number
           AS position_in_unique_constraint
  FROM pg_catalog.redshift_visible_constraints
  CROSS JOIN LATERAL unnest(conkey) WITH ORDINALITY AS u (attnum, place)
  JOIN pg_catalog.pg_attribute a ON a.attrelid = conrelid AND a.attnum = u.attnum;

CREATE FUNCTION pg_catalog.redshift_kinds(wanted oid, owner oid, who oid) RETURNS SETOF text
  LANGUAGE sql STABLE SECURITY DEFINER AS $$
  SELECT 'public' WHERE who = 0
  UNION SELECT kind FROM pg_catalog.redshift_grantees WHERE relation = wanted AND grantee = who
  UNION SELECT CASE WHEN rolcanlogin THEN 'user' WHEN rolconnlimit = 0 THEN 'group'
                    ELSE 'role' END
    FROM pg_catalog.pg_roles
    WHERE oid = who AND (who = owner OR NOT EXISTS (
      SELECT FROM pg_catalog.redshift_grantees WHERE relation = wanted AND grantee = who))
$$;
-- dg/r_SVV_RELATION_PRIVILEGES
CREATE VIEW pg_catalog.svv_relation_privileges AS
  SELECT n.nspname::varchar(128) AS namespace_name, c.relname::varchar(128) AS relation_name,
         a.privilege_type::varchar(128) AS privilege_type, a.grantee::int8::int4 AS identity_id,
         coalesce(r.rolname, 'public')::varchar(128) AS identity_name,
         k.kind::varchar(16) AS identity_type, a.is_grantable AS admin_option
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) a
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = a.grantee
  CROSS JOIN LATERAL redshift_kinds(c.oid, c.relowner, a.grantee) AS k (kind)
  WHERE c.relkind IN ('r', 'v', 'm') AND a.privilege_type <> 'MAINTAIN'
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast');

CREATE VIEW pg_catalog.svv_external_schemas AS
  SELECT n.oid AS esoid, 1::int2 AS eskind, n.nspname AS schemaname,
         n.nspowner::int8::int4 AS esowner, n.nspname::text AS databasename,
         '{"IAM_ROLE":"default"}'::text AS esoptions
  FROM pg_catalog.redshift_external_schemas e
  JOIN pg_catalog.pg_namespace n ON n.nspname = e.schema
  WHERE has_schema_privilege(n.oid, 'USAGE');
CREATE VIEW pg_catalog.svv_external_tables AS
  SELECT current_database()::text AS redshift_database_name, s.schemaname::text AS schemaname,
         t.name AS tablename, 'EXTERNAL TABLE'::text AS tabletype, t.location,
         'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'::text AS input_format,
         'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'::text AS output_format,
         'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'::text AS serialization_lib,
         '{}'::text AS serde_parameters, 0 AS compressed, '{}'::text AS parameters
  FROM pg_catalog.redshift_external_tables t
  JOIN pg_catalog.svv_external_schemas s ON s.schemaname = t.schema;
CREATE VIEW pg_catalog.svv_external_columns AS
  SELECT t.redshift_database_name, t.schemaname, t.tablename,
         split_part(given, ' ', 1) AS columnname,
         substr(given, strpos(given, ' ') + 1) AS external_type, number::int4 AS columnnum,
         0 AS part_key, 'true'::text AS is_nullable
  FROM pg_catalog.svv_external_tables t
  JOIN pg_catalog.redshift_external_tables e ON e.schema = t.schemaname AND e.name = t.tablename
  CROSS JOIN LATERAL unnest(e.columns) WITH ORDINALITY AS c (given, number);

-- A cast that fails a client (dg/r_Boolean_type), and already when it is planned: calls of constants are inlined.
CREATE FUNCTION pg_catalog.redshift_said(value text) RETURNS text
  LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
  IF coalesce(current_setting('redshift.client', true), '') = 'on' THEN
    RAISE EXCEPTION USING ERRCODE = '42846',
      MESSAGE = 'cannot cast type boolean to character varying';
  END IF;
  RETURN value;
END $$;
CREATE FUNCTION pg_catalog.redshift_bool_text(value bool) RETURNS text LANGUAGE sql IMMUTABLE AS
  $$ SELECT CASE WHEN value THEN redshift_said('true')
                 WHEN NOT value THEN redshift_said('false') END $$;
UPDATE pg_catalog.pg_cast SET castfunc = 'pg_catalog.redshift_bool_text'::regproc
  WHERE castsource = 'bool'::regtype AND casttarget IN ('text'::regtype, 'varchar'::regtype,
                                                        'bpchar'::regtype);

GRANT SELECT ON pg_catalog.svv_redshift_columns, pg_catalog.pg_table_def,
  pg_catalog.pg_class_info, pg_catalog.redshift_constraints,
  pg_catalog.svv_relation_privileges, pg_catalog.svv_external_schemas,
  pg_catalog.svv_external_tables, pg_catalog.svv_external_columns, pg_catalog.redshift_shares,
  pg_catalog.svv_all_columns, pg_catalog.svv_all_tables, pg_catalog.svv_all_schemas TO PUBLIC;
