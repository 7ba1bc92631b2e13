CREATE TABLE orders (id INTEGER PRIMARY KEY, created_at TEXT, customer TEXT, cents INTEGER);
INSERT INTO orders VALUES
  (1, '2026-01-01 09:12:00', 'Ada', 1990),
  (2, '2026-01-01 17:30:00', 'Grace', 750),
  (3, '2026-01-02 08:00:00', 'Edsger', 12000);
