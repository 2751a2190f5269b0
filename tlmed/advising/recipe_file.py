"""The advice as a recipe: short, commented, to be edited, each setting with its reason."""

import re
import textwrap
from collections.abc import Mapping, Sequence

from tlmed.recipe import Recipe, to_source
from tlmed.recipe.source import WIDTH

_FIELD = re.compile(r"(\s+)(\w+)=")


def write_recipe(recipe: Recipe, reasons: Mapping[str, str], story: Sequence[str]) -> str:
    """Return the code of a recipe with a comment above each field that has a reason.

    Args:
        recipe: The recipe.
        reasons: The name of a field, such as "backbone" or "data.image_size", to why it is as it is.
        story: Sentences for the docstring, and commands, which stay in one line.

    >>> from tlmed.sections import Images, Phase
    >>> recipe = Recipe(Images("a/"), "VGG16", (Phase("head", thaw=0, epochs=5, learning_rate=1e-3),))
    >>> write_recipe(recipe, {"backbone": "The best probe."}, ["Found."]).splitlines()[-4:-2]
    ['    # The best probe.', '    backbone="VGG16",']
    """
    lines, said = [], set()
    story = [each if each.startswith("tlmed ") else textwrap.fill(each, WIDTH - 2) for each in story]
    for line in to_source(recipe, "\n\n".join(story)).splitlines():
        found = _FIELD.match(line)
        if found and found[2] not in said:
            said.add(found[2])
            for name, reason in reasons.items():
                if name.partition(".")[0] == found[2] and len(found[1]) == 4:
                    lines += textwrap.wrap(reason, WIDTH, initial_indent="    # ", subsequent_indent="    # ")
        lines.append(line)
    return "\n".join(lines) + "\n"
