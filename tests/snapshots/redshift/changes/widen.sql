-- widen column note: varchar(20) -> varchar(40); before_transaction; 

-- s.t on prod: changes of the table

-- widen the column note: the live column is varchar(20); this cannot run inside the transaction
ALTER TABLE "s"."t" ALTER COLUMN "note" TYPE varchar(40);
