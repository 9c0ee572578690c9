"""The parts of tests/energy_example.py: rows, ratios, matrices, populations and scenarios of invented round figures."""

from hw_sim.energy.chips import ChipColumn, RowCounts, Site, chip_column
from hw_sim.energy.schema import (
    CHIP,
    Activity,
    Column,
    Comparison,
    DensePoint,
    EqualCost,
    EqualQuality,
    Row,
    Scenario,
    Shape,
)

SHAPE = Shape(2, 64, 256)


COLUMNS = tuple(
    Column.of(profile, precision)
    for profile, precisions in {
        "45nm-compute": ("fp32", "fp16", "int8"),
        "45nm-memory": ("fp32", "int8"),
        "lemaire2022": ("fp32", "int8"),
        "loihi1-presilicon": (CHIP,),
        "loihi1-silicon": (CHIP,),
    }.items()
    for precision in precisions
)


UNIT = {"fp32": 1.0, "fp16": 0.5, "int8": 0.2, CHIP: 0.3}  # microjoules


def energy(scale: float, column: Column, context: int = 256, batch: int = 1) -> float:
    """Joules a token, made up, each different."""
    own = COLUMNS.index(column) + 1 if column in COLUMNS else 1
    return scale * UNIT[column.precision] * (1 + own / 10) * (1 + context / 1000) / batch**0.5 * 1e-6


def row(name: str, role: str, scale: float, columns: tuple[Column, ...], precision: str | None, **more) -> Row:
    """A model whose energies are `scale` times the unit; a chip prices what spikes."""
    spiking = role in ("subject", "int8")
    priced = {
        c.name: energy(scale, c) if precision in (None, c.precision) and (spiking or c.precision != CHIP) else None
        for c in columns
    }
    settings = {
        "variant": "spike-driven" if spiking else name.partition("-")[0],
        "shape": SHAPE,
        "counts": "counted on the text" if spiking else "counted from shapes",
        "dense": 100_000.0,
        "effective_macs": 8_000.0 * scale,
        "effective_acs": 4_000.0 if spiking else 0.0,
        "graded": 0.0,
        "synops": 8_000.0 * scale + 4_000.0 * spiking,
        "all_operations": 16_000.0 * scale,
        "elementwise": {"mul": 500.0, "add": 400.0, "cmp": 30.0, "exp": 20.0, "div": 10.0, "sqrt": 1.0},
        "components": {"layer_norm": {"mul": 500.0, "add": 400.0}, "wkv": {"exp": 20.0}},
        "neuron_updates": 1280.0,
        "neurons_active": 300.0,
        "spikes": 120.0 if spiking else None,
        "bytes": {"int8": {"8KB": 1000.0, "DRAM": 20.0}},
        "weight_words": 100_000,
        "state_words": 600.0,
        "kv_words": 0 if spiking else 65_536,
        "energy_j": priced,
        "range_j": {name: (value * 0.8, value * 1.3) for name, value in priced.items() if value},
        "energy_terms_j": {
            name: {"multiply-accumulates": value * 0.2, "weight reads": value * 0.7, "element-wise": value * 0.1}
            for name, value in priced.items()
            if value
        },
        "unpriced": {name: {"embedding": 64.0} for name, value in priced.items() if value},
        "totals": {"tokens": 512, "dense": 51_200_000},
        "grades": {"dense": "counted", "energy_j": "modelled"},
    }
    return Row(name=name, role=role, precision=precision, **(settings | more))


def compared(reference: Row, own: Row, column: Column, columns: tuple[Column, ...]) -> Comparison | None:
    theirs, ours = reference.energy_j[column.name], own.energy_j[column.name]
    if theirs is None or ours is None:
        return None
    ratio = theirs / ours
    return Comparison(
        reference=reference.name,
        subject=own.name,
        column=column.name,
        ratio=ratio,
        low=ratio * 0.7,
        high=ratio * 1.4,
        by_alternative={"DRAM at 2.6 nJ": ratio * 1.4, "all in 1 MiB": ratio * 0.7},
        window_mean=ratio * 0.9,
        assumptions=(),
        grade="modelled",
    )


def chip(name: str) -> ChipColumn:
    """Of a row on a chip that was not mapped."""
    site = Site(
        technology="loihi1", chip="Loihi 1", how="at least, from the shape", cores=12, chips=1, graded_values=False
    )
    counts = RowCounts(synops=12_000.0, all_operations=16_000.0, multiply_accumulates=8_000.0,
                    elementwise={"layer_norm": 900.0, "wkv": 20.0})  # fmt: skip
    terms = {"accumulates": 4.25e-6, "static power": 104e-6}
    return chip_column("loihi1-silicon", name, "fitted", site, terms, 0.104, counts)


def equal_quality(columns: tuple[Column, ...], name: str) -> EqualQuality:
    points = [("twin64", False, 2.4, 0.3), ("twin256", False, 1.8, 2.0), (name, True, 1.9, 1.0)]
    return EqualQuality(
        available=True,
        reason="",
        tokens=512,
        points=tuple(
            DensePoint(
                name=n,
                spiking=spiking,
                source="this report" if spiking else "shipped sweep",
                shape=SHAPE,
                bits_per_byte=bpb,
                cost={c.name: energy(scale, c) for c in columns}
                | {"operations": 8000 * scale, "all_operations": 9000 * scale},
            )
            for n, spiking, bpb, scale in points
        ),
        fronts={c.name: ("twin64", "twin256") for c in columns},
        verdicts=tuple(
            EqualCost(
                row=name,
                column=c.name,
                ratio=0.66,
                low=0.5,
                high=0.9,
                bound=False,
                between=("twin64", "twin256"),
                text="0.66 times",
            )
            for c in columns
        ),
    )


def matrix(name: str, columns: tuple[Column, ...]) -> dict:
    spiking = name != "head"
    return {
        "name": name,
        "input": "spikes" if spiking else "real",
        "observed": {"zeros": 0.95, "binary": 1.0, "integers": 1.0},
        "density": 0.05 if spiking else 1.0,
        "synops_per_token": 205.0,
        "dense_per_token": 4096,
        "break_even": {c.name: 0.5 for c in columns},
        "margin": {c.name: 10.0 for c in columns},
    }


def population(name: str, i: int) -> Activity:
    return Activity(
        name=name,
        neurons=64,
        rate=0.05 * (i + 1),
        histogram=(3, 5, 10, 20, 15, 5, 3, 1, 1, 0, 1),
        dead_count=3,
        saturated_count=1,
        dead=(1, 5, 9),
        saturated=(40,),
        sampled=(0, 16, 32, 48),
        raster_tokens=64,
        raster=tuple((t, n) for t in range(64) for n in (0, 16, 32, 48) if (t * 7 + n + i) % 13 == 0),
    )


def scenario(rows: list[Row], columns: tuple[Column, ...], context: int, batch: int) -> Scenario:
    scales = {"gpt-fp32": 12.0, "gpt-int8": 11.0, "continuous": 3.0}
    joules = {
        r.name: {
            c.name: energy(scales.get(r.name, 1.0), c, context if r.role == "transformer" else 256, batch)
            for c in columns
            if r.energy_j[c.name]
        }
        for r in rows
    }
    own = joules[rows[3].name]
    ratios = {
        r.name: {c: (j / own[c], j / own[c] * 0.7, j / own[c] * 1.4) for c, j in joules[r.name].items()}
        for r in rows[:3]
    }
    return Scenario(
        context=context,
        batch=batch,
        ratios=ratios,
        energy_terms_j={
            n: {c: {"weight reads": j * 0.9, "multiply-accumulates": j * 0.1} for c, j in cs.items()}
            for n, cs in joules.items()
        },
    )
