"""The soak: workers that load for an hour into tables of all dispositions while things break.

``jobs`` says what each load brings, ``frames`` how it comes, ``worker`` is a process that loads,
``fault_injection`` breaks things around it, ``journal`` is what the workers report, ``samples``
measure growth, ``bench`` runs one target, and ``checks`` compares tables, ledger and leftovers.
"""
