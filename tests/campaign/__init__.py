"""The reliability campaign: mutated inputs for every reader, and commands killed at any moment.

python -m tests.campaign --mutants 10000 --kills 100 --seed 1 --resume FILE

material -> mutate -> trial -> judge -> journal -> table. Material is honest files made by the product itself, a kind for
each way a file is read. A trial is the command line in a forked child with limits. docs/reliability.md holds the table.
"""
