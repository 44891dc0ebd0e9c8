"""The pages of the documentation, which come along with the library: who needs them may have no network."""

from importlib import resources

from releaselib.errors import ConfigError


def titles() -> dict[str, str]:
    """Name of each page -> its title."""
    folder = resources.files("releaselib") / "docs"
    pages = sorted(page.name for page in folder.iterdir() if page.name.endswith(".md"))
    return {
        name.removesuffix(".md"): (folder / name).read_text("utf-8").partition("\n")[0].lstrip("# ") for name in pages
    }


def page(name: str) -> str:
    """The text of a page (Markdown). Raises ConfigError with the names there are."""
    known = titles()
    if name not in known:
        raise ConfigError(f"there is no page {name!r}", next_step=f"fab help --page with one of: {', '.join(known)}")
    return (resources.files("releaselib") / "docs" / f"{name}.md").read_text("utf-8").rstrip()
