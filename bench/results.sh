#!/usr/bin/env bash
# Trains the models of docs/results.md one after the other (under two hours on two cores; may be run again after an
# interruption), then measures them and fills the page.
#
#   head -c 4000000 enwik8 > enwik8-4MB.txt && bash bench/results.sh enwik8-4MB.txt runs
set -euo pipefail
data=$1 runs=$2
train() { spikegpt train --data "$data" --steps 4000 --bf16 --resume --out "$runs/$1" "${@:2}"; }
train continuous --variant continuous --lr 4e-3
train canonical --variant canonical --lr 3e-3
train spike-driven --density 0.05 --lr 1e-2 --teacher "$runs/continuous/model.pt"
train transformer --variant transformer --lr 1e-3
python -m bench.results "$runs"/{continuous,canonical,spike-driven,transformer}/model.pt --data "$data" \
  --out docs/results.json --page docs/results.md --plot docs/pareto.svg
