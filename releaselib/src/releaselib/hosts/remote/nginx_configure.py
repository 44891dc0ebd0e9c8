"""nginx_configure.py NEW CONF SERVED ADOPT IN_PLACE (URL EXPECTED)... < the input of nginx_configure.sh

Unpacks it into NEW, asks for health, and lays the configuration down, and the slot to ADOPT. When that is IN_PLACE (yes
or no) and nginx runs with it, which it tells at each URL, the other slots are laid down too, and "loaded" is printed.
The exit codes are those of hosts/scripts.py.
"""

import json
import sys

from common_ask import unexpected
from common_fail import fail
from common_health import Health
from common_lay import lay, lay_slots
from common_unpack import unpack


def main(new, conf, served, adopt, in_place, *asked):
    given = unpack(new)
    if given["health"]:
        failing, too_many = Health(given["health"]).failing()
        if too_many:
            fail(78, json.dumps(failing))
    for name, text in given["conf"].items():
        lay(conf, name, text)
    lay_slots(served, {name: told for name, told in given["slots"].items() if name == adopt})
    if in_place == "yes" and not unexpected(0, zip(asked[::2], asked[1::2])):
        lay_slots(served, given["slots"])
        print("loaded")


try:
    main(*sys.argv[1:])
except OSError as error:
    fail(70, error)
