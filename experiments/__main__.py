# SPDX-License-Identifier: Apache-2.0
"""`python -m experiments`: train, sample from, evaluate, compare and verify runs."""

import sys

from experiments.launch import keep_memory

USAGE = """\
usage: python -m experiments COMMAND ...

  list                              the experiments: family, data, expected number, minutes
  train NAME [--option value ...]   train; ends with samples, evidence, a report (--help)
  sample RUN [--num N] [--seed S] [--out F]
                                    draw from a run's checkpoint
  evaluate RUN                      likelihood and sample-quality evidence on the test split
  compare RUN... [--out F]          one table and one page over several runs
  verify RUN                        check every checkpoint against its manifest
  replay RUN                        run the bad step of a crashed run again and name what broke

Exit codes: 0 done, 2 usage or configuration, 3 data, 4 checkpoint or storage, 5 non-finite
training, 130 and 143 signals."""


def main(argv: list[str]) -> int:
    """Run one command; whatever goes wrong is one line on stderr and an exit code."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0 if argv else 2
    try:
        from experiments import command

        return command.run(argv[0], argv[1:])
    except KeyboardInterrupt:  # before or after the time in which signals are deferred
        print("error: interrupted by SIGINT", file=sys.stderr)
        return 130


if __name__ == "__main__":
    keep_memory("experiments")
    sys.exit(main(sys.argv[1:]))
