"""How the report counts, in words: the appendix of every form of it."""

# ruff: noqa: E501 (prose)

METHOD = (
    (
        "Counts",
        "Exact 64-bit integers. Dense is fan-in times fan-out of every matrix. An operation is an accumulate (AC, a "
        "binary synaptic operation) only where the structure of the graph feeds the matrix from spiking neurons through "
        "nothing but delays; values alone do not decide, as a dead layer looks binary. Real inputs give effective MACs: "
        "non-zero inputs times fan-out. Integer events would be graded, priced as multiply and add.",
    ),
    (
        "Transformer",
        "A GPT of the same layers, width and vocabulary: 12 L d^2 + d V + 2 t d L multiply-accumulates at position t "
        "(decode), d (T + 1) L of attention as a mean over a window, the same in prefill with weights read once for the "
        "whole prompt. Its keys and values are read and written.",
    ),
    (
        "Element-wise work",
        "mul, add, cmp, exp, div and sqrt outside the matrices, counted from the plan that is executed, never priced by "
        "the 45 nm profiles and listed as unpriced.",
    ),
    (
        "Memory",
        "Every tensor sits in the smallest of 8 KB, 32 KB, 1 MB and DRAM that holds it. Densely used weights are read "
        "once for all streams of a batch; every spike event reads its own weights, and reads and writes its accumulator.",
    ),
    (
        "Break-even",
        "r* is the density of matrix inputs at which spikes cost what dense multiply-accumulates do: "
        "(E_mac + E_w / B) / (E_ac + E_w + E_v). Above 1 a profile can never favour the dense side.",
    ),
    (
        "Quality",
        "Bits per byte are measured on the named text with the very run that is counted; where a row was not run, it says "
        "so. Published figures are of other texts and units and not comparable.",
    ),
    (
        "Technologies",
        "Energies of different technologies are never divided by each other. No energy per operation is published for "
        "Loihi 2; the tool refuses to invent one.",
    ),
)
