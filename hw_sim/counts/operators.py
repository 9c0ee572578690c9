"""What is known of torch by name: its operators in aten, and the classes of neurons of the packages that count."""

# Classes of neurons by the package that they come from, ours with the rest; subclasses count.
NEURONS = {
    "snntorch": {"SpikingNeuron"},
    "spikingjelly": {"BaseNode"},
    "norse": {"SNN", "SNNCell", "SNNRecurrent", "SNNRecurrentCell", "LIFBoxCell", "LIFBox"},
    "spikegpt": {"Lif"},
}
SILENT = ("LICell", "LIBoxCell", "LIBox", "LI", "LILinearCell", "NonSpikingIFNode", "NonSpikingLIFNode")
# Operators by their name in aten: what they do for each value that they put out.
ELEMENTWISE = {
    "mul": ("mul",), "add": ("add",), "sub": ("add",), "rsub": ("add",), "div": ("div",), "reciprocal": ("div",),
    "neg": ("add",), "exp": ("exp",), "sigmoid": ("exp", "add", "div"), "tanh": ("exp", "exp", "add", "add", "div"),
    "relu": ("cmp",), "clamp": ("cmp", "cmp"), "clamp_min": ("cmp",), "maximum": ("cmp",), "minimum": ("cmp",),
    "gt": ("cmp",), "ge": ("cmp",), "lt": ("cmp",), "le": ("cmp",), "eq": ("cmp",), "sqrt": ("sqrt",),
    "rsqrt": ("sqrt", "div"), "square": ("mul",), "pow": ("mul",), "addcmul": ("mul", "add"), "where": ("cmp",),
    "native_batch_norm": ("mul", "add"), "_native_batch_norm_legit_no_training": ("mul", "add"),
    "_softmax": ("cmp", "add", "exp", "add", "div"),
    "native_layer_norm": ("add", "mul", "add", "add", "mul", "mul", "add"),
}  # fmt: skip
# Move values, or choose among them: spikes stay spikes.
CARRY = frozenset(
    [
        "_adaptive_max_pool2d",
        "_reshape_alias",
        "_to_copy",
        "_unsafe_view",
        "adaptive_max_pool2d",
        "alias",
        "cat",
        "chunk",
        "clone",
        "constant_pad_nd",
        "contiguous",
        "copy",
        "detach",
        "expand",
        "flip",
        "gather",
        "index",
        "index_select",
        "lift_fresh",
        "masked_select",
        "max_pool1d",
        "max_pool2d",
        "max_pool2d_with_indices",
        "max_pool3d_with_indices",
        "narrow",
        "native_dropout",
        "permute",
        "relu",
        "repeat",
        "reshape",
        "roll",
        "select",
        "slice",
        "split",
        "split_with_sizes",
        "squeeze",
        "stack",
        "t",
        "transpose",
        "unbind",
        "unsqueeze",
        "view",
    ]
)
# Add values up: of spikes they make whole multiples.
SUMS = frozenset(
    [
        "_adaptive_avg_pool2d",
        "adaptive_avg_pool1d",
        "add",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "cumsum",
        "mean",
        "sub",
        "sum",
    ]
)
# Add up what they read, and put out less.
POOLS = frozenset(
    ["_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "mean", "sum"]
)
# Make values of nothing, or only look at them.
IDLE = frozenset(
    ["empty_like", "fill", "full_like", "item", "_local_scalar_dense", "new_empty", "new_full", "new_ones", "new_zeros",
     "ones_like", "rand_like", "randn_like", "zero", "zeros_like"]
)  # fmt: skip
