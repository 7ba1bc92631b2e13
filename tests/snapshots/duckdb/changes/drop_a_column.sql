-- drop column note: VARCHAR -> None; in place; the column's values

-- s.t on local: changes of the table

BEGIN;

-- 1. drop the column note: the live table has it, but the spec does not
ALTER TABLE "s"."t" DROP COLUMN "note";

COMMIT;
