"""The rules of DESIGN section 2 about who may import whom, as one function that a test can feed planted violations.

pipelines -> stages/<family> -> stages/text, stages/model -> data_specs
"""

from __future__ import annotations

#: Libraries without stages, open to every family.
LIBRARIES = ("stages.text", "stages.model")
#: Contracts every family stands on.
CONTRACTS = ("stages.base",)
#: third-party package -> the only places that may import it
HOMES = {
    "ray": ("pipelines.execution",),
    "hydra": ("pipelines",),
    "omegaconf": ("pipelines",),
    "torch": ("stages.model", "stages.pretrain", "stages.evaluate"),
}
OURS = ("data_specs", "stages", "pipelines", "conf", "tests")


def inside(module: str, *roots: str) -> bool:
    """Whether ``module`` is one of ``roots`` or lies below one."""
    return any(module == root or module.startswith(root + ".") for root in roots)


def family(module: str) -> str | None:
    """``stages.dedup`` for any module of that family; None for libraries, contracts and everything else."""
    parts = module.split(".")
    if parts[0] != "stages" or len(parts) < 2 or inside(module, *LIBRARIES, *CONTRACTS, "stages.catalog"):
        return None
    return ".".join(parts[:2])


def broken_rule(module: str, imported: str) -> str | None:
    """Why ``module`` must not import ``imported``, or None when it may."""
    root = imported.split(".")[0]
    if root in HOMES and not inside(module, *HOMES[root]):
        return f"{root} may be imported only in {', '.join(HOMES[root])}"
    if root not in OURS:
        return None
    if root == "tests":
        return "nothing that is installed may import tests"
    if not inside(imported, *_allowed(module)):
        return f"{module} may import, of ours, only {', '.join(_allowed(module))}"
    return None


def _allowed(module: str) -> tuple[str, ...]:
    if inside(module, "pipelines"):
        return ("pipelines", "stages", "data_specs", "conf")
    own_family = family(module)
    if own_family:
        return (own_family, *LIBRARIES, *CONTRACTS, "data_specs")
    for library in LIBRARIES:
        if inside(module, library):
            return (library, "data_specs")
    if inside(module, "stages"):  # the contracts and the catalogue
        return (*CONTRACTS, "data_specs")
    return (module.split(".")[0],)
