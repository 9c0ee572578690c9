"""A whole energy report by hand: every field filled, small, and with names that no form may obey."""

from hw_sim.energy.compressors import Compressed
from hw_sim.energy.host import Host, Measured, Spread
from hw_sim.energy.schema import (
    CHIP,
    Assumption,
    Column,
    EqualQuality,
    Finding,
    Report,
)
from hw_sim.energy.systems import System
from tests.energy_parts import COLUMNS, chip, compared, energy, equal_quality, matrix, population, row, scenario

REFERENCES = ("gpt-fp32", "gpt-int8", "continuous")
HOSTILE = "<script>alert(1)</script>|*[red]\u202e.pt"
CONTEXTS, BATCHES = (64, 256), (1, 8)


COMPRESSED = Compressed(name="xz", settings="LZMA2, preset 9", alone=3.125, after_training=2.375, training_bytes=9000)
HOST = Host(
    joules=True,
    what="measured: energy counters of package-0 [all of it]",
    zones=("package-0",),
    idle_w=10.0,
    repetitions=5,
    tokens=64,
    workloads=(
        Measured(
            name="simulator, int8",
            seconds=Spread(12.5e-6, 11.5e-6, 14.5e-6),
            joules=Spread(321e-6, 311e-6, 333e-6),
            net_joules=Spread(123e-6, 111e-6, 135e-6),
            by_zone={"package-0": 321e-6},
        ),
    ),
)
SYSTEM = System("Chip of others", "another network", "405 mJ a token", "chips alone", "measured", "arXiv 2503.18002")


def example(
    columns: tuple[Column, ...] = COLUMNS, *, counted: bool = True, equal: bool = True, name: str = "spike-driven"
) -> Report:
    """A report of `columns`; not counted: of assumed rates, without quality."""
    bpb = 1.9 if counted else None
    rows = [
        row("gpt-fp32", "transformer", 12.0, columns, "fp32", bits_per_byte=bpb and 2.2),
        row("gpt-int8", "transformer", 11.0, columns, "int8"),
        row("continuous", "derived", 3.0, columns, None, assumptions=(Assumption("zeros", "0.7", "by hand"),)),
        row(
            name,
            "subject",
            1.0,
            columns,
            None,
            bits_per_byte=bpb,
            file=HOSTILE,
            text_sha256="ab" * 32,
            bits_per_byte_interval=(1.84, 1.98) if counted else None,
        ),
    ]
    if counted:
        rows.append(row(f"{name}-int8", "int8", 0.9, columns, "int8", bits_per_byte=1.91))
    own = rows[3]
    comparisons = tuple(compared(reference, own, c, columns) for reference in rows[:3] for c in columns)
    comparisons = tuple(c for c in comparisons if c)
    ratios: dict[str, dict[str, float]] = {r.name: {"operations": r.synops / own.synops} for r in rows[:3]}
    for c in comparisons:
        ratios[c.reference][c.column] = c.ratio
    sides = {"gpt_j": 12.0, "continuous_j": 3.0, "ours_j": 1.0}
    priced = [c for c in columns if c.precision != CHIP]
    placed = counted and "loihi1-silicon" in {c.name for c in columns}

    def curve(scale: float, xs: list[float], power: float) -> dict[str, list[float]]:
        return {c.name: [energy(scale, c) * x**power for x in xs] for c in priced}

    return Report(
        model={"row": name, "variant": "spike-driven", "n_layer": 2, "d": 64, "vocab": 256, "weights": 100_000},
        measurement={
            "measured": counted,
            "tokens": 512 * counted,
            "context": 256,
            "mode": "decode",
            "batch": 1,
            "density": 0.05,
            "interval": {"level": 0.95, "block": 256, "draws": 2000, "seed": 0} if counted else None,
            "text": {"bytes": 600, "offset": 4096, "tokens": 512, "sha256": "cd" * 32} if counted else None,
        },
        columns=columns,
        rows=tuple(rows),
        comparisons=comparisons,
        ratios=ratios,
        equal_quality=equal_quality(columns, name)
        if equal and counted
        else EqualQuality(available=False, reason="nothing was run"),
        findings=(
            Finding(
                text="A smaller dense model is as good and cheaper.",
                loses=True,
                grade="modelled",
                column=columns[0].name if columns else None,
            ),
            Finding(text="A Transformer of the same shape costs more.", loses=False, grade="modelled"),
        ),
        verdicts={c.name: f"At {c.name}: by hand." for c in columns},
        profiles={
            c.profile: {
                "title": c.profile,
                "grade": "published",
                "source": "Horowitz 2014, doi:10.1109/ISSCC.2014.6757323",
                "scope": "all",
                "unpriced": ["messages"],
                "technology": c.profile.partition("-")[0],
            }
            for c in columns
        },
        break_even={c.name: 0.4 + 0.2 * i for i, c in enumerate(columns)},
        matrices=tuple(
            matrix(name, columns) for name in ("block0_att_key", "block0_ffn_value", "block1_att_key", "head")
        ),
        sweeps={
            "context": {
                "x": [16, 64, 256, 1024],
                **{
                    k: curve(v, [16, 64, 256, 1024], 0.3 * (k == "gpt_j"))
                    for k, v in sides.items()
                    if k != "continuous_j"
                },
            },
            "rate": {
                "x": [0.01, 0.1, 1.0],
                **{k: curve(v, [0.01, 0.1, 1.0], 0.9 * (k == "ours_j")) for k, v in sides.items() if k != "gpt_j"},
            },
            "batch": {"x": [1, 8, 64], **{k: curve(v, [1, 8, 64], -0.5 * (k != "ours_j")) for k, v in sides.items()}},
            "token_rate": {
                "x": [1.0, 1000.0],
                "static_j": {"loihi1-silicon": [0.1, 0.0001]} if placed else {},
                "chips": {"loihi1": 1},
            },
        },
        footprint=(
            {
                "chip": "Loihi 1",
                "cores": 12,
                "chips": 1,
                "synapses": 100_000,
                "neurons": 1280,
                "messages_per_token": 120.0,
                "hops_per_token": 30.0,
                "graded_messages_per_token": 900.0,
                "note": "",
            },
        )
        if counted
        else (),
        chips=(chip(f"{name}-int8"),) if placed else (),
        compressors=(COMPRESSED,) if counted else (),
        host=HOST if counted else None,
        systems=(SYSTEM,),
        paper_accounting={
            "context": 3072,
            "d": 512,
            "rate": 0.15,
            "ratio": 32.15,
            "grade": "assumed",
            "why_it_differs": "it multiplies by a rate.",
        },
        provenance={"command": "spikegpt energy-report " + HOSTILE, "spikegpt": "0.1", "text": HOSTILE},
        activity=tuple(population(f"block{i}_att_lif", i) for i in range(2)) if counted else (),
        scenarios=tuple(scenario(rows, columns, context, batch) for context in CONTEXTS for batch in BATCHES),
    )
