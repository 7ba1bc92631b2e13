"""A project of the component in Dagster's own pages, as Chromium shows them.

`LOADER_PICTURES=DIR` keeps a picture of each page.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

PICTURES = os.environ.get("LOADER_PICTURES")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
ORDERS = "order_id,ordered_on,customer,amount\n{id},{day},Ada,{amount}\n"
LAUNCH_BACKFILL = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
query Backfill($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}
"""


@dataclass
class Site:
    """A project that `dg dev` serves."""

    folder: Path
    url: str
    shell: dict[str, str]

    @property
    def component(self) -> Path:
        """The folder of the component."""
        return self.folder / "src" / "my_shop" / "defs" / "tables"

    def write(self, day: str, amount: str) -> None:
        """Write the file of a day, with one order."""
        text = ORDERS.format(id=day[-1], day=day, amount=amount)
        (self.component / "data" / f"orders-{day}.csv").write_text(text)

    def launch(self, day: str) -> subprocess.CompletedProcess[str]:
        """Run a partition, as the page of the component says."""
        words = ["launch", "--assets", "shop/orders", "--partition", day]
        return run(self.shell, self.folder, "dg", *words)

    def ask(self, query: str, **variables: Any) -> Any:
        """What Dagster's GraphQL answers, as its pages ask it."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        head = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/graphql", body, head)
        with urllib.request.urlopen(request) as answer:
            found = json.load(answer)
        assert "errors" not in found, found
        (data,) = found["data"].values()
        return data


def run(shell: dict[str, str], folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = Path(sys.executable).with_name(words[0])
    return subprocess.run(
        [str(command), *words[1:]],
        cwd=folder,
        env=shell,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@contextmanager
def serving(words: list[str], folder: Path, shell: dict[str, str], url: str) -> Iterator[None]:
    """Run a server until the block ends."""
    with (folder.parent / "server.log").open("wb") as log:
        server = subprocess.Popen(words, cwd=folder, env=shell, stdout=log, stderr=log)
        try:
            for _ in range(240):
                try:
                    urllib.request.urlopen(f"{url}/server_info").close()
                    break
                except OSError:
                    assert server.poll() is None, (folder.parent / "server.log").read_text()
                    time.sleep(0.5)
            yield
        finally:
            server.terminate()
            server.wait(60)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A new project, served by `dg dev`."""
    root = tmp_path_factory.mktemp("browser")
    (root / "home").mkdir()
    # No greeting in front of the first page, and nothing is reported to anybody.
    (root / "home" / "dagster.yaml").write_text(
        "nux: {enabled: false}\ntelemetry: {enabled: false}\n"
    )
    shell = {**os.environ, "DAGSTER_HOME": str(root / "home")}
    folder = root / "my-shop"
    shell["PYTHONPATH"] = str(folder / "src")
    made = run(shell, root, "create-dagster", "project", "my-shop", "--no-uv-sync")
    assert made.returncode == 0, made.stderr
    component = "loader.dagster_component.TableSpecsComponent"
    made = run(shell, folder, "dg", "scaffold", "defs", component, "tables")
    assert made.returncode == 0, made.stderr
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    dg = str(Path(sys.executable).with_name("dg"))
    with serving([dg, "dev", "--port", str(port)], folder, shell, url):
        yield Site(folder, url, shell)


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """A page of the browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="run with --with playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium on this machine")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1500, "height": 1100})
        browser.close()


def shows(page: Any, url: str, name: str, *texts: str) -> None:
    """The page has these texts; its picture is kept if that is asked for."""
    page.goto(url)
    for text in texts:
        page.get_by_text(text).first.wait_for(timeout=60_000)
    if PICTURES:
        page.wait_for_timeout(1_000)
        page.screenshot(path=str(Path(PICTURES) / f"{name}.png"))


def test_pages_tell_what_happened(site: Site, page: Any) -> None:
    """The asset's page has its columns and figures, a failed run the row, a backfill its days."""
    done = site.launch("2026-01-01")
    assert done.returncode == 0, done.stderr
    asset = f"{site.url}/assets/shop/orders"
    shows(page, f"{asset}?view=overview", "asset", "decimal(12,2)", "shop.orders", "row_count")
    site.write("2026-01-02", "a lot")
    failed = site.launch("2026-01-02")
    assert failed.returncode != 0
    events = f"{asset}?view=partitions&partition=2026-01-02"
    shows(page, events, "partition", "2026-01-02", "Failed")
    runs = site.ask("{runsOrError(limit: 1) {... on Runs {results {runId status}}}}")
    (latest,) = runs["results"]
    assert latest["status"] == "FAILURE"
    shows(page, f"{site.url}/runs/{latest['runId']}", "failed_run", "does not fit shop.orders")
    days = [f"2026-01-0{day}" for day in range(2, 5)]
    for day in days:
        site.write(day, "9.90")
    params = {
        "assetSelection": [{"path": ["shop", "orders"]}],
        "partitionNames": days,
        "fromFailure": False,
    }
    launched = site.ask(LAUNCH_BACKFILL, params=params)
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    for _ in range(120):
        status = site.ask(BACKFILL, id=launched["backfillId"])["status"]
        if status.startswith("COMPLETED"):
            break
        time.sleep(1)
    assert status == "COMPLETED_SUCCESS"
    backfill = f"{site.url}/runs/b/{launched['backfillId']}"
    shows(page, backfill, "backfill", "Completed", "orders")
    read = run(site.shell, site.folder, "loader", "read", "shop/orders", "--columns", "ordered_on")
    assert all(day in read.stdout for day in days), read.stdout + read.stderr
