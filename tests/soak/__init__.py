"""The soak: workers that load for an hour into tables of all dispositions while things break.

``jobs`` says what each load brings, ``frames`` how it comes, ``worker`` is a process that loads,
``mischief`` what breaks around it, ``journal`` what the workers tell, ``samples`` what grows,
``bench`` runs one target, and ``verdict`` compares tables, ledger and leftovers at the end.
"""
