-- comment note: None -> Why.; in place; 
-- comment : None -> One row.; in place; 
-- grant : None -> select to role:bi; in place; 
-- grant : None -> select to public; in place; 
-- grant : None -> all to group:etl; in place; 

-- s.t on prod: changes of the table

BEGIN;

-- 1. comment on note: the spec's description
COMMENT ON COLUMN "s"."t"."note" IS 'Why.';

-- 2. comment on the table: the spec's description
COMMENT ON TABLE "s"."t" IS 'One row.';

-- 3. grant usage to role:bi: grants on the table need it
GRANT USAGE ON SCHEMA "s" TO ROLE "bi";

-- 4. grant select to role:bi: the spec's grants
GRANT SELECT ON "s"."t" TO ROLE "bi";

-- 5. grant usage to public: grants on the table need it
GRANT USAGE ON SCHEMA "s" TO PUBLIC;

-- 6. grant select to public: the spec's grants
GRANT SELECT ON "s"."t" TO PUBLIC;

-- 7. grant usage to group:etl: grants on the table need it
GRANT USAGE ON SCHEMA "s" TO GROUP "etl";

-- 8. grant all to group:etl: the spec's grants
GRANT ALL ON "s"."t" TO GROUP "etl";

COMMIT;
