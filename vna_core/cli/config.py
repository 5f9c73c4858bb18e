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

_SECRET = re.compile("secret|token|passw|passphrase|pwd|connection_string|credential|authorization", re.IGNORECASE)
_SECRET_OPTION = re.compile(
    f"{_SECRET.pattern}|account_key|access_key|private_?key|api.?key|pkey|^key$|^auth$|sas|cookie|signature", re.IGNORECASE
)
"""Names of secrets among the options of a plugin: where it hands them on to a library, they are that library's."""
_SECRET_IN_URL = re.compile(
    r"(?:(?P<user>^[a-z0-9+.-]+://[^/@?#:]*:)[^/?#]+(?=@)|(?P<name>[?&][a-z_-]*(?:token|password|secret|signature|sig)=)[^&#]+)",
    re.IGNORECASE,
)
HIDDEN = "(hidden)"

app = typer.Typer(help="Show and check the configuration.", no_args_is_help=True)


@app.command("show", epilog="Example:\n\n`vna config show --config /etc/vna.yaml`")
def show(data: Data = None, config: Config = None, as_json: AsJson = False) -> None:
    """Print every setting as file, environment and flags make it. Secrets are hidden."""
    settings = load_settings(config, {"data": str(data) if data is not None else None})
    document = _without_secrets(json.loads(settings.model_dump_json(by_alias=True)))
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
    return _SECRET_IN_URL.sub(lambda match: f"{match['user'] or match['name']}{HIDDEN}", url)


def _without_secrets(value: Any, *, is_option: bool = False) -> Any:
    """A setting, or several, without what opens something. Only digests of our own tokens are in the configuration: they stay."""
    if isinstance(value, str):
        return _secret_hidden(value)
    if isinstance(value, list):
        return [_without_secrets(one, is_option=is_option) for one in value]
    if not isinstance(value, dict):
        return value
    shown = {}
    for name, one in value.items():
        is_secret = _SECRET_OPTION.search(name) if is_option else _SECRET.search(name) and not isinstance(one, dict)
        shown[name] = HIDDEN if is_secret and one else _without_secrets(one, is_option=is_option or name == "options")
    return shown
