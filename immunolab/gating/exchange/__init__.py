"""Gates in from FlowJo and Gating-ML, and out again."""

from immunolab.gating.exchange.flowjo_out import WorkspaceSample, write_workspace
from immunolab.gating.exchange.gatingml import read_gatingml
from immunolab.gating.exchange.gatingml_out import write_gatingml
from immunolab.gating.exchange.workspace import read_workspace
from immunolab.gating.exchange.workspace_model import Workspace

__all__ = ["Workspace", "WorkspaceSample", "read_gatingml", "read_workspace", "write_gatingml", "write_workspace"]
