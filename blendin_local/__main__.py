"""`python -m blendin_local` is `blendin`."""

from blendin_local.ui.cli import main

if __name__ == "__main__":
    main()
