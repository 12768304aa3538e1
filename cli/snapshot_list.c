#include "snapshot_list.h"

#include "base/mem.h"

static bool holds(const struct snapshot_list *l, const struct snapshot_id *id)
{
	for (size_t i = 0; i < l->count; i++)
		if (!memcmp(l->ids[i].bytes, id->bytes, sizeof id->bytes))
			return true;
	return false;
}

enum err_code snapshot_list_resolve(struct repo *r, const struct text_list *words, unsigned which,
                                    struct snapshot_list *out, struct err *e)
{
	struct snapshot_list l = { mem_zalloc(words->count, sizeof *l.ids), 0 };
	enum err_code rc = l.ids ? ERR_OK : err_no_memory(e, words->count * sizeof *l.ids);

	for (size_t i = 0; i < words->count && !rc; i++) {
		struct snapshot_id id;

		rc = repo_resolve(r, words->items[i], which, &id, e);
		if (!rc && !holds(&l, &id))
			l.ids[l.count++] = id;
	}
	if (rc)
		snapshot_list_release(&l);
	else
		*out = l;
	return rc;
}

void snapshot_list_release(struct snapshot_list *l)
{
	mem_free(l->ids);
	*l = (struct snapshot_list){ NULL, 0 };
}

struct telling {
	struct cli *c;
	const struct snapshot_list *list;
	const char *done;
};

static enum err_code visit(void *ctx, const struct snapshot_info *s, struct err *e)
{
	struct telling *t = ctx;
	struct line line = line_new(e);
	enum err_code rc;

	if (!holds(t->list, &s->id))
		return ERR_OK;
	if (t->c->g.json) {
		struct row r = snapshot_row(s, t->done);

		return row_put(&r, e);
	}
	line_printf(&line, "%s ", t->done);
	if (!line.rc)
		line.rc = snapshot_words(s, &line.text, e);
	rc = line_put(&line);
	line_release(&line);
	return rc;
}

enum err_code snapshot_list_tell(struct cli *c, const struct snapshot_list *l, unsigned which, const char *done,
                                 struct err *e)
{
	struct telling t = { c, l, done };

	if (c->g.quiet && !c->g.json)
		return ERR_OK;
	return repo_snapshots(c->repo, which, NULL, visit, &t, e);
}
