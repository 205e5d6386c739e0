"""Entry point of ``python -m lss_lightning`` and of the console command ``lss``."""

from lss_lightning.cli.main import main

if __name__ == "__main__":
    main()
