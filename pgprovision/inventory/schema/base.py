"""What every part of an inventory has in common."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Frozen, and closed to unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)
