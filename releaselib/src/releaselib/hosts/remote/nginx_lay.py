"""nginx_lay.py FOLDER < SLOTS: makes a folder in it for each slot."""

import json
import sys

from common_lay import lay_slots

try:
    lay_slots(sys.argv[1], json.load(sys.stdin))
except OSError as error:
    sys.exit(str(error))
