#!/bin/sh
# Print a Python that opsdash can be installed with (3.11 or newer, with the venv module), or say what is missing.
# PYTHON=... in the environment is taken first.

newest=""
no_venv=""
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11 python; do
    path=$(command -v "$candidate") || continue
    version=$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    newest=${newest:-"$path is $version"}
    "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || continue
    if "$path" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "$path"
        exit 0
    fi
    no_venv=${no_venv:-$path}
done

if [ -n "$no_venv" ]; then
    echo "opsdash: $no_venv has no venv module, which makes virtual environments: install it (Debian: apt-get install python3-venv) and run this again." >&2
elif [ -n "$newest" ]; then
    echo "opsdash: needs Python 3.11 or newer, and $newest: install a newer one, or name it as in \`make run PYTHON=/path/to/python3\`." >&2
else
    echo "opsdash: needs Python 3.11 or newer, and there is no Python on PATH: install one and run this again." >&2
fi
exit 1
