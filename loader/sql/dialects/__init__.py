"""What differs between warehouses in SQL: one module of facts for each of Loader's own."""
