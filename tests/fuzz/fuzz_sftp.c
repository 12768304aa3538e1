/*
 * fuzz_sftp: what an SFTP server may answer. The input is packets, each behind its length in two bytes; what is parsed stays inside
 * of its packet, and a listing comes to an end.
 */
#include <stdlib.h>

#include "store/sftp/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(struct span packet, struct span part)
{
	if (part.len && (part.ptr < packet.ptr || part.ptr + part.len > packet.ptr + packet.len))
		abort();
}

static void look(struct span packet)
{
	struct sftp_answer a;
	struct span data = SPAN_EMPTY;
	struct err e;

	if (sftp_answer_parse(packet, &a, &e))
		return;
	inside(packet, a.text);
	inside(packet, a.bytes);
	if (a.type == SFTP_HANDLE && a.bytes.len > SFTP_HANDLE_MAX)
		abort();
	if (a.type == SFTP_VERSION_IS && sftp_offers(a.bytes, "fsync@openssh.com", &data))
		inside(packet, data);
	for (uint32_t i = 0; a.type == SFTP_NAME && i < a.count; i++) {
		size_t before = a.bytes.len;
		struct sftp_attrs attrs;
		struct span name;

		if (sftp_next_entry(&a.bytes, &name, &attrs, &e))
			break;
		inside(packet, name);
		if (a.bytes.len >= before)
			abort(); /* a count of four milliards would be told for ever */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct span left = span_of(data, size);

	while (left.len >= 2) {
		size_t len = (size_t)left.ptr[0] << 8 | left.ptr[1];

		left = span_skip(left, 2);
		len = len < left.len ? len : left.len;
		look(span_of(left.ptr, len));
		left = span_skip(left, len);
	}
	return 0;
}
