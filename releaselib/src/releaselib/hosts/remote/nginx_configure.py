"""nginx_configure.py NEW CONF SERVED ADOPT (URL EXPECTED)... < the input of nginx_configure.sh

Unpacks it into NEW, asks for health, and lays the configuration down. When nginx has that loaded, which it tells at
each URL, the slots are laid down too, and "loaded" is printed; of one to adopt that does not wait for it. Exit code 78
when not every process is healthy. Without URLs nothing is asked of nginx.
"""

import json
import sys

from common_ask import unexpected
from common_health import Health
from common_lay import lay, lay_slots
from common_unpack import unpack

new, conf, served, adopt, *asked = sys.argv[1:]
given = unpack(new)
if given["health"]:
    failing, too_many = Health(given["health"]).failing()
    if too_many:
        print(json.dumps(failing), file=sys.stderr)
        sys.exit(78)
for name, text in given["conf"].items():
    lay(conf, name, text)
lay_slots(served, {name: told for name, told in given["slots"].items() if name == adopt})
if asked and not unexpected(0, zip(asked[::2], asked[1::2])):
    lay_slots(served, given["slots"])
    print("loaded")
