/*
 * recipe_internal: the operations of a recipe as values, shared by the splitter, which writes them, and by
 * recipe.c, which reads them. Format: docs/format/item.md, recipe version 1.
 */
#ifndef MAILHOLD_CHUNKER_RECIPE_INTERNAL_H
#define MAILHOLD_CHUNKER_RECIPE_INTERNAL_H

#include "base/wr.h"
#include "chunker.h"

#define RECIPE_VERSION 1

enum recipe_code { RECIPE_LITERAL = 1, RECIPE_PART = 2, RECIPE_BASE64 = 3 };

/* How a base64 run is wrapped. The characters of all lines together are one encoding with padding. */
struct wrap {
	uint16_t first; /* characters in the first line; 0 when LINE is 0 */
	uint16_t line;  /* characters in each further full line; 0: all in one line */
	uint8_t prefix; /* what begins each line but the first: 0 (nothing), ' ' or '\t' */
	bool crlf;      /* line ends are CR LF; false: LF */
	bool tail;      /* a line end stands behind the last character */
};
#define WRAP_LINE_MIN 16
#define WRAP_LINE_MAX 998

struct recipe_op {
	enum recipe_code code;
	uint64_t bytes;   /* literal, part or decoded bytes; at least 1 */
	uint32_t chunks;  /* part chunks consumed; 0 for a literal */
	struct wrap wrap; /* RECIPE_BASE64 only */
};

void recipe_op_encode(struct wr *w, const struct recipe_op *op);
/* Bytes of the item that OP stands for. */
uint64_t recipe_op_length(const struct recipe_op *op);

#endif
