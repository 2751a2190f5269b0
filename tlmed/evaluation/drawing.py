"""The look of plots: colours that the colour-blind can tell apart, legends that cover nothing, plain axes."""

# Okabe & Ito, Color Universal Design, 2008; yellow left out: it vanishes on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
LINES = ("-", "--", ":", "-.")
# Colour, line and marker: told apart in grey too.
VALIDATION_STYLE = (COLOURS[0], "-", "o")
TEST_STYLE = (COLOURS[1], "--", "s")
UNNAMED = "#BBBBBB"  # the colour of curves without a name, where there are many


def add_legend(axes, lines: int = 1, **options) -> bool:
    """Add a legend below axes, where it covers nothing, and say so; matplotlib warns where there is nothing to name.

    Args:
        axes: Drawn and labelled.
        lines: Of text below the ticks, which the legend leaves free besides one of ticks.
        **options: As for `axes.legend`.
    """
    named = bool(axes.get_legend_handles_labels()[0])
    if named:
        # `borderaxespad` is in heights of letters.
        place = {"loc": "upper left", "bbox_to_anchor": (0, 0), "borderaxespad": 2.4 + 1.6 * lines}
        axes.legend(frameon=False, fontsize="small", **place, **options)
    return named


def tidy(axes, **labels) -> None:
    """Give axes their labels, a faint grid and no frame."""
    axes.set(**labels)
    axes.grid(color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def literal(text: str) -> str:
    """Return text that matplotlib shows as it is: dollar signs would begin a formula."""
    return str(text).replace("$", r"\$")
