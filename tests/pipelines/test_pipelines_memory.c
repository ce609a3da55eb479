/* The n-th allocation fails in each call of the public interface that uses a published model: opening one, and every task
 * with it. The error is "memory" and nothing else, or the result is the same as ever; what failed works the next time; and
 * under the address sanitizer nothing leaks. A pipeline compiles its programs at first use, so each n gets a new one.
 *
 * Here every SAMPLED-th n (another one in each call); with SN_TEST_EVERY=1 all of them (`make long`). */
#include "test.h"

#include "base/memory.h"
#include "pipelines/sound.h"
#include "sensorium.h"

#define ROOT SN_TEST_ROOT "/golden/pipelines/"
enum { SAMPLED = 37, RATE = 16000, SIDE = 20 };

typedef struct call {
    const char *model, *task; /* task NULL: opening and describing alone */
    const char *text;
    bool picture, file, sound;
    const char *options;
    long least; /* allocations there must be at least, or the test has lost its object */
} call;
static const call calls[] = {
    {.model = "captioner", .least = 3},
    {.model = "listener", .least = 3},
    {.model = "sentences", .least = 3},
    {.model = "classes_resnet", .least = 3},
    {.model = "captioner", .task = "caption", .picture = true, .options = "{\"num_beams\": 2, \"max_new_tokens\": 4}", .least = 3},
    {.model = "captioner", .task = "caption", .file = true, .options = "{\"max_new_tokens\": 3}", .least = 3},
    {.model = "blip_captioner", .task = "caption", .picture = true, .options = "{\"max_new_tokens\": 3, \"prompt\": \"a\"}", .least = 3},
    {.model = "gpt2", .task = "generate", .text = "the cat", .options = "{\"max_new_tokens\": 4, \"do_sample\": true, \"seed\": 3, \"num_return_sequences\": 2}", .least = 3},
    {.model = "blip_asker", .task = "ask", .text = "what is it", .picture = true, .options = "{\"max_new_tokens\": 3}", .least = 3},
    {.model = "vilt_asker", .task = "ask", .text = "what is it", .picture = true, .least = 3},
    {.model = "visual_bert_asker", .task = "ask", .text = "what is it", .file = true, .options = "{\"regions\": \"" ROOT "visual_bert_asker/regions.npy\"}", .least = 3},
    {.model = "listener", .task = "transcribe", .sound = true, .options = "{\"max_new_tokens\": 4, \"temperature\": 0}", .least = 3},
    {.model = "classes_vit", .task = "classify", .picture = true, .least = 3},
    {.model = "classes_bert", .task = "classify", .text = "a small red cat", .least = 3},
    {.model = "matcher", .task = "classify", .picture = true, .options = "{\"labels\": [\"cat\", \"dog\"], \"template\": \"a {}\"}", .least = 3},
    {.model = "sentences", .task = "embed", .text = "a small red cat", .least = 3},
    {.model = "vit", .task = "embed", .picture = true, .least = 3},
    {.model = "listener", .task = "embed", .sound = true, .least = 3},
    {.model = "gpt2", .task = "tokenize", .text = "a small red cat", .least = 3},
    {.model = "gpt2", .task = "tokenize", .options = "{\"decode\": [1, 2, 3]}", .least = 3},
};

typedef struct place {
    const float *pcm;
    unsigned char rgb[SIDE * SIDE * 3];
    char *result; /* malloc */
    size_t size;
    bool told; /* of an item that failed */
} place;

static int keep(void *context, const char *json) {
    place *p = context;
    size_t n = strlen(json);
    p->told |= strstr(json, "\"error\":") != NULL;
    p->result = realloc(p->result, p->size + n + 1);
    assert_non_null(p->result);
    memcpy(p->result + p->size, json, n + 1);
    p->size += n;
    return 0;
}

static sn_status open_model(const call *c, sn_pipeline **p) {
    char path[512];
    (void)snprintf(path, sizeof path, ROOT "%s", c->model);
    return sn_pipeline_open(path, "{\"precision\": \"f32\", \"threads\": 1}", p);
}

static sn_status open_and_describe(const call *c, place *at) {
    sn_pipeline *p;
    char *json = NULL;
    sn_status status = open_model(c, &p);
    assert_true((p != NULL) == (status == SN_OK));
    if (status == SN_OK) status = sn_pipeline_describe(p, &json);
    if (status == SN_OK) (void)keep(at, json);
    sn_string_free(json);
    sn_pipeline_free(p);
    return status;
}

static sn_status run_task(const call *c, sn_pipeline *p, place *at) {
    sn_item item = {.text = c->text, .bytes = c->text ? strlen(c->text) : 0};
    if (c->picture) item.rgb = at->rgb, item.width = item.height = SIDE, item.stride = 3 * SIDE;
    if (c->file) item.file = ROOT "p1.png";
    if (c->sound) item.pcm = at->pcm, item.frames = RATE, item.channels = 1, item.rate_hz = RATE;
    sn_listener listener = {.result = keep, .context = at};
    return sn_pipeline_run(p, c->task, &item, c->text || c->picture || c->file || c->sound, c->options, &listener);
}

/* Runs the call with its n-th allocation failing (0: none). */
static sn_status run(const call *c, place *at, long n, long *asked) {
    sn_pipeline *p = NULL;
    sn_status status;
    at->size = 0;
    at->told = false;
    sn_error_clear();
    if (c->task) assert_ok(open_model(c, &p));
    sn_alloc_fail_after(n);
    status = c->task ? run_task(c, p, at) : open_and_describe(c, at);
    *asked = sn_alloc_count();
    sn_alloc_fail_after(0);
    if (n && status != SN_OK && c->task && n % 16 == 0) { /* what failed once works the next time */
        at->size = 0;
        at->told = false;
        assert_ok(run_task(c, p, at));
    }
    sn_pipeline_free(p);
    return status;
}

static void fails_at(const call *c, place *at, const place *whole, long n) {
    const char *what = c->task ? c->task : "open";
    long asked;
    sn_status status = run(c, at, n, &asked);
    if (status != SN_OK && status != SN_ERR_MEMORY)
        fail_msg("%s %s, allocation %ld failed: %s: %s", what, c->model, n, sn_status_name(status), sn_error_message());
    if (status == SN_ERR_MEMORY && !(c->task && n % 16 == 0)) return;
    if (at->told || at->size != whole->size || memcmp(at->result, whole->result, at->size))
        fail_msg("%s %s, allocation %ld failed: success, and another result:\n%.500s\n%.500s", what, c->model, n, at->result, whole->result);
}

static void every_allocation(void **state) {
    (void)state;
    bool every = getenv("SN_TEST_EVERY") != NULL;
    float *pcm = make_sound(RATE, 3, 1);
    place at = {.pcm = pcm}, whole = {.pcm = pcm};
    for (int i = 0; i < SIDE * SIDE * 3; i++) at.rgb[i] = whole.rgb[i] = (unsigned char)(i * 37 % 251);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const call *c = &calls[i];
        long total, tried = 0, step;
        assert_ok(run(c, &whole, 0, &total));
        assert_true(whole.size > 0 && !whole.told);
        if (total < c->least) fail_msg("%s %s: only %ld allocations", c->task ? c->task : "open", c->model, total);
        step = every || total < 4 * SAMPLED ? 1 : SAMPLED;
        for (long n = step == 1 ? 1 : 1 + (long)i % step; n <= total; n += step, tried++) fails_at(c, &at, &whole, n);
        print_message("%s %s: %ld of %ld allocations fail\n", c->task ? c->task : "open", c->model, tried, total);
    }
    free(at.result);
    free(whole.result);
    free(pcm);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
