"""``vna config``: what the settings are, and whether a file is right."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from vna_core.access.policy import Policy
from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.cli.options import AsJson, Config, Data, print_json
from vna_core.configuration import Settings, load_settings
from vna_core.dicom.network.tls import Certificate
from vna_core.dicom.network.tls.inspection import check as check_certificates
from vna_core.dicom.network.tls.inspection import findings
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
def check(config: Config = None) -> int:
    """Read the configuration, and the certificates that it names; the first mistake is named with its line."""
    settings = load_settings(config)
    SiteRules.of(settings)
    Policy(settings)
    PlacementPolicy.of(settings)
    wrong = _told(settings)
    if not wrong:
        sys.stdout.write("The configuration is right.\n")
    return 1 if wrong else 0


@app.command("certificate", epilog="Example:\n\n`vna config certificate /etc/vna/ct1.pem`")
def certificate(
    file: Annotated[Path, typer.Argument(help="Certificate in PEM form; of several the first.")], as_json: AsJson = False
) -> None:
    """Show a certificate's fingerprint and subject, as `certificates` of a peer takes them, and when it is good."""
    found = Certificate.of_file(str(file))
    shown = {
        "fingerprint": found.fingerprint,
        "subject": found.subject,
        "issuer": found.issuer,
        "begins": found.begins.isoformat(),
        "ends": found.ends.isoformat(),
    }
    if as_json:
        print_json(shown)
    else:
        sys.stdout.write("".join(f"{name + ':':13}{value}\n" for name, value in shown.items()))


def _told(settings: Settings) -> bool:
    """Say on standard error what is to be said of certificates; whether any of it does harm now. Raises ConfigurationError."""
    check_certificates(settings)
    told = list(findings(settings))
    for one in told:
        sys.stderr.write(f"{'error' if one.is_error else 'warning'}: {one.message}\n")
    return any(one.is_error for one in told)


def _secret_hidden(url: str) -> str:
    return _SECRET_IN_URL.sub(rf"\1{HIDDEN}", url)


def _without_secrets(options: Any) -> Any:
    if isinstance(options, str):
        return _secret_hidden(options)
    if not isinstance(options, dict):
        return options
    return {name: HIDDEN if _SECRET.search(name) and value else _without_secrets(value) for name, value in options.items()}
