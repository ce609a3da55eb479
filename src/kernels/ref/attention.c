/* attention.c: attention as its definition says, in double: no scores are kept, backward computes them again.
 *
 *   forward, one query at a time:  s_j = scale q·k_j,  lse = log sum e^s_j,  y = sum e^(s_j - lse) v_j
 *   backward, with p_j = e^(s_j - lse) and ds_j = p_j (dy·v_j - dy·y):
 *     dq = scale sum_j ds_j k_j  (one query at a time),  dk = scale sum_i ds_i q_i, dv = sum_i p_i dy_i  (one key) */
#include "kernels/attention.h"

#include "kernels/ref/ref.h"

typedef struct job {
    const sn_kernel_plan *plan;
    const sn_kernel_args *args;
    sn_attention_shape s;
} job;

static double dot(sn_type ta, const void *a, int64_t a0, sn_type tb, const void *b, int64_t b0, int64_t n) {
    float x[SN_BLOCK], y[SN_BLOCK];
    double sum = 0;
    for (int64_t i = 0; i < n; i += SN_BLOCK) {
        int m = sn_block_size(n - i);
        const float *u = sn_block_in(ta, a, a0 + i, m, x), *v = sn_block_in(tb, b, b0 + i, m, y);
        for (int k = 0; k < m; k++) sum += (double)u[k] * (double)v[k];
    }
    return sum;
}

/* acc += f x[at ..] for n <= SN_BLOCK columns */
static void axpy(sn_type type, const void *x, int64_t at, int n, double f, double *acc) {
    float buffer[SN_BLOCK];
    const float *u = sn_block_in(type, x, at, n, buffer);
    for (int k = 0; k < n; k++) acc[k] += f * (double)u[k];
}

static void put(sn_type type, void *to, int64_t at, int n, const double *acc, double scale) {
    float y[SN_BLOCK];
    for (int k = 0; k < n; k++) y[k] = (float)(acc[k] * scale);
    sn_block_put(type, to, at, n, y);
}

/* One query: row n, head h, position i. */
typedef struct query {
    sn_attention_row row;
    int64_t h, i, at, sees, lse_at;
} query;

static query query_of(const job *j, int64_t n, int64_t h, int64_t i) {
    const sn_attention_shape *s = &j->s;
    query q = {.row = sn_attention_row_of(s, j->args, n), .h = h, .i = i};
    q.at = (n * s->tq + i) * s->heads * s->d + h * s->d;
    q.lse_at = (n * s->heads + h) * s->tq + i;
    q.sees = sn_attention_sees(s, &q.row, i);
    return q;
}

/* slot 0: the key, 1: the value */
static const void *key_of(const job *j, const query *q, int64_t key, int slot, sn_type *type, int64_t *at) {
    int in = key < q->row.past ? 3 + slot : 1 + slot;
    *type = j->plan->in[in];
    *at = sn_attention_key_at(&j->s, &q->row, key, q->h / j->s.group);
    return j->args->in[in];
}

static double score(const job *j, const query *q, int64_t key) {
    sn_type type;
    int64_t at;
    const void *k = key_of(j, q, key, 0, &type, &at);
    return (double)j->s.scale * dot(j->plan->in[0], j->args->in[0], q->at, type, k, at, j->s.d);
}

/* log-sum-exp over the keys it sees; *any: is there one? */
static double log_sum(const job *j, const query *q, bool *any) {
    double top = 0, sum = 0;
    *any = false;
    for (int64_t key = 0; key < q->sees; key++) {
        if (sn_attention_masked(&q->row, key)) continue;
        double x = score(j, q, key);
        if (!*any || x > top) {
            sum = *any ? sum * exp(top - x) : 0;
            top = x;
        }
        *any = true;
        sum += exp(x - top);
    }
    return *any ? top + log(sum) : 0;
}

static void forward_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_attention_shape *s = &j->s;
    query q = query_of(j, chunk / (s->tq * s->heads), chunk / s->tq % s->heads, chunk % s->tq);
    bool any;
    double lse = log_sum(j, &q, &any), acc[SN_BLOCK];
    if (j->plan->n_out > 1 && j->args->out[1]) ((float *)j->args->out[1])[q.lse_at] = (float)lse;
    for (int64_t c = 0; c < s->d && j->args->out[0]; c += SN_BLOCK) {
        int n = sn_block_size(s->d - c);
        for (int k = 0; k < n; k++) acc[k] = 0;
        for (int64_t key = 0; key < q.sees; key++) {
            sn_type type;
            int64_t at;
            if (sn_attention_masked(&q.row, key)) continue;
            const void *v = key_of(j, &q, key, 1, &type, &at);
            axpy(type, v, at + c, n, exp(score(j, &q, key) - lse), acc);
        }
        put(j->plan->out[0], j->args->out[0], q.at + c, n, acc, 1);
    }
}

static sn_status run_attention(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_attention_shape_of(plan->op, &plan->attr, plan->in, plan->n_in)};
    SN_TRY(sn_attention_check(&j.s, args));
    sn_parallel(plan->threads, j.s.rows * j.s.heads * j.s.tq, forward_chunk, &j);
    return SN_OK;
}

static bool accepts(const sn_kernel_request *r) { return sn_ref_accepts_float(r) && (r->n_out < 2 || r->out[1].dtype == SN_F32); }
SN_REF(attention, accepts, run_attention)

/* ---- backward: in = q, k, v, y, lse, dy ---- */

/* p and ds of one query and one key. */
static void weights(const job *j, const query *q, int64_t key, double *p, double *ds) {
    const sn_kernel_plan *plan = j->plan;
    void *const *in = j->args->in;
    int64_t d = j->s.d, at = sn_attention_key_at(&j->s, &q->row, key, q->h / j->s.group);
    double delta = dot(plan->in[5], in[5], q->at, plan->in[3], in[3], q->at, d);
    *p = exp(score(j, q, key) - (double)((const float *)in[4])[q->lse_at]);
    *ds = *p * (dot(plan->in[5], in[5], q->at, plan->in[2], in[2], at, d) - delta);
}

static void dq_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_attention_shape *s = &j->s;
    query q = query_of(j, chunk / (s->tq * s->heads), chunk / s->tq % s->heads, chunk % s->tq);
    double acc[SN_BLOCK], p, ds;
    for (int64_t c = 0; c < s->d; c += SN_BLOCK) {
        int n = sn_block_size(s->d - c);
        for (int k = 0; k < n; k++) acc[k] = 0;
        for (int64_t key = 0; key < q.sees; key++) {
            if (sn_attention_masked(&q.row, key)) continue;
            weights(j, &q, key, &p, &ds);
            axpy(j->plan->in[1], j->args->in[1], sn_attention_key_at(s, &q.row, key, q.h / s->group) + c, n, ds, acc);
        }
        put(j->plan->out[0], j->args->out[0], q.at + c, n, acc, (double)s->scale);
    }
}

static void dkv_chunk(void *context, int64_t chunk) {
    const job *j = context;
    const sn_attention_shape *s = &j->s;
    int64_t n = chunk / (s->tk * s->kv_heads), kv = chunk / s->tk % s->kv_heads, key = chunk % s->tk;
    int64_t at = (n * s->tk + key) * s->kv_heads * s->d + kv * s->d;
    double dk[SN_BLOCK], dv[SN_BLOCK], p, ds;
    for (int64_t c = 0; c < s->d; c += SN_BLOCK) {
        int m = sn_block_size(s->d - c);
        for (int k = 0; k < m; k++) dk[k] = dv[k] = 0;
        for (int64_t h = kv * s->group; h < (kv + 1) * s->group; h++)
            for (int64_t i = 0; i < s->tq; i++) {
                query q = query_of(j, n, h, i);
                if (key >= q.sees || sn_attention_masked(&q.row, key)) continue;
                weights(j, &q, key, &p, &ds);
                axpy(j->plan->in[0], j->args->in[0], q.at + c, m, ds, dk);
                axpy(j->plan->in[5], j->args->in[5], q.at + c, m, p, dv);
            }
        if (j->args->out[1]) put(j->plan->out[1], j->args->out[1], at + c, m, dk, (double)s->scale);
        if (j->args->out[2]) put(j->plan->out[2], j->args->out[2], at + c, m, dv, 1);
    }
}

static sn_status run_attention_bwd(const sn_kernel_plan *plan, const sn_kernel_args *args) {
    job j = {plan, args, sn_attention_shape_of(plan->op, &plan->attr, plan->in, plan->n_in)};
    if (args->out[0]) sn_parallel(plan->threads, j.s.rows * j.s.heads * j.s.tq, dq_chunk, &j);
    if (args->out[1] || args->out[2]) sn_parallel(plan->threads, j.s.rows * j.s.kv_heads * j.s.tk, dkv_chunk, &j);
    return SN_OK;
}

static bool accepts_bwd(const sn_kernel_request *r) { return sn_ref_accepts_float(r) && r->in[4].dtype == SN_F32; }
SN_REF(attention_bwd, accepts_bwd, run_attention_bwd)
