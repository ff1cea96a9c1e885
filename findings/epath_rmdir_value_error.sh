#!/usr/bin/env bash
# etils 1.15.0: epath's rmdir of a folder that is not empty raises a ValueError, not an OSError.
#
# A local epath.Path is a pathlib path for isinstance, yet `except OSError` around its rmdir, the
# usual way to remove a folder only if it is empty, lets the error through.
#
# Seen:
#   pathlib: OSError
#   epath: ValueError
#   epath is a pathlib path: True
set -euo pipefail
unset PYTHONPATH
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
"${PYTHON:-python3}" -m venv venv
venv/bin/pip install --quiet 'etils[epath]==1.15.0' || exit 2
venv/bin/python - <<'EOF'
import pathlib

from etils import epath

pathlib.Path("full/inner").mkdir(parents=True)
raised = {}
for kind, path in (("pathlib", pathlib.Path("full")), ("epath", epath.Path("full"))):
    try:
        path.rmdir()
    except (OSError, ValueError) as error:
        raised[kind] = type(error).__name__
        print(f"{kind}: {raised[kind]}")
is_path = isinstance(epath.Path("full"), pathlib.PurePath)
print("epath is a pathlib path:", is_path)
assert raised == {"pathlib": "OSError", "epath": "ValueError"} and is_path
EOF
