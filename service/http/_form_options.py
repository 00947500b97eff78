"""Options in a form, which count like those of the query; no option may be given in both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from service.enhancement import EnhanceOptions
from service.errors import InvalidParameter
from service.http._problems import explain


def with_form(options: EnhanceOptions, query: Mapping[str, str], form: Mapping[str, str]) -> EnhanceOptions:
    """The options of a query, which were checked before, together with those of a form.

    Raises:
        InvalidParameter: a field of the form is not an option, is in the query as well, or has a wrong value.
    """
    if not form:
        return options
    if unknown := sorted(set(form) - set(EnhanceOptions.model_fields)):
        known = ", ".join(EnhanceOptions.model_fields)
        raise InvalidParameter(
            f"the form has the field {unknown[0][:64]!r}, which is not an option; the options are {known}"
        )
    if twice := sorted(set(form) & set(query)):
        raise InvalidParameter(f"{twice[0]} is given in the query and in the form; give it once")
    try:
        return EnhanceOptions.model_validate({**query, **form})
    except ValidationError as error:
        raise InvalidParameter(explain(error.errors())) from None


def form_properties(options: type[BaseModel]) -> dict[str, Any]:
    """The options as properties of a form's schema, with references resolved."""
    schema = options.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix("#/$defs/")
            found = {**definitions[name], **part} if name in definitions else part
            return {key: resolved(value) for key, value in found.items() if key != "$ref" or name not in definitions}
        return [resolved(item) for item in part] if isinstance(part, list) else part

    return {name: resolved(part) for name, part in schema["properties"].items()}
