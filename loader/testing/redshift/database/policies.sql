-- What hangs on a table beside its layout: policies, column privileges, foreign keys of others.
--
-- Row-level security is PostgreSQL's own: it filters SELECT, UPDATE and DELETE for each user, its
-- owner too (`server.py` forces it), and goes with DROP TABLE (dg/t_rls_statements,
-- dg/t_rls_object_dependency). Masks are put around what a user selects (`masks.py`). RENAME keeps
-- both, for they are kept by the table's number.

CREATE TABLE pg_catalog.redshift_policies (
  relation oid, kind text, name text, attnum int2, expression text, grantee name,
  granteekind text);

-- dg/r_SVV_ATTACHED_MASKING_POLICY: superusers and sys:secadmin see it, "regular users will see 0
-- rows". dg/r_SVV_RLS_ATTACHED_POLICY, dg/r_SVV_RLS_RELATION: "only users with the sys:secadmin
-- role"; that others see no rows, rather than an error, is the more dangerous of the two.
CREATE FUNCTION pg_catalog.redshift_is_secadmin() RETURNS bool LANGUAGE sql STABLE AS
  $$ SELECT rolsuper OR pg_has_role(current_user, 'sys:secadmin', 'MEMBER')
     FROM pg_catalog.pg_roles WHERE rolname = current_user $$;
CREATE VIEW pg_catalog.svv_rls_relation AS
  SELECT current_database()::text AS datname, n.nspname::text AS relschema,
         c.relname::text AS relname, 'table'::text AS relkind, c.relrowsecurity AS is_rls_on,
         true AS is_rls_datashare_on, 'and'::char(3) AS rls_conjunction_type
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE (c.relrowsecurity OR EXISTS (SELECT FROM pg_catalog.redshift_policies p
                                     WHERE p.relation = c.oid AND p.kind = 'rls'))
    AND redshift_is_secadmin();
CREATE VIEW pg_catalog.svv_rls_attached_policy AS
  SELECT n.nspname::text AS relschema, c.relname::text AS relname, 'table'::text AS relkind,
         p.name AS polname, 'admin'::text AS grantor, p.grantee::text AS grantee, p.granteekind,
         true AS is_pol_on, c.relrowsecurity AS is_rls_on,
         'and'::char(3) AS rls_conjunction_type
  FROM pg_catalog.redshift_policies p JOIN pg_catalog.pg_class c ON c.oid = p.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE p.kind = 'rls' AND redshift_is_secadmin();
CREATE VIEW pg_catalog.svv_attached_masking_policy AS
  SELECT p.name AS policy_name, n.nspname::text AS schema_name, c.relname::text AS table_name,
         'table'::text AS table_type, 'admin'::text AS grantor, p.grantee::text AS grantee,
         p.granteekind AS grantee_type, 0 AS priority,
         format('["%s"]', a.attname) AS input_columns, format('["%s"]', a.attname) AS output_columns
  FROM pg_catalog.redshift_policies p JOIN pg_catalog.pg_class c ON c.oid = p.relation
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.attnum
  WHERE p.kind = 'mask' AND redshift_is_secadmin();

-- dg/r_USER_IS_MEMBER_OF: regular users can check only themselves; unknown names are an error.
CREATE FUNCTION pg_catalog.user_is_member_of(who name, role name) RETURNS bool
  LANGUAGE plpgsql STABLE AS $$
BEGIN
  IF who <> current_user AND NOT pg_catalog.redshift_is_secadmin() THEN
    PERFORM pg_catalog.redshift_raise('42501', 'permission denied to check another user');
  END IF;
  RETURN pg_has_role(who, role, 'MEMBER');
END $$;

-- dg/r_SVV_COLUMN_PRIVILEGES; no such privilege can be granted on (dg/r_GRANT).
CREATE VIEW pg_catalog.svv_column_privileges AS
  SELECT n.nspname::varchar(128) AS namespace_name, c.relname::varchar(128) AS relation_name,
         a.attname::varchar(128) AS column_name, g.privilege_type::varchar(128) AS privilege_type,
         g.grantee::int8::int4 AS identity_id,
         coalesce(r.rolname, 'public')::varchar(128) AS identity_name,
         k.kind::varchar(16) AS identity_type
  FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  CROSS JOIN LATERAL aclexplode(a.attacl) g
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = g.grantee
  CROSS JOIN LATERAL redshift_kinds(c.oid, c.relowner, g.grantee) AS k (kind)
  WHERE NOT a.attisdropped AND n.nspname NOT IN ('pg_catalog', 'information_schema');
-- dg/r_PG_ATTRIBUTE_INFO: pg_attribute with the access lists of columns, for everybody.
CREATE VIEW pg_catalog.pg_attribute_info AS
  SELECT attrelid, attname, atttypid, attnum, attisdropped, attacl FROM pg_catalog.pg_attribute;

-- dg/r_DROP_TABLE: a table that foreign keys reference is dropped with CASCADE only.
CREATE FUNCTION pg_catalog.redshift_check_referrers(wanted oid, dropped oid[], cascades bool)
  RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE found record;
BEGIN
  SELECT k.number, k.name, c.relname INTO found
  FROM pg_catalog.redshift_keys k JOIN pg_catalog.pg_class c ON c.oid = k.relation
  WHERE k.target = wanted AND k.type = 'f' AND NOT k.relation = ANY (dropped);
  IF found IS NULL THEN
    RETURN;
  ELSIF cascades THEN
    DELETE FROM pg_catalog.redshift_keys WHERE target = wanted;
    RETURN;
  END IF;
  RAISE EXCEPTION USING ERRCODE = '2BP01',
    MESSAGE = format('cannot drop table %s because other objects depend on it',
                     (SELECT relname FROM pg_catalog.pg_class WHERE oid = wanted)),
    DETAIL = format('constraint %s on table %s depends on it', found.name, found.relname),
    HINT = 'Use DROP ... CASCADE to drop the dependent objects too.';
END $$;
CREATE FUNCTION pg_catalog.redshift_check_drops(said jsonb) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  dropped oid[] := array(SELECT to_regclass(name)::oid
                         FROM jsonb_array_elements_text(said->'drops') AS name
                         WHERE to_regclass(name) IS NOT NULL);
BEGIN
  PERFORM pg_catalog.redshift_check_referrers(one, dropped, (said->>'cascades')::bool)
  FROM unnest(dropped) AS one;
END $$;

GRANT SELECT ON pg_catalog.svv_rls_relation, pg_catalog.svv_rls_attached_policy,
  pg_catalog.svv_attached_masking_policy, pg_catalog.svv_column_privileges,
  pg_catalog.pg_attribute_info TO PUBLIC;
