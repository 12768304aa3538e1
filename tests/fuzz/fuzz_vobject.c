/* Arbitrary content lines: names stay upper-case and inside the line, times never overflow. */
#include <stdlib.h>

#include "mime/mime.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vobject_lines it = vobject_lines_of(span_of(data, size));
	struct vobject_line line;
	bool more = true;
	size_t seen = 0;
	struct err e;

	while (!vobject_lines_next(&it, &line, &more, &e) && more) {
		int64_t time;

		seen += line.name.len + line.params.len + line.value.len;
		if (line.name.len == 0 || seen > size)
			abort();
		for (size_t i = 0; i < line.name.len; i++)
			if (line.name.ptr[i] >= 'a' && line.name.ptr[i] <= 'z')
				abort();
		vobject_time(line.value, &time);
	}
	if (more)
		abort();
	vobject_lines_release(&it);
	return 0;
}
