"""``python -m lss_lightning`` and the console command ``lss``."""

from lss_lightning.cli.main import main

if __name__ == "__main__":
    main()
