"""Sphinx settings. The source folder is the repository, so that a link that works on a code host works on the site."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path[:0] = [str(HERE / "_ext"), str(ROOT)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])  # for the notebooks
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # for %%sh: fusiondx
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["PYTHONWARNINGS"] = "ignore:IProgress"  # tqdm misses widgets that no page can show

project = "fusiondx"
author = copyright = "The fusiondx developers"
html_title = "fusiondx"

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_external_toc", "reference"]
root_doc = "docs/index"
include_patterns = ["docs/**", "notebooks/*.ipynb", "configs/README.md", "benchmarks/README.md", "*.md"]
exclude_patterns = ["docs/_*", "README.md", ".*", "runs", "demo", "build", "**.egg-info"]
external_toc_path = "docs/_toc.yml"
external_toc_exclude_missing = False

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/icon.svg"
html_extra_path = ["_extra"]
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0b6b5d", "color-brand-content": "#0b6b5d"},
    "dark_css_variables": {"color-brand-primary": "#5cc9b5", "color-brand-content": "#5cc9b5"},
}
pygments_style = "friendly"
pygments_dark_style = "github-dark"

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_maximum_signature_line_length = 90
python_use_unqualified_type_names = True
# every name in prose and every link must lead somewhere; annotations may name what is not documented here
nitpicky = True
nitpick_ignore_regex = [(r"py:(class|data|exc|func|meth|attr|mod)", r".*"), (r"py:obj", r"(?!fusiondx).*")]
