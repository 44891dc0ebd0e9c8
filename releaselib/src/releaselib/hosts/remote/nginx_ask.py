"""nginx_ask.py SECONDS (URL EXPECTED)...: asks one after the other until the answer is the expected one."""

import sys

from common_ask import unexpected

sys.exit(unexpected(float(sys.argv[1]), zip(sys.argv[2::2], sys.argv[3::2])) or None)
