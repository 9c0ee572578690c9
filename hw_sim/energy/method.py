"""How the report counts, in words: the appendix of every form of it."""

# ruff: noqa: E501 (prose)

METHOD = (
    (
        "Words",
        "Counted: exact 64-bit integers of a run, or of shapes where nothing depends on the text. Assumed: a named assumption goes in, with its source. Modelled: counts times prices; every energy of this report. Measured: read off a run's predictions (bits per byte) or an instrument. Published: another's figure.",
    ),
    (
        "Counts",
        "Dense is fan-in times fan-out of every matrix. An operation is an accumulate (AC, a binary synaptic operation) only where the structure of the graph feeds the matrix from spiking neurons through nothing but delays; values alone do not decide, as a dead layer looks binary. Real inputs give effective MACs: non-zero inputs times fan-out. Integer events would be graded, priced as multiply and add.",
    ),
    (
        "Like with like",
        "A ratio stands only between rows counted on the same text, or where one follows from shapes; a twin or canonical row that was not run takes the share of zeros behind relu^2 of a shipped model, and says so. Never across precisions, never across technologies. In int8 columns all rows have the operations of the float model; the row -int8 is the integer plan itself, with the multiplication that scales each matrix.",
    ),
    (
        "Transformer",
        "A GPT of the same layers, width and vocabulary: 12 L d^2 + d V + 2 t d L multiply-accumulates at position t (decode), d (T + 1) L of attention as a mean over a window, the same in prefill. Keys and values are read and written, scores of attention never stored. The context is the one the model was trained at unless --context says otherwise. gpt-strong: int8, one head of keys and values, 90 % of hidden units zero.",
    ),
    (
        "Element-wise work",
        "mul, add, cmp, exp, div and sqrt outside the matrices (LayerNorm, token shift, WKV, sigmoid, gates, residuals, neurons; GELU and softmax of a Transformer), counted from the plan that is executed and priced; in int8 in 32-bit fixed point, as the integer plan does it.",
    ),
    (
        "Memory",
        "Every tensor, matrix by matrix and vector by vector, lies in a memory of its own size, whose price runs linearly between the published ones (8 KB, 32 KB, 1 MB), on along the last piece until DRAM is cheaper, and is that of 8 KB below. A spike event reads and writes its accumulator; a dense product keeps its sums in registers. Every operation reads its operand vectors and writes its result once.",
    ),
    (
        "Batch and prompt",
        "A row of weights that n tokens share is read once if any of them needs it: (1 - (1 - r)^n) / n reads a token at density r, tokens taken as independent; 1 / n where every input is active. States, caches and activations of all streams must fit where they lie.",
    ),
    (
        "Ranges",
        "Every ratio is given at the profile's prices and as the range over its named alternatives, each applied to both rows: memories one level up and down or as steps, DRAM at 2.6 nJ, 24-bit accumulators, 8-bit element-wise work, no activations, dearer exp and div.",
    ),
    (
        "Break-even",
        "r* is the density of matrix inputs at which spikes cost what dense multiply-accumulates do, of one projection: E_mac + E_w / n = r (E_ac + E_v) + E_w (1 - (1 - r)^n) / n. Above 1 a profile can never favour the dense side.",
    ),
    (
        "Equal quality",
        "Models scored on the same tokens of the same text lie in the plane of bits per byte and cost; the dense ones that no other beats are a front, and what a dense model of our quality costs is read off between two of them, the logarithm of cost linear in bits per byte. Shipped dense models are data: counts, scores and settings, without weights.",
    ),
    (
        "Quality",
        "Bits per byte are measured on the named text with the very run that is counted; where a row was not run, it says so. Published figures are of other texts and units and not comparable.",
    ),
    (
        "Technologies",
        "Energies of different technologies are never divided by each other. No energy per operation is published for Loihi 2; the tool refuses to invent one.",
    ),
)
