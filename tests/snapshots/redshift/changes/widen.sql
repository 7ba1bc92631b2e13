-- widen column note: varchar(20) -> varchar(40); outside; 

-- s.t on prod: changes of the table

-- widen the column note: the live column is varchar(20); it cannot be done inside the transaction
ALTER TABLE "s"."t" ALTER COLUMN "note" TYPE varchar(40);
