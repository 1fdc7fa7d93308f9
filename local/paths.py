"""Where things are: the project, the folder of everything that the local tools make, and the stack people work with."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent
LOCAL = PROJECT / ".local"
NODE_MODULES = LOCAL / "node" / "node_modules"
DEFAULT_STACK = "dev"  # the name of the stack that ./dev up starts; its folder is LOCAL / name
