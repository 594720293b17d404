"""Interactive pieces for a notebook, each with a picture stored beside it for whoever runs nothing.

    from hftlab.notebook import widgets

    widgets.replay(feed)         the book message by message, under a slider
    widgets.explorer()           choose engine, variants and feed, measure, watch the distribution
    widgets.waterfall()          optimisations as switches, in any order

panel.py    what they share
drawn.py    a moment of a tape as HTML and SVG
"""

from __future__ import annotations

from hftlab.notebook.book import Replay as Replay
from hftlab.notebook.book import replay as replay
from hftlab.notebook.explore import Explorer as Explorer
from hftlab.notebook.explore import explorer as explorer
from hftlab.notebook.ladder import Waterfall as Waterfall
from hftlab.notebook.ladder import waterfall as waterfall
