/* http_internal: what the files of this room share. */
#ifndef MAILHOLD_NET_HTTP_HTTP_INTERNAL_H
#define MAILHOLD_NET_HTTP_HTTP_INTERNAL_H

#include <curl/curl.h>

#include "http.h"

/* A handle, once the library is ready; NULL: out of memory. */
CURL *http_easy(void);
/* What CODE means; WHY is curl's own text, or empty. */
enum err_code http_failed(CURLcode code, const char *url, const char *why, struct err *e);

#endif
