"""Compares what `onnx-quant explain` says of a model with what a runtime made of it.

    python compare_explanations.py TRUTH.json EXPLAINED.json
    python compare_explanations.py TRUTH_FOLDER EXPLAINED_FOLDER    files with the same path below them

Both hold {"version": 1, "operators": [{"name", "op_type", "path", "runs_as", "verdict", ...}]}. Operators are paired by
path and by their place among those with the same path, and must then agree in name and type. Prints a line for each
kind of disagreement, the frequent ones first: verdicts, then what operators run as where the verdict is the same.
Truths that are "unknown" are counted and not compared. Exit status 1 if anything disagrees or is missing.
"""

import json
import sys
from collections import Counter, defaultdict
from pathlib import Path

EXAMPLES = 3


def main():
    truth, explained = map(Path, sys.argv[1:3])
    pairs = [(truth, explained)]
    if truth.is_dir():
        pairs = [(file, explained / file.relative_to(truth)) for file in sorted(truth.rglob("*.json"))]
    found = Findings()
    for pair in pairs:
        found.compare(*pair)
    found.show()
    sys.exit(0 if found.agree() else 1)


class Findings:
    """What was compared, and what disagrees."""

    def __init__(self):
        self.files, self.operators, self.unknown, self.clean = 0, 0, 0, 0
        self.broken, self.disagreements = [], {"verdict": defaultdict(list), "runs_as": defaultdict(list)}

    def compare(self, truth_file, explained_file):
        """Compares one pair of files."""
        self.files += 1
        try:
            truth = by_place(json.loads(truth_file.read_text()))
            explained = by_place(json.loads(explained_file.read_text()))
        except (OSError, ValueError, KeyError) as error:
            self.broken.append(f"{explained_file}: {error}")
            return
        if truth.keys() != explained.keys():
            odd = sorted(truth.keys() ^ explained.keys())
            self.broken.append(f"{explained_file}: {len(odd)} operators are in one file only, first {odd[0]}")
            return
        before = sum(map(len, [*self.disagreements["verdict"].values(), *self.disagreements["runs_as"].values()]))
        for place, is_so in truth.items():
            self.compare_operators(truth_file.stem, is_so, explained[place])
        after = sum(map(len, [*self.disagreements["verdict"].values(), *self.disagreements["runs_as"].values()]))
        self.clean += before == after

    def compare_operators(self, model, is_so, said):
        """Compares what is and what was said of one operator."""
        self.operators += 1
        where = f"{model}: {'/'.join([*is_so['path'], is_so['name']])}"
        if (is_so["name"], is_so["op_type"]) != (said["name"], said["op_type"]):
            self.broken.append(f"{where} is {is_so['op_type']}, not {said['op_type']} {said['name']!r}")
        elif is_so["verdict"] == "unknown":
            self.unknown += 1
        elif is_so["verdict"] != said["verdict"]:
            kind = is_so["op_type"], outcome(is_so), outcome(said)
            self.disagreements["verdict"][kind].append((where, said.get("why", "")))
        elif is_so["runs_as"] != said["runs_as"]:
            kind = is_so["op_type"], outcome(is_so), outcome(said)
            self.disagreements["runs_as"][kind].append((where, said.get("why", "")))

    def agree(self):
        """Whether nothing disagrees."""
        return not self.broken and not any(self.disagreements.values())

    def show(self):
        """Prints everything."""
        for line in self.broken:
            print(f"cannot be compared: {line}")
        for what, kinds in self.disagreements.items():
            total = sum(map(len, kinds.values()))
            print(f"{total} operators disagree in {what}")
            for (op_type, is_so, said), operators in sorted(kinds.items(), key=lambda item: -len(item[1])):
                print(f"  {len(operators)} {op_type}: is {is_so}, said to be {said}")
                for where, why in operators[:EXAMPLES]:
                    print(f"      {where}" + (f" ({why})" if why else ""))
        print(
            f"{self.operators} operators of {self.files} files compared, {self.clean} files without disagreement, "
            f"{self.unknown} operators unknown in truth, {len(self.broken)} not comparable"
        )


def by_place(explanation):
    """The operators by path and place in it."""
    counted, operators = Counter(), {}
    for operator in explanation["operators"]:
        path = tuple(operator["path"])
        operators[path, counted[path]] = operator
        counted[path] += 1
    return operators


def outcome(operator):
    """Verdict and kernel as one text."""
    return f"{operator['verdict']} ({operator['runs_as'] or 'nothing'})"


if __name__ == "__main__":
    main()
