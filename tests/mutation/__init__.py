"""Mutation testing: small faults put into a module one by one, to see whether tests notice.

`uv run python -m tests.mutation sql/renderer` tells which faults no test notices. Nothing is
written to the checkout: each mutant lives in a forked process that imports it in place of the
module. It is no part of CI, for it takes minutes; run it on what you have changed.

A survivor is either a rule without a test, or equivalent: a fault that nobody can observe. These
kinds are equivalent here, and are no reason to write a test:

- sizes, waits and numbers of tries that are tuned (`_CHUNK_BYTES`, `_POLL_SECONDS`, `BUDGET`,
  `lru_cache` sizes): one more or less changes speed and memory, not what is loaded;
- what frees memory or takes turns sooner (`notify_all` after a last chunk, daemon threads);
- what a writer still does once its load has failed (`_Sink.dropped`, `_StoppedError`): the file is
  thrown away;
- `zip(…, strict=True)` and `x or 0` that state what another module has seen to;
- the `fold` of a midnight: it is only compared, which ignores it, and written as a date;
- where lists and lines of SQL break;
- a guard in front of a second guard that refuses the same, such as a reset of what each attempt
  sets anyway before it reads it;
- the wording of messages.
"""
