"""`python -m blendin_local` is `blendin`."""

from blendin_local.cli.app import main

if __name__ == "__main__":
    main()
