"""Independent streams over cores and over Dask workers, runs that go on, traces: always the counts of one run."""

import hashlib
import json
import os
import signal
import threading

import nir
import numpy as np
import pytest

from exporters import nir as exporter
from hw_sim import Simulator
from hw_sim.graph.extensions import DT
from hw_sim.graph.quantize import quantize
from hw_sim.graph.to_plan import build
from hw_sim.run.resume import Finished
from hw_sim.run.streams import combine, cut, score, score_of, score_streams
from hw_sim.run.traces import Trace
from spikegpt import UserError
from tests.conftest import VOCAB, lively_model

TEXT = np.random.default_rng(5).integers(0, VOCAB, 700).astype(np.uint8)


@pytest.fixture(scope="module")
def plan():
    return build(quantize(exporter.export(lively_model("spike-driven", tau=2.0))))


def same(a, b) -> bool:
    """Whether two scores are equal to the last bit and count."""
    fired = zip(a.counts.populations, b.counts.populations, strict=True)
    return (
        (a.nats, a.predicted, a.counts.matrices) == (b.nats, b.predicted, b.counts.matrices)
        and all(np.array_equal(p.fired, q.fired) for p, q in fired)
        and [(p.active, p.tokens) for p in a.counts.populations] == [(p.active, p.tokens) for p in b.counts.populations]
    )


def one_by_one(plan, streams):
    """Each stream alone, in this thread."""
    return combine([score(Simulator(plan, threads=1), stream) for stream in streams])


def test_a_score_is_that_of_the_kept_logits(plan):
    result = Simulator(plan).run(TEXT)
    found = score(Simulator(plan), TEXT)
    z = result.logits[:-1].astype(np.float64)
    nats = np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(z)), TEXT[1:]]
    assert found.nats == pytest.approx(nats.sum(), rel=1e-12)
    assert found.predicted == len(TEXT) - 1
    assert same(found, score_of(result, TEXT))


@pytest.mark.parametrize("n, cores", [(1, 1), (5, 2), (5, 3), (64, 2)])
def test_streams_over_cores_give_the_counts_of_streams_run_one_by_one(plan, n, cores):
    streams = cut(TEXT, n)
    assert np.array_equal(np.concatenate(streams), TEXT)
    done: list[int] = []
    found = score_streams(plan, streams, cores, progress=done.append)
    assert same(found, one_by_one(plan, streams))
    assert sum(done) == len(TEXT)


def test_a_text_is_not_cut_below_two_tokens():
    assert [len(s) for s in cut(TEXT[:7], 100)] == [3, 2, 2]


def test_an_error_in_one_stream_ends_the_run(plan):
    with pytest.raises(UserError, match="out of range"):
        score_streams(plan, [TEXT, np.array([VOCAB]), TEXT], 2)


def test_an_error_does_not_wait_for_the_other_streams(plan):
    """The first stream is refused at once; the second would take minutes."""
    long = np.zeros(20_000_000, np.uint8)
    done: list[int] = []
    with pytest.raises(UserError, match="out of range"):
        score_streams(plan, [np.array([VOCAB, 0]), long], 2, progress=done.append)
    assert sum(done) < len(long) // 2


def test_a_run_that_was_cut_off_goes_on_and_ends_the_same(plan, tmp_path):
    streams = cut(TEXT, 6)
    whole = score_streams(plan, streams, 1)
    bad = [*streams[:3], np.array([VOCAB, 0]), *streams[4:]]
    with pytest.raises(UserError):
        score_streams(plan, bad, 1, Finished(tmp_path / "f", plan, bad))
    kept = Finished(tmp_path / "g", plan, streams)
    for k in (0, 4):
        kept.add(k, one_by_one(plan, [streams[k]]))
    with pytest.raises(UserError, match="another"):
        Finished(tmp_path / "g", plan, bad)
    again = Finished(tmp_path / "g", plan, streams)
    assert set(again.scores) == {0, 4}
    told: list[int] = []
    assert same(score_streams(plan, streams, 2, again, told.append), whole)
    assert told[0] == len(streams[0]) + len(streams[4])  # not run again
    assert set(Finished(tmp_path / "g", plan, streams).scores) == set(range(6))
    (tmp_path / "g" / "stream2.json").write_text("{")
    with pytest.raises(UserError, match="damaged"):
        Finished(tmp_path / "g", plan, streams)
    record = {**json.loads((tmp_path / "g" / "stream3.json").read_text())["record"], "populations": []}
    sha256 = hashlib.sha256(json.dumps(record).encode()).hexdigest()
    (tmp_path / "g" / "stream2.json").write_text(json.dumps({"sha256": sha256, "record": record}))
    with pytest.raises(UserError, match="populations of stream 2"):
        Finished(tmp_path / "g", plan, streams)


@pytest.mark.slow
def test_dask_workers_give_the_same_even_if_one_is_killed_and_a_finished_run_is_not_repeated(plan, tmp_path):
    from hw_sim.run.cluster import client, score_on

    streams = cut(np.tile(TEXT, 60), 12)
    expected = score_streams(plan, streams, 2)
    killed = threading.Event()

    with client(None, 2) as dask:

        def kill_one(done: int) -> None:
            if done and not killed.is_set():
                killed.set()
                os.kill(next(iter(dask.run(os.getpid).values())), signal.SIGKILL)

        finished = Finished(tmp_path, plan, streams)
        assert same(score_on(dask, plan, streams, finished, kill_one), expected)
        assert killed.is_set()
        times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("stream*.json")}
        assert len(times) == 12
        next(iter(times)).unlink()
        assert same(score_on(dask, plan, streams, Finished(tmp_path, plan, streams)), expected)
        assert sum(path.stat().st_mtime_ns == time for path, time in times.items()) == 11
        with client(dask.scheduler.address, 1) as other:
            assert same(score_on(other, plan, streams[:2]), score_streams(plan, streams[:2], 1))
        with pytest.raises(UserError, match="out of range"):
            score_on(dask, plan, [np.array([VOCAB])])


@pytest.mark.filterwarnings("ignore")  # of tornado's about the connection that failed
def test_a_scheduler_that_is_not_there_is_named(monkeypatch):
    from hw_sim.run import cluster

    monkeypatch.setattr(cluster, "ANSWER_S", 0.3)
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9"), cluster.client("tcp://127.0.0.1:9", 1):
        pass


@pytest.mark.parametrize("integer", [True, False])
def test_a_trace_holds_every_spike_synaptic_operation_and_membrane(plan, tmp_path, integer):
    plan = plan if integer else build(exporter.export(lively_model("spike-driven", tau=2.0)))
    watched = ("block1_ffn_value_lif:5", "block0_att_key_lif:23")
    path = tmp_path / "trace.npz"
    with Trace(plan, path, watched) as trace:
        traced = score(Simulator(plan), TEXT[:300], trace=trace)
    simulator = Simulator(plan)
    result = simulator.run(TEXT[:300], record=True)
    with Trace(plan, tmp_path / "short.npz") as trace:  # without membranes many tokens are run at a time
        score(Simulator(plan), TEXT[:300], trace=trace)
    assert same(traced, score_of(result, TEXT[:300]))
    with np.load(path) as held, np.load(tmp_path / "short.npz") as short:
        raster = np.zeros((300, sum(train.shape[1] for train in result.spikes.values())), np.uint8)
        raster[held["token"], held["neuron"]] = 1
        for name, start in zip(held["populations"], held["starts"], strict=True):
            train = result.spikes[str(name)]
            assert np.array_equal(raster[:, start : start + train.shape[1]], train)
        assert len(held["token"]) == raster.sum()
        assert np.all(np.diff(held["token"]) >= 0)
        assert held["synops"].sum() == result.synops
        assert all(np.array_equal(short[key], held[key]) for key in ("token", "neuron", "synops"))
        assert short["membranes"].shape == (300, 0)
        assert tuple(held["membrane_of"]) == watched
        assert held["membranes"].shape == (300, 2)
        slow, seen = Simulator(plan), []
        place = next(int(plan.field("s")[i]) for i, n in enumerate(plan.names) if n == "block1_ffn_value_lif") + 5
        for token in TEXT[:300]:
            slow.run(np.array([token]))
            seen.append(slow.state[place])
        assert np.array_equal(held["membranes"][:, 0], np.array(seen))
        assert np.abs(held["membranes"]).max() > 0
    assert sorted(f.name for f in tmp_path.iterdir()) == ["short.npz", "trace.npz"]


def test_a_trace_as_nir_data_holds_the_spikes_of_every_population(plan, tmp_path):
    path, tokens = tmp_path / "trace.h5", TEXT[:300]
    with Trace(plan, path) as trace:
        score(Simulator(plan), tokens, trace=trace)
    spikes = Simulator(plan).run(tokens, record=True).spikes
    found = nir.read_data(path).nodes
    assert found.keys() == spikes.keys()
    for name, train in spikes.items():
        events = found[name].observables["spikes"]
        assert (events.n_neurons, events.idx.shape) == (train.shape[1], (1, int(train.sum())))
        np.testing.assert_array_equal(events.to_time_gridded(DT).data[0], train)
    with pytest.raises(UserError, match="--membrane goes into"):
        Trace(plan, path, [f"{next(iter(spikes))}:0"])


@pytest.mark.parametrize("name", ["block0_att_key_lif:24", "block0_att_key_lif", "nobody:0", "block0_att_key_lif:-1"])
def test_a_neuron_that_is_not_there_is_named(plan, tmp_path, name):
    with pytest.raises(UserError, match=name):
        Trace(plan, tmp_path / "t.npz", [name])


def test_a_trace_of_a_run_that_failed_leaves_nothing(plan, tmp_path):
    with pytest.raises(UserError), Trace(plan, tmp_path / "t.npz") as trace:
        score(Simulator(plan), np.array([1, VOCAB]), trace=trace)
    assert list(tmp_path.iterdir()) == []


def test_a_network_without_neurons_has_a_trace_without_spikes(tmp_path):
    plan = build(quantize(exporter.export(lively_model("continuous"))))
    with Trace(plan, tmp_path / "t.npz") as trace:
        score(Simulator(plan), TEXT[:20], trace=trace)
    with np.load(tmp_path / "t.npz") as stored:
        assert stored["synops"].tolist() == [0] * 20
        assert stored["neuron"].size == stored["populations"].size == 0


@pytest.fixture
def network(tmp_path):
    path = tmp_path / "net.nir"
    exporter.write(quantize(exporter.export(lively_model("spike-driven", tau=2.0))), path)
    return path


def typed(tokens: np.ndarray) -> bytes:
    """Tokens as the text that the vocabulary of `command` cuts into them."""
    return (tokens + ord("A")).astype(np.uint8).tobytes()


@pytest.fixture
def command(run, network, tmp_path):
    (tmp_path / "text.txt").write_bytes(typed(TEXT))
    vocabulary = tmp_path / "vocabulary.json"
    vocabulary.write_text(json.dumps({i: chr(ord("A") + i) for i in range(VOCAB)}))

    def call(*options):
        base = ("simulate", network, "--data", tmp_path / "text.txt", "--tokenizer", vocabulary, "--json")
        code, out, err = run(*base, *options)
        return code or json.loads(out), err

    return call


def test_simulate_cuts_a_text_into_streams(command, tmp_path):
    facts, _ = command("--streams", 4, "--resume", tmp_path / "done")
    assert (facts["tokens"], facts["streams"]) == (len(TEXT), 4)
    again, _ = command("--streams", 4, "--resume", tmp_path / "done")
    assert {**facts, "tokens_per_s": 0} == {**again, "tokens_per_s": 0}
    assert facts["synops"] == sum(node["synops"] for node in facts["nodes"])
    rates = facts["populations"]["block0_att_key_lif"]
    assert rates["active_updates"] + rates["idle_updates"] == 24 * len(TEXT)
    assert rates["rate"] == facts["spikes"]["block0_att_key_lif"] / (24 * len(TEXT))
    assert "another folder" in command("--streams", 5, "--resume", tmp_path / "done")[1]


def test_simulate_goes_on_from_a_state(command, tmp_path):
    whole, _ = command("--trace", tmp_path / "t.npz", "--membrane", "block0_att_key_lif:1")
    (tmp_path / "text.txt").write_bytes(typed(TEXT[:300]))
    first, _ = command("--save-state", tmp_path / "state.npz")
    (tmp_path / "text.txt").write_bytes(typed(TEXT[300:]))
    second, _ = command("--load-state", tmp_path / "state.npz")
    assert first["synops"] + second["synops"] == whole["synops"]
    assert first["spikes"] != whole["spikes"]
    with np.load(tmp_path / "t.npz") as held:
        assert held["synops"].sum() == whole["synops"]


@pytest.mark.parametrize(
    "options, reason",
    [
        ("--membrane a:1", "--trace"), ("--resume d", "--streams"), ("--streams 2 --trace t.npz", "one stream"),
        ("--streams 2 --save-state s.npz", "one stream"), ("--workers 1 --scheduler a", "one of the two"),
        ("--trace t.npz --verify net.nir", "without"), ("--load-state missing.npz", "missing.npz"),
        ("--trace t.npz --membrane nobody:1", "nobody:1"),
    ],
)  # fmt: skip
def test_options_that_mean_nothing_together_are_refused(command, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    code, err = command(*options.split())
    assert code == 2
    assert reason in err
    assert sorted(tmp_path.iterdir()) == before
