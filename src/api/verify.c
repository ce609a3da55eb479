/* verify.c: does the model compute here what it computed where it was trained? */
#include "api/api.h"
#include "models/goldens.h"

sn_status sn_model_verify(const sn_model *m, char **json) {
    double largest;
    bool identical;
    *json = NULL;
    SN_TRY(sn_goldens_compare(m, &largest, &identical));
    json_t *report = json_pack("{s:i, s:b, s:I, s:f, s:b}", "schema", 1, "same", (int)(largest <= sn_goldens_tolerance(m)), "rows",
                               (json_int_t)m->golden_rows->batch->n, "largest_difference", largest < 1e300 ? largest : 1e300,
                               "bit_identical", (int)identical);
    return sn_json_text(report, json);
}
