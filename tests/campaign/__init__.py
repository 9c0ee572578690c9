"""The reliability campaign: mutated inputs for every reader, and commands killed at any moment.

python -m tests.campaign --mutants 10000 --kills 100 --seed 1 --resume FILE

material (honest files) -> kinds (how they are read) -> damage, documents, containers (what is done to them) -> trial
(the command line in a child with limits) -> judge -> journal -> table, which is docs/reliability.md.
"""
