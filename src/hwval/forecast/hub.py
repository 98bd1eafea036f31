"""The config.json of a model of the Hub: from this host's cache, and from the Hub only if asked."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from hwval.errors import UsageError

__all__ = ["hub_folder"]

_CONFIG: Final = "config.json"
_INDEX: Final = "model.safetensors.index.json"
_REACHED_WITHIN_S: Final = 5.0


def hub_folder(
    reference: str, *, fetch: bool = False, cache_dir: Path | None = None
) -> Path | None:
    """Return the folder with what is known of a model of the Hub, None if nothing is.

    Args:
        reference: ``ORG/NAME[@REVISION]``.
        fetch: Whether config.json and the safetensors index may be fetched; only at a revision,
            since what stands at a branch may be different tomorrow.
        cache_dir: The Hub's cache on this host; where its own library looks if None.

    Raises:
        UsageError: The Hub was to be asked and did not answer with a config.json.
    """
    # Takes 0.3 s, and most matrices name models that the catalogue holds.
    from huggingface_hub import try_to_load_from_cache

    name, _, revision = reference.partition("@")
    pinned = revision or None
    if fetch:
        if pinned is None:
            raise UsageError(f"{name} is named without a revision; write hub:{name}@REVISION")
        if not (outage := _outage()):
            return _fetched(name, pinned, cache_dir)
    try:
        found = try_to_load_from_cache(name, _CONFIG, cache_dir=cache_dir, revision=pinned)
    except ValueError:  # a name that no repository can have
        return None
    if isinstance(found, str):
        return Path(found).parent
    if fetch:
        raise UsageError(f"{name}@{revision}: the Hub cannot be reached: {outage}")
    return None


@cache
def _outage() -> str:
    """Return why the Hub cannot be reached, empty if it can.

    Asked once: its own library tries for half a minute, for every model again.
    """
    from huggingface_hub import constants
    from huggingface_hub import get_session

    try:
        get_session().head(constants.ENDPOINT, timeout=_REACHED_WITHIN_S)
    except Exception as error:  # noqa: BLE001 - of whatever library carries it
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return ""


def _fetched(name: str, revision: str, cache_dir: Path | None) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError
    from huggingface_hub.errors import LocalEntryNotFoundError

    def download(file: str) -> Path:
        return Path(hf_hub_download(name, file, revision=revision, cache_dir=cache_dir))

    try:
        config = download(_CONFIG)
        try:
            download(_INDEX)
        except LocalEntryNotFoundError:
            raise
        except EntryNotFoundError:
            pass  # a model of one file
    except (OSError, ValueError) as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"{name}@{revision}: the Hub gives no {_CONFIG}: {first}") from error
    return config.parent
