"""The threshold methods, one file each: the function, its card and its registration.

Importing this package imports every file in it, so that a new file is a new method.
"""

from importlib import import_module
from pkgutil import iter_modules

for _file in iter_modules(__path__):
    import_module(f"{__name__}.{_file.name}")
