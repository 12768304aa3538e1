/* folder: a store in a local folder, or in one that the system mounts. The one kind without "scheme://". */
#ifndef MAILHOLD_STORE_FOLDER_FOLDER_H
#define MAILHOLD_STORE_FOLDER_FOLDER_H

#include "store/contract/contract.h"

/* file:PATH or PATH. Only the ways without O_TMPFILE can leave a file of a killed run in tmp/. */
extern const struct store_kind store_folder;

#endif
