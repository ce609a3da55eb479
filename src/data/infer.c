/* infer.c: what kind of column is this? One pass gathers facts, then the rules are asked in order.
 *
 *   cells -> facts (how many are numbers, dates, media names…; distinct values; words) -> first rule that fits
 *
 * A rule writes the kind, whether it is sure, and a sentence with the figures it stands on. An unsure guess says
 * how to change it: a 1-to-5 rating is an amount to one user and five classes to another, and a column that
 * was read wrongly trains without complaint. The rules are a table; a new one is one function and one row. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "data/table_build.h"
#include "text/utf8.h"

enum { MOST_DISTINCT = 10000, FEW = 20, CLASSES = 50 };

typedef struct facts {
    const char *name;
    int64_t rows, present, distinct;
    int64_t numbers, whole, codes, odd_row; /* codes: digits with a leading zero; odd_row: first that is no number */
    int64_t dates, vectors, lists, addresses, binary;
    int64_t media[SN_KIND_COUNT], plain_row; /* plain_row: first without a media ending */
    int64_t barred, semicolons, items, item_words, distinct_items;
    double low, high;
    int64_t vector_low, vector_high;
    bool rising;             /* each number is the one before plus one */
    double last;
    int truths;              /* bit 0: a no, bit 1: a yes */
    double words;
    sn_map values, vocabulary;
} facts;

/* ---- gathering ---- */

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static sn_status count_value(sn_map *map, const char *value, size_t bytes, int64_t *distinct) {
    if (*distinct >= MOST_DISTINCT || sn_map_get(map, value, bytes) >= 0) return SN_OK;
    SN_TRY(sn_map_put(map, value, bytes, 0));
    ++*distinct;
    return SN_OK;
}

/* Words by spaces; where a script has none, two characters count as one word. */
static double count_words(const char *text, size_t bytes) {
    double words = 0;
    bool inside = false;
    for (size_t i = 0; i < bytes;) {
        int32_t code;
        i += sn_utf8_next(text + i, bytes - i, &code);
        bool space = code < 0x80 ? is_space((char)code) : code == 0x3000, alone = sn_is_unspaced(code);
        if (alone) words += 0.5;
        else if (!space && !inside) words += 1;
        inside = !space && !alone;
    }
    return words;
}

static sn_status count_item(void *context, const char *item, size_t bytes) {
    facts *f = context;
    f->items++;
    f->item_words += (int64_t)count_words(item, bytes);
    return count_value(&f->vocabulary, item, bytes, &f->distinct_items);
}

static void look_at_number(facts *f, const char *cell, size_t bytes, int64_t row) {
    double x;
    if (!sn_cell_number(cell, &x)) {
        if (!f->odd_row) f->odd_row = row + 1;
        f->rising = false;
        return;
    }
    f->codes += bytes > 1 && cell[0] == '0' && cell[1] >= '0' && cell[1] <= '9';
    if (!f->numbers || x < f->low) f->low = x;
    if (!f->numbers || x > f->high) f->high = x;
    if (f->numbers && x != f->last + 1) f->rising = false;
    f->last = x;
    f->numbers++;
    f->whole += x == floor(x) && fabs(x) < 1e15;
}

static void look_at_form(facts *f, const char *cell, int64_t row) {
    double x;
    int truth;
    int64_t n;
    sn_kind kind;
    if (sn_cell_binary(cell, &truth)) {
        f->binary++;
        f->truths |= 1 << truth;
    }
    if (sn_cell_vector(cell, &x, 1, &n) && n > 1) {
        if (!f->vectors || n < f->vector_low) f->vector_low = n;
        if (n > f->vector_high) f->vector_high = n;
        f->vectors++;
    }
    f->dates += sn_cell_date(cell, &x);
    bool address = strstr(cell, "://") != NULL;
    f->addresses += address;
    if (!address && sn_media_kind(cell, &kind)) f->media[kind]++;
    else if (!f->plain_row) f->plain_row = row + 1;
}

static sn_status look_at(facts *f, const char *cell, int64_t row) {
    while (is_space(*cell)) cell++;
    size_t bytes = strlen(cell);
    while (bytes && is_space(cell[bytes - 1])) bytes--;
    if (!bytes) return SN_OK;
    f->present++;
    f->words += count_words(cell, bytes);
    look_at_number(f, cell, bytes, row);
    look_at_form(f, cell, row);
    bool barred = memchr(cell, '|', bytes) != NULL, list = cell[0] == '[' && cell[bytes - 1] == ']';
    f->barred += barred;
    f->semicolons += memchr(cell, ';', bytes) != NULL;
    f->lists += list;
    SN_TRY(sn_cell_items(cell, count_item, f));
    return count_value(&f->values, cell, bytes, &f->distinct);
}

/* ---- rules: each returns whether it applies and then fills kind, sure and why ---- */

static bool say(sn_column_guess *g, sn_kind kind, bool sure, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static bool say(sn_column_guess *g, sn_kind kind, bool sure, const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)vsnprintf(g->why, sizeof g->why, format, args);
    va_end(args);
    sn_utf8_trim(g->why);
    g->kind = kind;
    g->sure = sure;
    return true;
}

static bool empty_column(const facts *f, sn_column_guess *g) {
    if (f->present) return false;
    return say(g, SN_KIND_CATEGORY, false, "every cell is empty; --exclude %s leaves the column out", f->name);
}

static bool binary_column(const facts *f, sn_column_guess *g) {
    if (f->binary < f->present || f->truths != 3) return false;
    bool digits = f->numbers == f->present;
    return say(g, SN_KIND_BINARY, true, digits ? "only 0 and 1" : "only yes and no, or words for them");
}

static bool media_column(const facts *f, sn_column_guess *g) {
    for (int k = 0; k < SN_KIND_COUNT; k++) {
        if (f->media[k] * 2 <= f->present) continue;
        if (f->media[k] == f->present)
            return say(g, (sn_kind)k, true, "every value is the name of a file of %s",
                       sn_kind_name((sn_kind)k));
        return say(g, (sn_kind)k, false, "%lld of %lld values end like a file of %s; row %lld does not",
                   (long long)f->media[k], (long long)f->present, sn_kind_name((sn_kind)k), (long long)f->plain_row);
    }
    if (f->addresses * 2 <= f->present) return false;
    return say(g, SN_KIND_TEXT, false,
               "internet addresses; they are not fetched; --exclude %s leaves them out", f->name);
}

static bool date_column(const facts *f, sn_column_guess *g) {
    if (f->dates < f->present) return false;
    return say(g, SN_KIND_DATE, true, "every value is a date such as 2024-05-31");
}

static bool vector_column(const facts *f, sn_column_guess *g) {
    if (f->vectors < f->present) return false;
    if (f->vector_low == f->vector_high)
        return say(g, SN_KIND_VECTOR, true, "every value is a list of %lld numbers", (long long)f->vector_low);
    return say(g, SN_KIND_VECTOR, false,
               "lists of %lld to %lld numbers; a vector needs the same count in every row",
               (long long)f->vector_low, (long long)f->vector_high);
}

/* Digits with leading zeros, such as 007 or 000000000285: names, not amounts. */
static bool is_codes(const facts *f) { return f->codes * 2 > f->present; }

static bool classes_in_digits(const facts *f, sn_column_guess *g) {
    if (f->numbers < f->present || f->whole < f->present || is_codes(f)) return false;
    if (f->distinct < 2 || f->distinct > FEW) return false;
    bool many = f->present >= 10 * f->distinct;
    return say(g, many ? SN_KIND_CATEGORY : SN_KIND_NUMBER, false,
               "%lld whole numbers from %.15g to %.15g; --type %s=%s reads them as %s", (long long)f->distinct, f->low,
               f->high, f->name, many ? "number" : "category", many ? "amounts" : "classes");
}

static bool number_column(const facts *f, sn_column_guess *g) {
    if (is_codes(f) || f->numbers * 20 < f->present * 19) return false;
    if (f->numbers < f->present && f->distinct <= FEW) return false;
    if (f->numbers < f->present)
        return say(g, SN_KIND_NUMBER, false, "%lld of %lld values are numbers; row %lld is not",
                   (long long)f->numbers,
                   (long long)f->present, (long long)f->odd_row);
    if (f->distinct == 1)
        return say(g, SN_KIND_NUMBER, false, "%.15g in every row: nothing to learn from", f->low);
    if (f->rising && f->present == f->rows && f->whole == f->present && f->present >= FEW)
        return say(g, SN_KIND_NUMBER, false,
                   "rises by one from row to row, as a row number; --exclude %s leaves it out",
                   f->name);
    return say(g, SN_KIND_NUMBER, true, "numbers from %.6g to %.6g", f->low, f->high);
}

static bool set_column(const facts *f, sn_column_guess *g) {
    bool lists = f->lists == f->present && f->items > 0;
    int64_t cut = f->barred * 2 >= f->present ? f->barred : f->semicolons;
    if (!lists && cut * 2 < f->present) return false;
    if (f->distinct_items * 2 > f->items || f->item_words > 3 * f->items) return false;
    return say(g, SN_KIND_SET, true, "%lld different items, %.1f a row, %s", (long long)f->distinct_items,
               (double)f->items / (double)f->present,
               lists ? "as JSON lists" : cut == f->barred ? "separated by |" : "separated by ;");
}

static bool category_column(const facts *f, sn_column_guess *g) {
    double words = f->words / (double)f->present;
    bool few = f->distinct <= CLASSES, rare = f->distinct * FEW <= f->present, repeated = f->distinct * 4 <= f->present;
    if (words > 4 || !(few || rare || repeated) || f->distinct >= MOST_DISTINCT) return false;
    if (f->distinct == 1)
        return say(g, SN_KIND_CATEGORY, false, "the same value in every row: nothing to learn from");
    bool sure = f->distinct * 2 <= f->present;
    return say(g, SN_KIND_CATEGORY, sure, sure ? "%lld different values in %lld rows"
               : "%lld different values in only %lld rows; --type %s=text reads them as text",
               (long long)f->distinct, (long long)f->present, f->name);
}

static bool text_column(const facts *f, sn_column_guess *g) {
    double words = f->words / (double)f->present;
    const char *more = f->distinct >= MOST_DISTINCT ? " or more" : "";
    if (f->distinct <= FEW && f->present >= 10 * f->distinct)
        return say(g, SN_KIND_TEXT, false,
                   "only %lld different values, but %.1f words each; --type %s=category reads "
                   "them as classes", (long long)f->distinct, words, f->name);
    if (words < 1.5 && f->distinct == f->present && f->present > CLASSES)
        return say(g, SN_KIND_TEXT, false,
                   "one word a row and no two alike, as a name or id; --exclude %s leaves it out",
                   f->name);
    return say(g, SN_KIND_TEXT, true, "%lld%s different texts of %.1f words", (long long)f->distinct, more,
               words);
}

static bool (*const rules[])(const facts *, sn_column_guess *) = {
    empty_column,      binary_column, media_column, date_column,     vector_column,
    classes_in_digits, number_column, set_column,   category_column, text_column,
};

sn_status sn_column_infer(const sn_table *table, int column, sn_column_guess *out) {
    *out = (sn_column_guess){0};
    facts f = {.name = sn_table_column_name(table, column), .rows = sn_table_rows(table), .rising = true};
    sn_status status = SN_OK;
    for (int64_t row = 0; row < f.rows && status == SN_OK; row++)
        status = look_at(&f, sn_table_cell(table, row, column), row);
    out->distinct = f.distinct;
    out->missing = f.rows - f.present;
    for (size_t i = 0; status == SN_OK && i < sizeof rules / sizeof *rules; i++) {
        if (rules[i](&f, out)) break;
    }
    sn_map_free(&f.values);
    sn_map_free(&f.vocabulary);
    return status;
}
