#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Point the CMake files that the ROS wheels export at this interpreter.

The wheels carry the include folders of the machine that built them
(/opt/python/cpXY-cpXY/...). Run with the interpreter of the venv; safe to run again.
"""
import pathlib
import re
import sys
import sysconfig

import numpy

NUMPY = re.compile(
    r"""/opt/python/[^/;"'\s]+/lib/python3\.\d+/site-packages/numpy/(?:_core|core)/include""")
PYTHON = re.compile(r"""/opt/python/[^/;"'\s]+/include/python3\.\d+""")


def repair(prefix: pathlib.Path) -> int:
    python_include = sysconfig.get_path('include')  # of the base interpreter, where Python.h lies
    if not (pathlib.Path(python_include) / 'Python.h').is_file():
        raise SystemExit(f"no Python.h in {python_include}: install the interpreter's headers")
    changed = 0
    for path in sorted(prefix.glob('share/*/cmake/*.cmake')):
        old = path.read_text(encoding='utf-8')
        if '/opt/python/' not in old:
            continue
        new = NUMPY.sub(lambda _: numpy.get_include(), old)
        new = PYTHON.sub(lambda _: python_include, new)
        if '/opt/python/' in new:
            raise SystemExit(f'{path}: still names a folder of its builder')
        if new != old:
            temporary = path.with_suffix('.tmp')
            temporary.write_text(new, encoding='utf-8')
            temporary.replace(path)
            changed += 1
    return changed


if __name__ == '__main__':
    print(f'repaired {repair(pathlib.Path(sys.prefix))} CMake files under {sys.prefix}')
