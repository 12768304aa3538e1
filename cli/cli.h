/*
 * cli: the program mailhold, what a person touches. Commands, options and exit codes are told by `mailhold help`, in
 * docs/man/mailhold.1 and, for --json, in docs/json.md.
 */
#ifndef MAILHOLD_CLI_CLI_H
#define MAILHOLD_CLI_CLI_H

/* Runs one command line, prints its results and errors, and gives the exit code. Call it once. */
int cli_main(int argc, char **argv);

#endif
