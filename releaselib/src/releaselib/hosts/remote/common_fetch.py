"""common_fetch.py: brings uv to the host, out of its wheel in the index. What it takes is imported only then."""

import contextlib
import os


def fetch(url, sha256, target, egress, netrc_file):
    """Fetch the wheel of uv, through the proxy egress unless that is "", check it and take the program out, and its
    size. Raises OSError where it cannot be written, and anything else where it cannot be had."""
    import hashlib
    import io
    import shutil
    import zipfile

    try:
        wheel = download(url, egress, netrc_file)
    except (OSError, ValueError) as error:
        raise ValueError("%s: %s" % (url, error)) from None
    found = hashlib.sha256(wheel).hexdigest()
    if found != sha256:
        raise ValueError("%s has sha256 %s, expected %s" % (url, found, sha256))
    archive = zipfile.ZipFile(io.BytesIO(wheel))
    name = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
    size = b"%d" % archive.getinfo(name).file_size
    for path, content, mode in ((target, archive.open(name), 0o755), (target + ".size", io.BytesIO(size), 0o644)):
        try:
            with open(path + ".new", "wb") as file:
                shutil.copyfileobj(content, file)  # piece by piece: to have it whole in memory takes half as long again
                file.flush()
                os.fsync(file.fileno())  # a power cut leaves it whole, or not there
        except OSError:  # what is half written would fill the disk for all others
            with contextlib.suppress(OSError):
                os.remove(path + ".new")
            raise
        os.chmod(path + ".new", mode)
        os.rename(path + ".new", path)


def download(url, egress, netrc_file):
    """What a URL holds, read as the netrc file says."""
    import base64
    import http.client
    import netrc
    import urllib.parse
    import urllib.request

    request = urllib.request.Request(url)
    try:
        known = netrc.netrc(netrc_file).authenticators(urllib.parse.urlsplit(url).hostname)
    except (OSError, netrc.NetrcParseError):
        known = None
    if known:
        told = base64.b64encode(("%s:%s" % (known[0], known[2])).encode()).decode()
        request.add_header("Authorization", "Basic " + told)
    for name in ("no_proxy", "NO_PROXY"):  # what the host has set is asked for, even so
        os.environ.pop(name, None)
    proxies = urllib.request.ProxyHandler({"http": egress, "https": egress} if egress else {})
    try:
        with urllib.request.build_opener(proxies).open(request, timeout=60) as answer:
            return answer.read()
    except http.client.HTTPException as error:
        raise ValueError("cut off: %s" % error) from None
