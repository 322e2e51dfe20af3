"""
The apps file: many apps in one TOML file, one table `[apps.<appkey>]` each.

Imports `apps` for the data and `types` for the rules.
"""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from authsvc.escaping import escaped
from authsvc.payloads.apps import App
from authsvc.settings.types import SecretText, check_appkey, check_master_secret, sentences

MAX_BYTES = 4_194_304  # some 30 000 apps


class _AppTable(BaseModel):
    """One `[apps.<appkey>]` table of the apps file."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, strict=True)

    master_secret: SecretText
    previous_master_secret: SecretText | None = None
    flag: int = Field(0, ge=0, le=1)
    default: bool = False


def read(path: Path) -> tuple[App, ...]:
    """Return the apps in the file's order. Raises ValueError with a line for each fault, without any secret."""
    tables = _tables(path)
    found = tables.pop("apps", None)
    if tables or not isinstance(found, dict) or not found:
        raise ValueError("AUTHSVC_APPS_FILE: must contain tables named [apps.<appkey>], and nothing else")
    apps, faults = [], []
    for appkey, table in found.items():
        try:
            check_appkey(appkey)
            if not isinstance(table, dict):
                raise ValueError("must be a table")  # noqa: TRY004, TRY301 -- a fault of the file, reported with the others
            app = App(appkey, **dict(_AppTable.model_validate(table)))
            for secret in filter(None, (app.master_secret, app.previous_master_secret)):
                check_master_secret(secret)
            apps.append(app)
        except ValidationError as exc:
            faults += [f"AUTHSVC_APPS_FILE: apps.{escaped(appkey)}: {fault}" for fault in sentences(exc)]
        except ValueError as exc:
            faults.append(f"AUTHSVC_APPS_FILE: apps.{escaped(appkey)}: {exc}")
    if sum(app.default for app in apps) > 1:
        faults.append("AUTHSVC_APPS_FILE: only one app may have default = true")
    if faults:
        raise ValueError("\n".join(faults))
    return tuple(apps)


def _tables(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) <= MAX_BYTES:
            return tomllib.loads(content.decode())
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as exc:  # also for too many digits or levels
        # A parse error has a line and column or a name, never the text.
        raise ValueError(f"AUTHSVC_APPS_FILE: cannot be read: {exc}") from None
    raise ValueError(f"AUTHSVC_APPS_FILE: is larger than {MAX_BYTES} bytes")
