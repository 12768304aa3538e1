/* page_internal: what page.c (reading) and page_builder.c (writing) share. */
#ifndef MAILHOLD_ENGINE_PAGE_PAGE_INTERNAL_H
#define MAILHOLD_ENGINE_PAGE_PAGE_INTERNAL_H

#include "engine/page/page.h"

#define PAGE_VERSION       1
#define ITEM_KEY_MAX       COLLECTION_KEY_MAX
#define COLLECTION_KEY_MAX 4096 /* collections are items of the collection list: their paths are keys, too */

#endif
