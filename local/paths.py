"""Where things are: the project and the folder of everything that the local tools make."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCAL = PROJECT / ".local"
NODE_MODULES = LOCAL / "node" / "node_modules"
