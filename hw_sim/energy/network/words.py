"""A network's report in sentences: the verdict with its range, what stands against it, what the numbers are."""

from hw_sim.energy.method import METHOD as OF_TOKENS
from hw_sim.energy.network.report import NETWORK, ONCE, TWIN, NetworkReport
from hw_sim.energy.schema import Column, Finding
from hw_sim.energy.summary import compared, digits, times

LABELS = {
    TWIN: "the same network without spikes, run at every step,",
    ONCE: "the same network without spikes, run once a sample,",
}
SHARED = ("Words", "Memory", "Ranges", "Technologies")  # what is said of reports of tokens and holds here
METHOD = (
    *(said for said in OF_TOKENS if said[0] == SHARED[0]),
    (
        "Counts",
        "One weight applied to one input is an operation. It is an accumulate where the structure of the network feeds the matrix or convolution from spiking neurons, or the inputs are spikes; graded where it is fed sums of spikes; a multiply-accumulate on anything else. Inputs of zero are skipped; taps in the padding are none.",  # noqa: E501
    ),
    (
        "Twins",
        "The twin has the same weights, reads real numbers, none of them zero, and has a ReLU where a neuron fires. It is run at every step, as the network is, and once on the whole sample, as networks of frames are; the second is the stronger rival. Its counts follow from the shape; its quality nobody knows here.",  # noqa: E501
    ),
    (
        "Chips",
        "The row in int8 is the integer plan that a chip would run, spikes of the inputs sent by neurons of their own. Where our mapping places it, its spikes are priced with its messages and hops; what the chip does not run by itself stands beside the total.",  # noqa: E501
    ),
    *(said for said in OF_TOKENS if said[0] in SHARED[1:]),
)


def title(report: NetworkReport) -> str:
    return f"Energy of {report.network} on {report.recording}"


def verdict(report: NetworkReport) -> str:
    """One sentence: how many times the network's energy its twins take, each with its range over all prices."""
    if not report.row(NETWORK).spikes:
        return "No neuron fired on these inputs: nothing is claimed of a network that is silent."
    ranges = [
        (LABELS[name], min(s[1] for s in by.values()), max(s[2] for s in by.values()))
        for name, by in report.ratios.items()
        if by
    ]
    if not ranges:
        return "No price list of this report compares the network with its twins."
    return f"For each step {compared(ranges, 'the network')}."


def quality(report: NetworkReport) -> str:
    return "Quality: not known, as inputs have no labels here; a twin's is for who trains it to say."


def basis(report: NetworkReport) -> str:
    """What the numbers are."""
    return (
        f"Operations are counted by running the network on {report.steps:,} steps of {report.recording} "
        f"({report.time_step}); a twin's follow from the shape. Energy is modelled, operations times published prices, "
        f"none of it measured. A ratio says how many times the network's energy the other takes: above 1 spikes save."
        + "".join(f" {note[:1].upper()}{note[1:]}." for note in report.notes)
    )


def findings(report: NetworkReport) -> list[Finding]:
    """What each column says of each twin, the losses first; then what chips take."""
    found = [
        Finding(
            text=f"{LABELS[name].rstrip(',').capitalize()}, takes {times(ratio)} the network's energy "
            f"({digits(low)} to {digits(high)})",
            loses=ratio < 1,
            grade="modelled",
            column=column,
        )
        for name, by in report.ratios.items()
        for column, (ratio, low, high) in by.items()
    ]
    found.sort(key=lambda f: not f.loses)
    return [*found, *(Finding(text=f"{c.text}.", loses=False, grade="modelled", column=c.column) for c in report.chips)]


def shown_first(report: NetworkReport) -> Column | None:
    """The column a form starts with: of those that compare the twins, the one that leaves least unpriced."""
    own = report.row(NETWORK)
    priced = [c for c in report.columns if c.name in report.ratios[TWIN]]
    return min(priced, key=lambda c: len(own.unpriced[c.name]), default=None)
