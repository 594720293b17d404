"""hftlab in a notebook: `%load_ext hftlab` brings the magics %latency, %%latency, %compare, %%compare and %backend, and charts
that show offline. Results show themselves as tables without it.
"""

from __future__ import annotations

from typing import Any


def load(ipython: Any) -> None:
    """Register the magics and, where Altair is installed, the renderer of the charts."""
    from importlib.util import find_spec

    from IPython.core import page

    from hftlab.notebook.magics import HftlabMagics

    ipython.register_magics(HftlabMagics)
    # A pager shows nothing in a stored notebook: what goes to it (%lprun, ?) becomes output.
    ipython.set_hook("show_in_pager", page.as_hook(page.display_page), 0)
    if find_spec("altair"):
        from hftlab.charts import enable

        enable()
