"""The rules of a recipe whose images have several labels: which fields have no meaning for them, or none yet."""

from tlmed.sections import Images
from tlmed.tasks import MULTI_LABEL


def find_label_faults(recipe) -> list[str]:
    """Return a sentence for each field of a recipe that does not go with several labels of an image."""
    data = recipe.data
    rules = (
        ("data.positive", "None", data.positive, data.positive is None),
        ("data.order", "None", data.order, data.order is None),
        (
            "sampling",
            "'none' (class_weight='balanced' balances each label)",
            recipe.sampling,
            recipe.sampling == "none",
        ),
        ("costs", "None", recipe.costs, recipe.costs is None),
        ("cost_ratio", "None", recipe.cost_ratio, recipe.cost_ratio is None),
        ("logit_adjustment", "None", recipe.logit_adjustment, recipe.logit_adjustment is None),
        ("threshold", "another one", recipe.threshold, recipe.threshold != "costs"),
        ("prevalence", "None", recipe.prevalence, recipe.prevalence is None),
    )
    return [
        f"`{field}` must be {right} where images have several labels. Received: {field.split('.')[-1]}={value!r}."
        for field, right, value, is_kept in rules
        if not is_kept
    ]


def find_task_conflicts(recipe) -> list[str]:
    """Return the same as far as the recipe alone shows several labels, and a sentence if `task` denies them."""
    if not isinstance(recipe.data, Images):
        return []
    if recipe.resolved_task == MULTI_LABEL:
        return find_label_faults(recipe)
    if recipe.data.label_columns is None:
        return []
    rule = "`task` must be 'auto' or 'multi-label' where `data.label_columns` names several labels."
    return [f"{rule} Received: task={recipe.task!r}."]
