"""hftlab in a notebook: `%load_ext hftlab` registers the magics, and charts that show without a network.

magics.py             %latency, %compare, %%compare (the parts of a cell), %backend
widgets.py            book_replay(feed), latency_explorer(): each stores a picture for readers who run nothing
lab.py                JupyterLab on the course, and its kernel
"""

from __future__ import annotations

from typing import Any


def load(ipython: Any) -> None:
    """Register the magics and, if Altair is installed, the renderer of the charts."""
    from importlib.util import find_spec

    from IPython.core import page

    from hftlab.notebook.magics import HftlabMagics

    ipython.register_magics(HftlabMagics)
    # A pager shows nothing in a stored notebook: its text (%lprun, ?) becomes output.
    ipython.set_hook("show_in_pager", page.as_hook(page.display_page), 0)
    if find_spec("altair"):
        from hftlab.charts import enable

        enable()
