/*
 * options.h: the table of options, between the file that has it and the parser.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "cli.h"

typedef struct option_row option_row;
struct option_row {
    unsigned commands; /* COMMAND_ bits of those that have it */
    char letter;       /* 0: none */
    const char *name;  /* NULL: none */
    const char *value; /* what stands for its value in the help; NULL: a flag */
    const char *help;  /* printed in lines that fit */
    /* NULL when it was understood, or what is wrong. A NULL function: the value
     * and all that follows are the target's (-c CODE). */
    const char *(*set)(settings *s, const option_row *row, const char *value);
    uint64_t flag; /* for flags of the sampler */
};

enum { MAX_ROWS = 100 };

/* The rows of a command, those of the output formats among them. */
size_t options_collect(command_id command, option_row to[MAX_ROWS]);

#endif /* OPTIONS_H */
