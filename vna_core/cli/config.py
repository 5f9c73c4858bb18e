"""``vna config``: what the settings are, and whether a file is right."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import typer
import yaml

from vna_core.access.policy import Policy
from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.cli.options import AsJson, Config, Data, print_json
from vna_core.configuration import load_settings
from vna_core.ingest.normalize import SiteRules

_SECRET = re.compile("secret|token|password|passphrase|connection_string|account_key|sas", re.IGNORECASE)
_SECRET_IN_URL = re.compile(r"((?:^[a-z+]+://[^/@?#:]*:)(?=[^/@?#]*@)|[?&](?:token|password|secret)=)[^&#@]+", re.IGNORECASE)
HIDDEN = "(hidden)"

app = typer.Typer(help="Show and check the configuration.", no_args_is_help=True)


@app.command("show", epilog="Example:\n\n`vna config show --config /etc/vna.yaml`")
def show(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print every setting as file, environment and flags make it. Secrets of stores and sources are hidden."""
    settings = load_settings(config, {"data": str(data) if data is not None else None})
    document = json.loads(settings.model_dump_json(by_alias=True))
    for store in document["stores"].values():
        store["options"] = _without_secrets(store["options"])
    for source in document["sources"].values():
        source["options"] = _without_secrets(source["options"])
        source["url"] = _secret_hidden(source["url"])
    document["jobs"]["options"] = _without_secrets(document["jobs"]["options"])
    if document["catalogue"]["url"]:
        document["catalogue"]["url"] = _secret_hidden(document["catalogue"]["url"])
    if as_json:
        print_json(document)
    else:
        sys.stdout.write(yaml.safe_dump(document, sort_keys=False))


@app.command("check", epilog="Example:\n\n`vna config check --config /etc/vna.yaml`")
def check(config: Config = None) -> None:
    """Read the configuration; the first mistake is named with its line."""
    settings = load_settings(config)
    SiteRules.of(settings)
    Policy(settings)
    PlacementPolicy.of(settings)
    sys.stdout.write("The configuration is right.\n")


def _secret_hidden(url: str) -> str:
    return _SECRET_IN_URL.sub(rf"\1{HIDDEN}", url)


def _without_secrets(options: Any) -> Any:
    if isinstance(options, str):
        return _secret_hidden(options)
    if not isinstance(options, dict):
        return options
    return {name: HIDDEN if _SECRET.search(name) and value else _without_secrets(value) for name, value in options.items()}
