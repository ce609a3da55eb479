/* metrics.c: scores as scikit-learn defines them, in double.
 *
 * category: one pass over the rows fills the confusion matrix [true][predicted], from which accuracy, precision,
 * recall and F1 follow; the loss is summed in the same pass, with probabilities clipped to [e, 1 - e], e the
 * machine precision of float. The ranking scores sort each class's probabilities once (ties share a threshold).
 *
 * Averages run over the classes that occur among targets or predictions, as scikit-learn's do; a class's undefined
 * score counts as 0 in them (its default), and stands as null in "classes". A tie for the largest probability goes
 * to the first class. */
#include "tasks/metrics.h"

#include <float.h>
#include <math.h>

#include "tasks/ranking.h"

/* ---- JSON: sticky, checked once at the end ---- */

typedef struct sheet {
    json_t *object;
    bool failed;
} sheet;

static void put(sheet *s, const char *key, json_t *value) {
    if (json_object_set_new(s->object, key, value)) s->failed = true;
}
static json_t *number_or_null(double x) { return isfinite(x) ? json_real(x) : json_null(); }
static void put_number(sheet *s, const char *key, double x) { put(s, key, number_or_null(x)); }
static void put_count(sheet *s, const char *key, int64_t n) { put(s, key, json_integer(n)); }

static sheet new_sheet(void) {
    json_t *object = json_object();
    return (sheet){object, !object};
}

static sn_status finish(sheet *s, json_t **out) {
    if (!s->failed) {
        *out = s->object;
        return SN_OK;
    }
    json_decref(s->object);
    SN_FAIL(SN_ERR_MEMORY, "the scores cannot be written down: out of memory, or a class name is not UTF-8");
}

/* ---- category ---- */

typedef struct tally {
    int classes;
    int64_t *confusion; /* [true][predicted] */
    int64_t *support, *predicted;
    int64_t rows, unlabelled, right;
    double loss;
} tally;

static int largest(const float *p, int classes) {
    int best = 0;
    for (int c = 1; c < classes; c++)
        if (p[c] > p[best] || isnan(p[best])) best = c;
    return best;
}

static double clipped_log(float p) {
    double x = (double)p, low = (double)FLT_EPSILON;
    return log(x < low ? low : x > 1 - low ? 1 - low : x);
}

static sn_status count_rows(tally *t, const int32_t *labels, const float *probabilities, int64_t rows) {
    for (int64_t i = 0; i < rows; i++) {
        const float *p = probabilities + i * t->classes;
        int32_t label = labels[i];
        if (label < -1 || label >= t->classes)
            SN_FAIL(SN_ERR_USAGE, "label %d of row %lld, there are %d classes", label, (long long)i, t->classes);
        if (label < 0) {
            t->unlabelled++;
            continue;
        }
        int best = largest(p, t->classes);
        t->confusion[(int64_t)label * t->classes + best]++;
        t->support[label]++;
        t->predicted[best]++;
        t->right += best == label;
        t->loss -= clipped_log(p[label]);
        t->rows++;
    }
    return SN_OK;
}

static double ratio(double a, double b) { return b > 0 ? a / b : NAN; }
static double or_zero(double x) { return isnan(x) ? 0 : x; }

typedef struct scores {
    double precision, recall, f1;
} scores;

static scores class_scores(const tally *t, int c) {
    double hits = (double)t->confusion[(int64_t)c * t->classes + c];
    double found = (double)t->predicted[c], there = (double)t->support[c];
    return (scores){ratio(hits, found), ratio(hits, there), ratio(2 * hits, found + there)};
}

static void put_scores(sheet *s, const char *average, scores x) {
    const char *const names[] = {"precision_", "recall_", "f1_"};
    const double values[] = {x.precision, x.recall, x.f1};
    for (int i = 0; i < 3; i++) {
        char key[32];
        (void)snprintf(key, sizeof key, "%s%s", names[i], average);
        put_number(s, key, values[i]);
    }
}

static void put_averages(sheet *s, const tally *t) {
    scores macro = {0, 0, 0}, weighted = {0, 0, 0};
    double occurring = 0, rows = (double)t->rows, share = ratio((double)t->right, rows);
    for (int c = 0; c < t->classes; c++) {
        if (!t->support[c] && !t->predicted[c]) continue;
        scores x = class_scores(t, c);
        double weight = (double)t->support[c];
        occurring += 1;
        macro.precision += or_zero(x.precision);
        macro.recall += or_zero(x.recall);
        macro.f1 += or_zero(x.f1);
        weighted.precision += weight * or_zero(x.precision);
        weighted.recall += weight * or_zero(x.recall);
        weighted.f1 += weight * or_zero(x.f1);
    }
    put_scores(s, "macro", (scores){ratio(macro.precision, occurring), ratio(macro.recall, occurring), ratio(macro.f1, occurring)});
    put_scores(s, "micro", (scores){share, share, share}); /* one label a row: all three are the accuracy */
    put_scores(s, "weighted", (scores){ratio(weighted.precision, rows), ratio(weighted.recall, rows), ratio(weighted.f1, rows)});
}

static void put_classes(sheet *s, const tally *t, const char *const *names) {
    sheet all = new_sheet();
    for (int c = 0; c < t->classes && !all.failed; c++) {
        scores x = class_scores(t, c);
        sheet one = new_sheet();
        put_number(&one, "precision", x.precision);
        put_number(&one, "recall", x.recall);
        put_number(&one, "f1", x.f1);
        put_count(&one, "support", t->support[c]);
        all.failed |= one.failed;
        put(&all, names[c], one.object);
    }
    s->failed |= all.failed;
    put(s, "classes", all.object);
}

static void put_confusion(sheet *s, const tally *t) {
    json_t *all = json_array();
    for (int i = 0; i < t->classes && !s->failed; i++) {
        json_t *row = json_array();
        for (int j = 0; j < t->classes; j++)
            s->failed |= json_array_append_new(row, json_integer(t->confusion[(int64_t)i * t->classes + j])) != 0;
        s->failed |= json_array_append_new(all, row) != 0;
    }
    put(s, "confusion", all);
}

/* Binary: of class 1. Else the mean over classes present, each against all others. */
static sn_status put_ranking(sheet *s, const int32_t *labels, const float *probabilities, int64_t rows, const tally *t) {
    sn_ranking *ranking;
    SN_TRY(sn_ranking_create(t->rows, &ranking));
    double area = 0, precision = 0;
    int counted = 0;
    for (int c = t->classes == 2 ? 1 : 0; c < t->classes; c++) {
        if (!t->support[c] && t->classes != 2) continue;
        sn_ranking_clear(ranking);
        for (int64_t i = 0; i < rows; i++)
            if (labels[i] >= 0) sn_ranking_add(ranking, probabilities[i * t->classes + c], labels[i] == c);
        sn_ranking_sort(ranking);
        area += sn_ranking_roc_auc(ranking);
        precision += sn_ranking_average_precision(ranking);
        counted++;
    }
    put_number(s, "roc_auc", ratio(area, counted));
    put_number(s, "average_precision", ratio(precision, counted));
    sn_ranking_free(ranking);
    return SN_OK;
}

static sn_status write_category(const tally *t, const int32_t *labels, const float *probabilities, int64_t rows,
                                const char *const *names, json_t **out) {
    sheet s = new_sheet();
    put_number(&s, "accuracy", ratio((double)t->right, (double)t->rows));
    put_number(&s, "loss", ratio(t->loss, (double)t->rows));
    put_averages(&s, t);
    sn_status status = put_ranking(&s, labels, probabilities, rows, t);
    if (status != SN_OK) {
        json_decref(s.object);
        return status;
    }
    put_classes(&s, t, names);
    put_confusion(&s, t);
    put_count(&s, "rows", t->rows);
    put_count(&s, "unlabelled", t->unlabelled);
    return finish(&s, out);
}

sn_status sn_metrics_category(const int32_t *labels, const float *probabilities, int64_t rows, int classes,
                              const char *const *names, json_t **out) {
    *out = NULL;
    if (classes < 1 || rows < 0) SN_FAIL(SN_ERR_USAGE, "scores of %d classes and %lld rows", classes, (long long)rows);
    size_t n = (size_t)classes;
    tally t = {.classes = classes};
    t.confusion = sn_alloc(n, n * sizeof *t.confusion);
    t.support = sn_alloc(n, sizeof *t.support);
    t.predicted = sn_alloc(n, sizeof *t.predicted);
    sn_status status = t.confusion && t.support && t.predicted ? SN_OK : SN_ERR_MEMORY;
    if (status == SN_OK) status = count_rows(&t, labels, probabilities, rows);
    if (status == SN_OK) status = write_category(&t, labels, probabilities, rows, names, out);
    sn_free(t.confusion);
    sn_free(t.support);
    sn_free(t.predicted);
    return status;
}

/* ---- number ---- */

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the n values, in place; NaN if one of them is. */
static double median(double *values, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (isnan(values[i])) return NAN;
    if (!n) return NAN;
    qsort(values, (size_t)n, sizeof *values, by_value);
    return (values[(n - 1) / 2] + values[n / 2]) / 2;
}

/* Share of the variance explained; needs two rows. Constant targets: 1 if hit exactly, else 0, as scikit-learn. */
static double explained(double residual, double spread, int64_t n) {
    if (n < 2 || isnan(residual)) return NAN;
    if (spread > 0) return 1 - residual / spread;
    return residual > 0 ? 0 : 1;
}

sn_status sn_metrics_number(const float *targets, const float *predictions, int64_t rows, json_t **out) {
    *out = NULL;
    if (rows < 0) SN_FAIL(SN_ERR_USAGE, "scores of %lld rows", (long long)rows);
    double *errors = sn_alloc((size_t)rows, sizeof *errors);
    if (!errors) return SN_ERR_MEMORY;
    double total = 0, absolute = 0, squares = 0, spread = 0;
    int64_t n = 0;
    for (int64_t i = 0; i < rows; i++) {
        if (isnan(targets[i])) continue;
        double error = fabs((double)targets[i] - (double)predictions[i]);
        errors[n++] = error;
        total += (double)targets[i];
        absolute += error;
        squares += error * error;
    }
    double count = (double)n, mean = ratio(total, count);
    for (int64_t i = 0; i < rows; i++)
        if (!isnan(targets[i])) spread += ((double)targets[i] - mean) * ((double)targets[i] - mean);
    sheet s = new_sheet();
    put_number(&s, "mae", ratio(absolute, count));
    put_number(&s, "rmse", sqrt(ratio(squares, count)));
    put_number(&s, "r2", explained(squares, spread, n));
    put_number(&s, "median_ae", median(errors, n));
    put_number(&s, "loss", ratio(squares, count));
    put_count(&s, "rows", n);
    put_count(&s, "unlabelled", rows - n);
    sn_free(errors);
    return finish(&s, out);
}
