"""Sphinx settings of the documentation: `sphinx-build -W -b html docs docs/_build/html`. No network."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from reference_pages import write_pages

from immunolab.version import VERSION

project = "immunolab"
author = "The immunolab developers"
project_copyright = "The immunolab developers, MIT licence"
release = version = VERSION

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

# Pages are MyST; notebooks are shown with the outputs they are stored with (tests/test_notebooks.py executes them).
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict[str, str]] = {}  # by default scripts of a CDN
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring = False
napoleon_use_rtype = True
python_use_unqualified_type_names = True
default_role = "code"  # docstrings quote names with single backquotes

html_theme = "furo"
html_title = f"immunolab {VERSION}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#1b5e7d", "color-brand-content": "#1b5e7d"},
    "dark_css_variables": {"color-brand-primary": "#8cc4de", "color-brand-content": "#8cc4de"},
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

write_pages(Path(__file__).parent)
