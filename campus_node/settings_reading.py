"""What settings of node, gateway and terminal have in common: a TOML file, and the environment over it."""

import os
import tomllib
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from campus_node import settings_checks as checks
from campus_node.settings_mistakes import WrongSettings, mistakes_in_environment, mistakes_in_values
from campus_node.wording import Sentence
from federation.errors import Misconfigured

NESTED_BY: Final = "__"

Whole = Annotated[int, BeforeValidator(checks.no_truth_value)]
Seconds = Annotated[float, BeforeValidator(checks.no_truth_value)]
Name = Annotated[str, AfterValidator(checks.name)]
Listen = Annotated[str, AfterValidator(checks.listen)]
PathText = Annotated[str, AfterValidator(checks.path)]


class Section(BaseModel):
    """A section of a file: nothing unknown in it, nothing changed later."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class LogSection(Section):
    """What a process writes about itself."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="debug, info, warning or error", examples=["info"]
    )
    format: Literal["logfmt", "json"] = Field(
        default="logfmt", description="logfmt (key=value) or json, one event a line", examples=["logfmt"]
    )


class FileSettings(BaseSettings):
    """Settings whose sections stand in a file and may be overridden by the environment."""

    model_config = SettingsConfigDict(env_nested_delimiter=NESTED_BY, extra="forbid", frozen=True)

    # The library calls it with all sources by these names; we want two.
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


Schema = TypeVar("Schema", bound=FileSettings)


def read_text(path: Path, absent: Sentence) -> str:
    """Return the text of a file of settings.

    Args:
        absent: what to say, and to do, where there is no such file.

    Raises:
        Misconfigured: it is not there, no UTF-8, or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise Misconfigured(absent) from error
    except UnicodeDecodeError as error:
        raise Misconfigured(
            Sentence("{path} is not UTF-8 text: save it again with that encoding", path=path)
        ) from error
    except OSError as error:
        raise Misconfigured(
            Sentence("{path} cannot be read: {reason}", path=path, reason=error.strerror)
        ) from error


# tomllib gives Any; pydantic decides what it is worth.
def values_in(text: str, path: Path) -> dict[str, Any]:
    """Return what a TOML text says, by section. Raise Misconfigured if it is none.

    Args:
        path: where the text is, for messages.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(
            Sentence(
                "{path} is no valid TOML: {reason}. Text stands in quotes, sections in [brackets]",
                path=path,
                reason=error,
            )
        ) from error


def check_environment(schema: type[FileSettings]) -> None:
    """Raise WrongSettings if a variable with the prefix of these settings names nothing in them."""
    unknown = mistakes_in_environment(schema, os.environ, prefix_of(schema))
    if unknown:
        raise WrongSettings(unknown)


def settings_of(schema: type[Schema], values: dict[str, Any], text: str, path: Path) -> Schema:
    """Return the settings that values and the environment give.

    Args:
        values: of the file.
        text, path: what the file says and where it is, for messages.

    Raises:
        WrongSettings: at least one value is wrong; lists all of them.
    """
    try:
        return schema(**values)
    except ValidationError as error:
        prefix = prefix_of(schema)
        raise WrongSettings(mistakes_in_values(schema, error, path, text, os.environ, prefix)) from error


def prefix_of(schema: type[FileSettings]) -> str:
    """Return what the names of the variables for these settings begin with."""
    return schema.model_config.get("env_prefix", "")
