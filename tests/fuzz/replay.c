/*
 * replay: the plain driver of every fuzz harness. Runs it on each file of the given folders, then on seeded random
 * mutations of them, so that a build without libFuzzer still meets hostile bytes. Prints the seed.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t random_state;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* A copy of exactly SIZE bytes, so that the sanitizer sees one byte too far. */
static void run(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		exit(2);
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void mutate_and_run(const uint8_t *data, size_t size, int rounds)
{
	size_t cap = size + 64;
	uint8_t *work = malloc(cap);

	if (!work)
		exit(2);
	for (int round = 0; round < rounds; round++) {
		size_t len = size;

		memcpy(work, data, size);
		for (uint64_t i = 1 + next_random() % 4; i > 0 && len; i--) {
			size_t at = next_random() % len;

			switch (next_random() % 4) {
			case 0:
				work[at] = (uint8_t)next_random();
				break;
			case 1:
				work[at] ^= (uint8_t)(1 << next_random() % 8);
				break;
			case 2:
				len = at;
				break;
			default:
				if (len < cap) {
					memmove(work + at + 1, work + at, len - at);
					work[at] = (uint8_t)next_random();
					len++;
				}
			}
		}
		run(work, len);
	}
	free(work);
}

int main(int argc, char **argv)
{
	const char *given = getenv("MAILHOLD_TEST_SEED");
	size_t files = 0;

	random_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) | 1;
	if (!random_state)
		random_state = 1;
	printf("seed %llu (MAILHOLD_TEST_SEED repeats it)\n", (unsigned long long)random_state);
	run((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++) {
		DIR *folder = opendir(argv[i]);
		struct dirent *entry;

		if (!folder) {
			fprintf(stderr, "cannot open %s\n", argv[i]);
			return 1;
		}
		while ((entry = readdir(folder))) {
			char path[4096];
			static uint8_t data[1 << 20];
			size_t size;
			FILE *f;

			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof path, "%s/%s", argv[i], entry->d_name);
			f = fopen(path, "rb");
			if (!f) {
				perror(path);
				return 1;
			}
			size = fread(data, 1, sizeof data, f);
			fclose(f);
			run(data, size);
			mutate_and_run(data, size, 300);
			files++;
		}
		closedir(folder);
	}
	printf("%zu files replayed\n", files);
	return files ? 0 : 1; /* an empty corpus proves nothing */
}
