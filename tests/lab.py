"""JupyterLab on a folder, and a browser that reaches no other machine: helpers of the browser tests."""

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "out"
START_S = 60
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-sync"]
QUIET += ["--disable-component-update", "--disable-dev-shm-usage"]
#: Requests of the page that would make the server contact another machine.
ASKS_OUTSIDE = ("/lab/api/news", "/lab/api/update", "/lab/api/extensions")
PANEL = ".jp-NotebookPanel:not(.lm-mod-hidden)"


def chromium() -> str:
    """The browser of this machine; skips without one, and fails where everything must be there."""
    names = ("chromium", "chromium-browser", "google-chrome")
    path = next(filter(None, map(shutil.which, names)), None)
    try:
        import playwright  # noqa: F401
    except ImportError:
        path, reason = None, "playwright (extra dev) is not installed"
    else:
        reason = f"there is no browser: none of {', '.join(names)} is on PATH"
    if path is None:
        required = os.environ.get("CI") and os.environ.get("HFTLAB_REQUIRE_RUST") == "1"
        (pytest.fail if required else pytest.skip)(reason)
    return path


@dataclass
class Lab:
    """A running server: its address, folder and log."""

    url: str
    token: str
    folder: Path
    home: Path
    log: Path


@contextmanager
def running(folder: Path, scratch: Path, **more: str) -> Iterator[Lab]:
    """`hftlab lab` on a folder, with all its files in `scratch`; ended with all its kernels."""
    token, home = secrets.token_hex(16), scratch / "home"
    own = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
    folders = {name: str(scratch / name) for name in own}
    paths = {"HFTLAB_HOME": str(home), "JUPYTERLAB_SETTINGS_DIR": str(scratch / "settings"), "JUPYTER_TOKEN": token}
    env = {**os.environ, **folders, **paths, "HFTLAB_BACKEND": "auto", **more}
    log = scratch / "lab.log"
    for attempt in range(3):  # another process may take the port before the server starts
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        words = ["lab", str(folder), "--no-browser", "--port", str(port), "--prefix", str(scratch / "prefix")]
        with log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, "-m", "hftlab.cli.main", *words],
                env={name: value for name, value in env.items() if value},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        lab = Lab(f"http://127.0.0.1:{port}", token, folder, home, log)
        try:
            if _answers(lab, server):
                yield lab
                return
            assert attempt < 2, log.read_text()
        finally:
            _end(server)


def _answers(lab: Lab, server: subprocess.Popen[bytes]) -> bool:
    """Wait until the server answers; False if it ends before."""
    deadline = time.monotonic() + START_S
    while server.poll() is None:
        try:
            with urllib.request.urlopen(f"{lab.url}/api/status?token={lab.token}", timeout=5):
                return True
        except (urllib.error.URLError, OSError):
            assert time.monotonic() < deadline, f"no answer within {START_S} s:\n{lab.log.read_text()}"
            time.sleep(0.2)
    return False


def end_kernels(lab: Lab) -> None:
    """End every kernel: a running one would slow the next notebook down."""
    query = f"token={lab.token}"
    with urllib.request.urlopen(f"{lab.url}/api/sessions?{query}", timeout=30) as response:
        sessions = json.load(response)
    for session in sessions:
        request = urllib.request.Request(f"{lab.url}/api/sessions/{session['id']}?{query}", method="DELETE")
        urllib.request.urlopen(request, timeout=30).close()


def _end(server: subprocess.Popen[bytes]) -> None:
    """End the server; it ends its kernels. After ten seconds the rest of its process group is killed."""
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            server.wait(10)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait(10)


@dataclass
class Window:
    """A page of the browser, its requests to other machines (aborted), and the errors on its console."""

    page: Any
    lab: Lab
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @property
    def panel(self) -> Any:
        """The active notebook."""
        return self.page.locator(PANEL)

    def start(self, path: str = "/") -> None:
        """Open the landing page as `make lab` does, by the address of the server; or `path`, with nothing else open."""
        self.page.goto(f"{self.lab.url}{path}{'?' if path == '/' else '?reset&'}token={self.lab.token}")
        self.panel.locator(".jp-Cell").first.wait_for(timeout=120_000)
        self.idle()

    def open(self, name: str) -> None:
        """Open a notebook by a double click in the file browser, and wait for its kernel."""
        self.page.locator(".jp-DirListing-item", has_text=name).first.dblclick()
        self.page.locator(f".lm-TabBar-tab.jp-mod-current .lm-TabBar-tabLabel:text-is('{name}')").wait_for(timeout=120_000)
        self.panel.locator(".jp-Cell").first.wait_for(timeout=120_000)

    def idle(self, seconds: float = 60) -> None:
        """Wait until the kernel of the active notebook is idle. Before it has started, a menu would ask which one to use."""
        self.page.get_by_text("| Idle").wait_for(timeout=seconds * 1e3)

    def menu(self, *names: str) -> None:
        """Choose from a menu."""
        self.page.get_by_role("menuitem", name=names[0], exact=True).click()
        self.page.get_by_role("menuitem", name=names[1], exact=True).click()

    def run_all(self, seconds: float) -> None:
        """Clear the stored outputs, run all cells, wait for them."""
        self.idle()
        self.menu("Edit", "Clear Outputs of All Cells")
        self.menu("Run", "Run All Cells")
        self.wait_for_all(seconds)

    def wait_for_all(self, seconds: float) -> None:
        """Wait until each cell has run or one has failed, and their outputs are drawn."""
        self.page.wait_for_function(_DONE, arg=PANEL, timeout=seconds * 1e3)
        self.idle(seconds)
        self.page.wait_for_timeout(1_000)  # a chart is drawn after its cell has ended

    def state(self) -> dict[str, Any]:
        """What the active notebook shows."""
        return self.page.evaluate(_STATE, PANEL)

    def save(self) -> None:
        """Save the active notebook by its key."""
        self.page.keyboard.press("Control+s")
        self.page.locator(".lm-TabBar-tab.jp-mod-current:not(.jp-mod-dirty)").wait_for(timeout=120_000)

    def dialogs(self) -> list[str]:
        """Text of every dialog that is open."""
        return [dialog.inner_text() for dialog in self.page.query_selector_all(".jp-Dialog-content")]

    def picture(self, name: str) -> Path:
        """A screenshot of the whole window in out/."""
        OUT.mkdir(exist_ok=True)
        path = OUT / f"lab_{name}.png"
        self.page.screenshot(path=path)
        return path


_DONE = """panel => {
    const cells = [...document.querySelector(panel).querySelectorAll('.jp-CodeCell')].filter(
        cell => cell.querySelector('.cm-content')?.textContent.trim());  // a hidden solution shows no source
    const failed = document.querySelector(panel + ' [data-mime-type="application/vnd.jupyter.error"]');
    return failed || cells.every(cell => /\\\\[\\\\d+\\\\]/.test(cell.querySelector('.jp-InputPrompt')?.textContent ?? ''));
}""".replace("\\\\", "\\")

_STATE = """panel => {
    const root = document.querySelector(panel), all = what => [...root.querySelectorAll(what)];
    const drawn = marks => {
        if (marks.tagName !== 'CANVAS') return marks.querySelectorAll('path, text, rect, line').length > 5;
        const pixels = marks.getContext('2d').getImageData(0, 0, marks.width, marks.height).data;
        const seen = new Set();
        for (let i = 0; i < pixels.length && seen.size < 3; i += 4) seen.add(pixels.slice(i, i + 3).join());
        return seen.size > 2;
    };
    return {
        failed: all('[data-mime-type="application/vnd.jupyter.error"]').map(e => e.innerText),
        warned: all('[data-mime-type="application/vnd.jupyter.stderr"]').map(e => e.innerText),
        charts: all('.vega-embed .marks').filter(drawn).length,
        blank: all('.vega-embed .marks').filter(marks => !drawn(marks)).length,
        pictures: all('.jp-OutputArea-output img').filter(img => img.naturalWidth > 0).length,
        widgets: all('.jp-OutputArea-output.jupyter-widgets, .jp-OutputArea-output .jupyter-widgets').length,
        wide: all('.jp-OutputArea-output').filter(e => e.scrollWidth > e.clientWidth + 2).length,
        links: all('.jp-OutputArea-output a').map(a => a.textContent),
    };
}"""


@contextmanager
def browser(executable: str) -> Iterator[Any]:
    """Chromium without a window."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chrome = play.chromium.launch(executable_path=executable, headless=True, args=QUIET)
        try:
            yield chrome
        finally:
            chrome.close()


@contextmanager
def window(chrome: Any, lab: Lab, width: int = 1280, height: int = 2400) -> Iterator[Window]:
    """A fresh page without state of another; requests to other machines are aborted and recorded."""
    context = chrome.new_context(viewport={"width": width, "height": height})
    page = context.new_page()
    found = Window(page, lab)
    local = (lab.url, lab.url.replace("http", "ws"), "data:", "blob:", "about:")

    def judge(route: Any) -> None:
        url = route.request.url
        inside = url.startswith(local) and not any(part in url for part in ASKS_OUTSIDE)
        if inside:
            route.continue_()
        else:
            found.outside.append(url)
            route.abort()

    page.route("**/*", judge)
    page.on("websocket", lambda socket: None if socket.url.startswith(local) else found.outside.append(socket.url))
    page.on("console", lambda entry: found.errors.append(f"{entry.text} {entry.location}") if entry.type == "error" else None)
    page.on("pageerror", lambda error: found.errors.append(str(error)))
    try:
        yield found
    finally:
        context.close()
