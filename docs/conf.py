"""Sphinx settings (docs/decisions/0025). The source folder is the repository, so that links between pages are the same
here and on a code host; `make docs` builds it."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "docs" / "extensions")]

project = "motionloom"
author = "the motionloom authors"
copyright = "the motionloom authors, Apache-2.0"
release = importlib.metadata.version("motionloom")

extensions = ["myst_parser", "sphinx.ext.autodoc", "command_pages", "folder_links", "plain_docstrings", "works_offline"]
root_doc = "docs/index"
include_patterns = ["docs/*.md", "docs/*/*.md", "benchmarks/results/*.md", "CHANGELOG.md"]
include_patterns += ["README.md", "CONTRIBUTING.md", "SECURITY.md"]
folder_pages = {
    "README": {"docs/decisions/": "docs/decisions/index.md", "benchmarks/results/": "docs/measurements.md"},
}
# Folders that need not be walked: environments, outputs, caches.
exclude_patterns = [".*", "**/.*", "demo", "build", "dist", "site", "*.egg-info", "tests", "**/__pycache__"]

# Anchors of headings as code hosts make them.
myst_heading_anchors = 4
# Diagrams and listings in the pages name no language.
highlight_language = "none"
nitpicky = True

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
# Of aliases and private bases there are no pages to link to.
nitpick_ignore_regex = [("py:.*", ".*")]

html_theme = "furo"
html_title = f"motionloom {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
# The front page of the site leads to docs/index.html.
html_extra_path = ["_front"]
html_copy_source = False
html_show_sourcelink = False
# A page that is the same whenever the same sources are built.
html_last_updated_fmt = None
