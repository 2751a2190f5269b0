"""Adapters of a phase: their names, and which other fields rule them out."""

LORA, SSF, BITFIT = "lora", "ssf", "bitfit"
ADAPTERS = (LORA, SSF, BITFIT)
RANK = 8  # of LoRA, where a phase says none
# How the faults of a network begin whose layers take no adapter, or none of the rank that was asked for.
NONE_FITS, RANK_TOO_HIGH = "`adapt` must be None where no thawed block has", "`rank` must be at most"


def find_adapter_conflicts(phase, path: str) -> list[str]:
    """Return one sentence for each field of a phase that does not go with its adapter, or needs one."""
    faults = []
    if phase.rank is not None and phase.adapt != LORA:
        faults.append(
            f"`{path}rank` must be None without adapt={LORA!r}. "
            f"Received: rank={phase.rank!r} with adapt={phase.adapt!r}."
        )
    if phase.adapt is None:
        return faults
    if phase.thaw == 0:
        faults.append(
            f"`{path}adapt` must be None with thaw=0: only thawed blocks are adapted. "
            f"Received: adapt={phase.adapt!r} with thaw=0."
        )
    if phase.batch_norm != "frozen":
        faults.append(
            f"`{path}batch_norm` must be 'frozen' with an adapter, which leaves the network as it is. "
            f"Received: batch_norm={phase.batch_norm!r} with adapt={phase.adapt!r}."
        )
    if phase.rates != "given":
        faults.append(
            f"`{path}rates` must be 'given' with an adapter: rates are measured on weights, which stay. "
            f"Received: rates={phase.rates!r} with adapt={phase.adapt!r}."
        )
    if phase.l2_sp and phase.adapt != BITFIT:
        faults.append(
            f"`{path}l2_sp` must be 0 with adapt={phase.adapt!r}, which moves no pretrained weight while it trains. "
            f"Received: l2_sp={phase.l2_sp!r}."
        )
    return faults
