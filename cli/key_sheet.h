/*
 * key_sheet: a key file as lines to print, put away, and type in again: "1: 0123 4567 89ab cdef / 3f". Each line holds
 * 8 of the 32 bytes and a check of two digits, so that a slip is told with the line it is in. The whole sheet, or its
 * four lines, saved as a file are a key file.
 */
#ifndef MAILHOLD_CLI_KEY_SHEET_H
#define MAILHOLD_CLI_KEY_SHEET_H

#include "crypto/crypto.h"

#define KEY_SHEET_BYTES_MAX 8192 /* of a file that is read as one */
#define KEY_SHEET_LINES     4
#define KEY_SHEET_LINE_MAX  40

/* Line NUMBER (1..4) of KEY, without a line end. */
void key_sheet_line(const uint8_t key[SLOT_KEY_FILE_BYTES], unsigned number, char out[KEY_SHEET_LINE_MAX]);
/*
 * Finds the four lines in TEXT, in any order, spaces and case as they may be; other lines are passed over. ERR_USAGE
 * tells which line is missing or mistyped, never what it holds. OUT is the caller's to wipe, also on failure.
 */
MUST_CHECK enum err_code key_sheet_decode(struct span text, uint8_t out[SLOT_KEY_FILE_BYTES], struct err *e);

#endif
