/*
 * sftp: a store on an account that SSH reaches, sftp://[USER@]HOST[:PORT]/PATH; /~/PATH is below the account's home.
 * Rule A   a file of tmp/ gets its name by a hard link (hardlink@openssh.com), which never replaces; else by a rename
 *          that was seen to refuse a name that is taken; else ERR_UNSUPPORTED.
 * Durable  fsync@openssh.com after the bytes, and again after the name. A server without it promises nothing, and docs/stores.md
 *          says so.
 * Left     a run that is cut off can leave a file in tmp/.
 */
#ifndef MAILHOLD_STORE_SFTP_SFTP_H
#define MAILHOLD_STORE_SFTP_SFTP_H

#include "store/contract/contract.h"

extern const struct store_kind store_sftp;

#endif
