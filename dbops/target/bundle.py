"""The agent as it is sent. The only place that reads the sources of `dbops/agent`."""

import json
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "agent"
TOO_OLD = "opsdash-python-too-old "
NO_INPUT = "opsdash: standard input ended early"

# What `-c` runs. It has to be valid for any Python, so that an old one can say that it is too old.
BOOTSTRAP = f"""\
import os,sys
if sys.path[:1]==['']:del sys.path[0]
if sys.version_info<(3,8):
 sys.stdout.write('{TOO_OLD}'+sys.version.split()[0]+chr(10))
 sys.exit(4)
import json
def read(n):
 data=b''
 while len(data)<n:
  try:more=os.read(0,n-len(data))
  except OSError:more=b''
  if not more:sys.exit('{NO_INPUT}')
  data+=more
 return data
modules=json.loads(read(int(read(10))).decode())
exec(compile(modules['bootstrap'],'opsdash-agent/bootstrap.py','exec'))
start(modules,read)
"""


@cache
def bundle() -> bytes:
    """Ten digits of size, then JSON {module name: source}."""
    modules = {path.stem: path.read_text(encoding="utf-8") for path in sorted(SOURCES.glob("*.py"))}
    text = json.dumps(modules).encode("ascii")
    return b"%010d" % len(text) + text
