#include "key_sheet.h"

#include <stdio.h>

#include "base/text.h"

enum { LINE_BYTES = SLOT_KEY_FILE_BYTES / KEY_SHEET_LINES, LINE_DIGITS = 2 * LINE_BYTES, CHECK_DIGITS = 2 };

/* One slip in 256 goes unseen per line; the slot's tag then says "wrong key file". Lines that changed places are seen.
 */
static uint8_t check_of(const uint8_t bytes[LINE_BYTES], unsigned number)
{
	uint8_t message[1 + LINE_BYTES], hash[16];

	message[0] = (uint8_t)number;
	memcpy(message + 1, bytes, LINE_BYTES);
	crypto_digest(span_of(message, sizeof message), hash, sizeof hash);
	explicit_bzero(message, sizeof message);
	return hash[0];
}

void key_sheet_line(const uint8_t key[SLOT_KEY_FILE_BYTES], unsigned number, char out[KEY_SHEET_LINE_MAX])
{
	const uint8_t *bytes = key + (size_t)(number - 1) * LINE_BYTES;
	char digits[LINE_DIGITS + 1];

	text_hex(span_of(bytes, LINE_BYTES), digits);
	snprintf(out, KEY_SHEET_LINE_MAX, "%u: %.4s %.4s %.4s %.4s / %02x", number, digits, digits + 4, digits + 8,
	         digits + 12, check_of(bytes, number));
	explicit_bzero(digits, sizeof digits);
}

/* What people type between digits. */
static bool is_filler(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '/' || c == '-';
}

/* 0: this is no line of a key. Else its number, and whether it is right. */
static unsigned line_decode(struct span line, uint8_t bytes[LINE_BYTES], bool *good)
{
	char digits[LINE_DIGITS + CHECK_DIGITS];
	size_t count = 0;
	unsigned number;
	uint8_t check;

	while (line.len && is_filler(line.ptr[0]))
		line = span_skip(line, 1);
	if (line.len < 2 || line.ptr[0] < '1' || line.ptr[0] > '0' + KEY_SHEET_LINES || line.ptr[1] != ':')
		return 0;
	number = (unsigned)(line.ptr[0] - '0');
	*good = true;
	for (size_t i = 2; i < line.len; i++) {
		if (is_filler(line.ptr[i]))
			continue;
		if (count < sizeof digits)
			digits[count] = (char)line.ptr[i];
		count++;
	}
	*good = count == sizeof digits && text_unhex(span_of(digits, LINE_DIGITS), bytes, LINE_BYTES) &&
	        text_unhex(span_of(digits + LINE_DIGITS, CHECK_DIGITS), &check, 1) && check == check_of(bytes, number);
	explicit_bzero(digits, sizeof digits);
	return number;
}

enum err_code key_sheet_decode(struct span text, uint8_t out[SLOT_KEY_FILE_BYTES], struct err *e)
{
	unsigned seen = 0;

	while (text.len) {
		const uint8_t *end = memchr(text.ptr, '\n', text.len);
		size_t len = end ? (size_t)(end - text.ptr) : text.len;
		uint8_t bytes[LINE_BYTES];
		bool good = false;
		unsigned number = line_decode(span_of(text.ptr, len), bytes, &good);

		if (number && !good)
			return err_set(e, ERR_USAGE,
			               "line %u of the key is mistyped: 16 digits 0-9 a-f, and 2 to check them",
			               number);
		if (number) {
			memcpy(out + (number - 1) * LINE_BYTES, bytes, LINE_BYTES);
			seen |= 1u << number;
		}
		explicit_bzero(bytes, sizeof bytes);
		text = span_skip(text, len + (end != NULL));
	}
	if (!seen)
		return err_set(e, ERR_USAGE, "a key file holds 64 hex digits and a line end, this one does not");
	for (unsigned number = 1; number <= KEY_SHEET_LINES; number++)
		if (!(seen >> number & 1))
			return err_set(e, ERR_USAGE, "line %u of the key is missing", number);
	return ERR_OK;
}
