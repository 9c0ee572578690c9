"""What the gate compared, as a CI wants it: Markdown for a step's summary, annotations of GitHub Actions, JUnit XML."""

from xml.etree import ElementTree

from hw_sim.energy.gate import Line, Verdict

HEAD = ("row", "quantity", "before", "now", "change", "limit", "")


def sentence(verdict: Verdict) -> str:
    """The outcome in one line."""
    compared = f"{len(verdict.lines)} quantities compared"
    if not verdict.quality:
        compared += ", quality not measured"
    if verdict.dead:
        return f"Regressed: {', '.join(verdict.dead)} is dead (density 0, no spike reaches a matrix); {compared}"
    if verdict.worse:
        worst = max(verdict.worse, key=lambda line: line.change - line.limit)
        return f"Regressed: {len(verdict.worse)} of {compared}; worst: {told(worst)}"
    return f"No regression: {compared}; largest change: {told(max(verdict.lines, key=lambda line: line.change))}"


def told(line: Line) -> str:
    return f"{line.quantity} of {line.row} {line.change:+.2%} (limit {line.limit:+.2%})"


def cells(verdict: Verdict) -> list[list[str]]:
    """One row of text a quantity, under HEAD."""
    return [
        [line.row, line.quantity, amount(line.before, line.unit), amount(line.after, line.unit),
         f"{line.change:+.2%}", f"{line.limit:+.2%}", "REGRESSED" if line.regressed else "ok"]
        for line in verdict.lines
    ]  # fmt: skip


def amount(value: float, unit: str) -> str:
    return f"{value:,.4f} {unit}".rstrip() if value < 1000 else f"{value:,.0f} {unit}".rstrip()


def summary(verdict: Verdict) -> str:
    """Markdown for GITHUB_STEP_SUMMARY."""
    rows = [list(HEAD), ["---"] * len(HEAD), *cells(verdict)]
    table = "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in rows)
    return f"### Energy gate\n\n{sentence(verdict)}\n\n{table}\n"


def annotations(verdict: Verdict) -> list[str]:
    """Workflow commands: an error for each regression, else a notice."""
    errors = [f"{told(line)}: {amount(line.before, line.unit)} -> {amount(line.after, line.unit)}"
              for line in verdict.worse]  # fmt: skip
    if verdict.dead:
        errors.insert(0, sentence(verdict))
    kind = "error" if errors else "notice"
    return [f"::{kind} title=Energy gate::{escaped(text)}" for text in errors or [sentence(verdict)]]


def escaped(text: str) -> str:
    """Text as a workflow command's message."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def junit(verdict: Verdict) -> str:
    """A test suite with a case a quantity, and one for whether the model is alive."""
    failures = len(verdict.worse) + bool(verdict.dead)
    suite = ElementTree.Element(
        "testsuite", name="spikegpt energy gate", tests=str(len(verdict.lines) + 1), failures=str(failures), errors="0"
    )
    alive = ElementTree.SubElement(suite, "testcase", classname="energy.model", name="spikes reach the matrices")
    if verdict.dead:
        ElementTree.SubElement(alive, "failure", message=sentence(verdict))
    for line, row in zip(verdict.lines, cells(verdict), strict=True):
        case = ElementTree.SubElement(suite, "testcase", classname=f"energy.{line.row}", name=line.quantity)
        text = f"{row[2]} -> {row[3]}, {row[4]}, limit {row[5]}"
        if line.regressed:
            ElementTree.SubElement(case, "failure", message=text)
        else:
            ElementTree.SubElement(case, "system-out").text = text
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True) + "\n"
