"""What workers tell: one JSON line for each event, which outlives the kill of its writer."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def append(path: Path, event: Event) -> None:
    """Add an event with one write, so that a kill cuts none."""
    with path.open("ab", buffering=0) as file:
        file.write(json.dumps(event).encode() + b"\n")


IN_PLACE = "files in place"
"""The frame of loads in place."""


@dataclass
class Story:
    """What is known of one load."""

    attempts: int = 0
    under_way: bool = False
    loaded: bool = False
    abandoned: bool = False
    uncertain: bool = False
    """Whether an attempt may have been committed although its worker was not told so."""
    leaves: bool = False
    """Whether an attempt may have left staged files."""
    in_place: bool = False
    """Whether an attempt was to load files in place, whose manifest stays."""

    @property
    def settled(self) -> bool:
        """Whether no further attempt follows."""
        return self.loaded or self.abandoned


@dataclass
class Journal:
    """The journal of one worker, read as far as it was written."""

    path: Path
    stories: dict[int, Story] = field(default_factory=dict)
    rests: dict[int, list[Event]] = field(default_factory=dict)
    """The samples that a worker takes between loads, by its process."""
    findings: list[Event] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    pid: int = 0
    """The process that has told the latest event."""
    _offset: int = 0

    def read(self) -> bool:
        """Read what is new; whether there was anything."""
        if not self.path.exists():
            return False
        with self.path.open("rb") as file:
            file.seek(self._offset)
            lines = file.read().splitlines(keepends=True)
        for line in lines:
            if line.endswith(b"\n"):
                self._offset += len(line)
                self._take(json.loads(line))
        return bool(lines)

    def story(self, number: int) -> Story:
        """What is known of the load of that number."""
        return self.stories.setdefault(number, Story())

    def note_death(self) -> None:
        """The worker was killed: the attempt under way may have been committed."""
        for story in self.stories.values():
            if story.under_way:
                story.under_way, story.uncertain, story.leaves = False, True, True

    def next_number(self) -> int:
        """The load that comes next: the one that was under way, if there is one."""
        last = max(self.stories, default=0)
        return last + 1 if last == 0 or self.stories[last].settled else last

    def _take(self, event: Event) -> None:
        kind, self.pid = event["event"], event["pid"]
        if kind == "rest":
            self.rests.setdefault(event["pid"], []).append(event)
        elif kind == "finding":
            self.findings.append(event)
        elif kind == "begin":
            self.note_death()  # of the process before this one
            story = self.story(event["number"])
            story.attempts += 1
            story.under_way = True
            story.in_place |= event["frame"] == IN_PLACE
            self.counts["attempts"] += 1
            self.counts["attempts after the first"] += story.attempts > 1
            self.counts["fault: " + event["fault"]] += bool(event["fault"])
            self.counts["frame: " + event["frame"]] += 1
        elif kind == "abandon":
            self.story(event["number"]).abandoned = True
            self.counts["abandoned"] += 1
        elif kind == "read":
            self.counts["reads" if event["ok"] else "reads failed"] += 1
        else:
            self._end(event)

    def _end(self, event: Event) -> None:
        story = self.story(event["number"])
        story.under_way = False
        story.loaded = event["outcome"] in ("loaded", "already_loaded")
        story.uncertain |= event["uncertain"]
        story.leaves |= event["leaves"]
        self.counts[event["outcome"]] += 1
        if event["error"]:
            self.errors[event["error"]] += 1
