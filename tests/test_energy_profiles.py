"""Price tables of users: what cannot be a price, memory or alternative is refused by key, and by all alike."""

import json

import pytest
import yaml

from hw_sim.energy import profiles
from spikegpt import UserError

GOOD = {
    "name": "mine", "title": "t", "grade": "assumed", "source": "s", "technology": "x", "scope": "y",
    "memory": {"levels": [{"name": "near", "bytes": 1024, "access_j_per_bit": 1e-13},
                          {"name": "far", "access_j_per_bit": 1e-11}]},
    "precisions": {"fp32": {"mac_j": 4e-12, "ac_j": 1e-12, "weight_bits": 32}},
    "alternatives": [{"name": "dear", "source": "s", "levels": {"far": 2e-11}}],
}  # fmt: skip
LEVEL = {"name": "near", "bytes": 1024, "access_j_per_bit": 1e-13}
FAR = {"name": "far", "access_j_per_bit": 1e-11}


def prices(**changes):
    given = {**GOOD["precisions"]["fp32"], **changes}
    return {"precisions": {"fp32": {k: v for k, v in given.items() if v is not None}}}


def levels(*found):
    return {"memory": {"levels": list(found)}, "alternatives": []}


BAD = {
    "a missing source": ({"source": None}, "source"),
    "an empty title": ({"title": " "}, "title"),
    "a grade of one's own": ({"grade": "guessed"}, "grade"),
    "an unknown key": ({"surprise": 1}, "surprise"),
    "a name that is a list": ({"name": ["a"]}, "name"),
    "a name with a space": ({"name": "a b"}, "name"),
    "an unknown accounting": ({"accounting": "magic"}, "accounting"),
    "hot static power": ({"static_w_per_chip": "hot"}, "static_w_per_chip"),
    "static power in nanowatts": ({"static_w_per_chip": 1e-9}, "static_w_per_chip"),
    "unpriced as a word": ({"unpriced": "memory"}, "unpriced"),
    "no precision": ({"precisions": {}}, "precisions"),
    "precisions as a list": ({"precisions": [1]}, "precisions"),
    "precisions null": ({"precisions": None}, "precisions"),
    "an unknown precision": ({"precisions": {"fp8": {"ac_j": 1e-12}}}, "precisions"),
    "prices null": ({"precisions": {"fp32": None}}, "precisions"),
    "an unknown price": (prices(mac=1e-12), "mac"),
    "no accumulate": (prices(ac_j=None), "ac_j"),
    "a negative price": (prices(ac_j=-1e-12), "ac_j"),
    "a price of nothing": (prices(ac_j=0), "ac_j"),
    "a price in words": (prices(mac_j="much"), "mac_j"),
    "a price that is true": (prices(mac_j=True), "mac_j"),
    "picojoules for joules": (prices(mac_j=4.6), "mac_j"),
    "a million too dear": (prices(mac_j=4.6e-6), "mac_j"),
    "a million too cheap": (prices(mul_j=3.7e-18), "mul_j"),
    "memory without bits": (prices(weight_bits=None), "weight_bits"),
    "no bits": (prices(weight_bits=0), "weight_bits"),
    "half a bit": (prices(weight_bits=7.5), "weight_bits"),
    "a neuron in part": (prices(neuron_active_j=5e-11), "neuron_idle_j"),
    "a neuron without spikes": (prices(neuron_active_j=5e-11, neuron_idle_j=5e-11), "spike_j"),
    "half a mesh": (prices(hop_ew_j=3e-12), "hop_ns_j"),
    "memory as a list": ({"memory": [LEVEL], "alternatives": []}, "memory"),
    "no levels": (levels(), "levels"),
    "a level of no price": (levels({"name": "near", "bytes": 8}, FAR), "access_j_per_bit"),
    "a level below zero": (levels({**LEVEL, "access_j_per_bit": -1e-13}, FAR), "access_j_per_bit"),
    "a level a million too dear": (levels(LEVEL, {**FAR, "access_j_per_bit": 1e-5}), "access_j_per_bit"),
    "a level of no size": (levels({**LEVEL, "bytes": -1}, FAR), "bytes"),
    "two levels of one name": (levels(LEVEL, {**FAR, "name": "near"}), "one name"),
    "unsorted levels": (levels({**LEVEL, "bytes": 4096}, {**LEVEL, "name": "b"}, FAR), "smallest"),
    "a larger level that is cheaper": (levels(LEVEL, {**FAR, "access_j_per_bit": 1e-14}), "smallest"),
    "an endless level before the last": (levels(LEVEL, FAR, {**LEVEL, "name": "b", "bytes": 1e6}), "smallest"),
    "no level large enough": (levels(LEVEL), "no level is large enough"),
    "accumulators nowhere": ({"memory": {"levels": [LEVEL, FAR], "accumulator_level": "moon"}}, "accumulator_level"),
    "alternatives of one name": ({"alternatives": [{"name": "dear", "source": s} for s in "ab"]}, "dear"),
    "an alternative level": ({"alternatives": [{"name": "a", "source": "s", "levels": {"moon": 1e-12}}]}, "moon"),
    "an alternative price": ({"alternatives": [{"name": "a", "source": "s", "prices": {"moon_j": 1e-12}}]}, "moon_j"),
    "an alternative of joules": ({"alternatives": [{"name": "a", "source": "s", "prices": {"mac_j": 4.6}}]}, "mac_j"),
    "half an accounting": ({"accounting": "lemaire2022", "alternatives": []}, "address_j"),
    "a name that ships": ({"name": "45nm-memory"}, "ships with the tool"),
}  # fmt: skip


def test_a_good_one_is_read(tmp_path):
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(GOOD))
    assert profiles.load(str(tmp_path / "p.yaml")).name == "mine"
    old = {**GOOD, "unpriced": ["elementwise"]}
    old["memory"] = {**GOOD["memory"], "accumulator_level": "near"}
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(old))
    assert profiles.load(str(tmp_path / "old.yaml")).memory.accumulator_level == "near"


@pytest.mark.parametrize("case", BAD)
def test_a_bad_one_is_refused_by_key(case, tmp_path):
    change, key = BAD[case]
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({**GOOD, **change}))
    with pytest.raises(UserError, match=key) as caught:
        profiles.load(str(tmp_path / "p.yaml"))
    assert "p.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["nan", ".inf", "1e400", "4.6 pJ"])
def test_what_is_no_finite_number_is_refused(text, tmp_path):
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(GOOD).replace("mac_j: 4.0e-12", f"mac_j: {text}"))
    with pytest.raises(UserError):
        profiles.load(str(tmp_path / "p.yaml"))


@pytest.mark.parametrize("case", ["picojoules for joules", "a name that ships", "no level large enough"])
def test_both_commands_give_one_verdict(run, case, tmp_path):
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({**GOOD, **BAD[case][0]}))
    code, _, listed = run("profiles", path)
    other, _, priced = run("energy-report", "--preset", "tiny", "--rate", 0.1, "--profile", path)
    assert code == other == 2
    assert listed == priced


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(GOOD) + "title: again\n")
    with pytest.raises(UserError, match=r"line \d+: the key 'title' stands twice"):
        profiles.load(str(tmp_path / "p.yaml"))


def test_two_files_of_one_name_are_refused(run, tmp_path):
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(yaml.safe_dump(GOOD))
    code, _, err = run("profiles", tmp_path / "a.yaml", tmp_path / "b.yaml")
    assert code == 2
    assert "two profiles" in err


def test_a_users_profile_prices_a_report(run, tmp_path):
    (tmp_path / "p.yaml").write_text(yaml.safe_dump(GOOD))
    code, out, err = run("energy-report", "--preset", "tiny", "--rate", 0.1, "--profile", tmp_path / "p.yaml", "--json")
    assert code == 0, err
    report = json.loads(out)
    row = next(r for r in report["rows"] if r["name"] == "spike-driven")
    assert row["energy_j"]["mine-fp32"] > 0
    assert set(row["unpriced"]["mine-fp32"]) == {"layer_norm", "wkv", "sigmoid", "gate", "mixing", "neurons"}


def test_a_loihi_2_profile_is_refused_with_the_reason():
    with pytest.raises(UserError, match="no energy per operation for Loihi 2"):
        profiles.load("loihi2")


def test_shipped_profiles_have_sources_and_alternatives_that_are_named():
    shipped = profiles.shipped()
    assert {"45nm-compute", "45nm-memory", "lemaire2022", "loihi1-presilicon", "loihi1-silicon", "paper-table1"} <= set(
        shipped
    )
    for p in shipped.values():
        assert p.source and p.grade
        assert all(a.source for a in p.alternatives)
    names = {a.name for a in shipped["45nm-memory"].alternatives_at("int8")}
    for word in ("one level up", "one level down", "2.6 nJ", "24-bit", "8-bit element-wise", "no interpolation"):
        assert any(word in name for name in names), word
